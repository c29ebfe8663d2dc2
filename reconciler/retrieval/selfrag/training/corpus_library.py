"""The documents of a bench as a library that can be searched."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reconciler.retrieval.build import Progress, build
from reconciler.retrieval.embedder import Embedder
from reconciler.retrieval.library import Library
from reconciler.retrieval.selfrag.training.documents import Document


def build_library(
    documents: Iterable[Document],
    home: Path,
    embedder: Embedder,
    progress: Progress | None = None,
) -> Library:
    """Write the documents to files below `home` and index them.

    Nothing of the headlines is in the library.
    """
    source = home / "documents"
    for document in documents:
        path = source / document.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{document.body}\n", "utf-8")
    library = Library(home / "index")
    build(library, [source], embedder, progress)
    return library
