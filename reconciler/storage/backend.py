"""Which backend a DatasetLayout means, and where its root is."""

from __future__ import annotations

from pathlib import Path

from reconciler.storage.resource import DatasetLayout
from reconciler.storage.tree import TreeBackend


def layout_root(settings_root: Path, layout: DatasetLayout) -> Path:
    """Root directory of a layout.

    Args:
        settings_root: where layouts live that name no path.
        layout: the object.
    """
    if layout.spec.target.path is not None:
        return Path(layout.spec.target.path)
    meta = layout.metadata
    return settings_root / meta.namespace / meta.name


def layout_backend(settings_root: Path, layout: DatasetLayout) -> TreeBackend:
    """The backend that holds a layout's datasets.

    ``auto`` means the directory tree, which works on any file system.
    """
    return TreeBackend(layout_root(settings_root, layout))
