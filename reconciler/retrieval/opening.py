"""An embedder by the words that configurations use for one."""

from __future__ import annotations

from pathlib import Path

from reconciler.retrieval.embedder import Embedder, HashingEmbedder
from reconciler.retrieval.models import HASHING
from reconciler.retrieval.sentence_embedder import BATCH, SentenceEmbedder


def open_embedder(
    model: str, graphs: Path, device: str, batch: int = BATCH
) -> Embedder:
    """The embedder of a model.

    Args:
        model: a sentence-transformers directory, or `hashing`.
        graphs: where converted models are kept.
        device: of OpenVINO.
        batch: texts in one inference.

    Raises:
        EmbedderError: the model or the device cannot be used.
    """
    if model == HASHING:
        return HashingEmbedder()
    return SentenceEmbedder(Path(model), graphs, device, batch)
