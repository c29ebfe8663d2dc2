"""Small trees and their digests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.artifacts import digest_of
from reconciler.storage.tree import TreeBackend

Source = Callable[..., tuple[Path, str]]


def lose(tree: Path) -> None:
    """Move a generation's files away, as somebody who may do that."""
    tree.chmod(0o755)
    tree.rename(tree.parents[4] / f"lost-{tree.name}")


@pytest.fixture(name="lose")
def lose_fixture() -> Callable[[Path], None]:
    return lose


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
