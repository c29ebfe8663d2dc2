"""Small trees and their digests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.artifacts import digest_of
from reconciler.storage.tree import TreeBackend

Source = Callable[..., tuple[Path, str]]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Makes a directory from keyword arguments; returns it and its digest."""

    def make(name: str, **files: str) -> tuple[Path, str]:
        top = tmp_path / "sources" / name
        for path, text in (files or {"model.bin": name}).items():
            target = top / path.replace("__", "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return top, digest_of(top)

    return make


@pytest.fixture
def backend(tmp_path: Path) -> TreeBackend:
    return TreeBackend(tmp_path / "root", lock_timeout_seconds=5)
