"""Embedders and rerankers by the words that configurations use."""

from __future__ import annotations

from pathlib import Path

from reconciler.retrieval.cross_encoder import CrossEncoder
from reconciler.retrieval.embedder import (
    Embedder,
    EmbedderError,
    HashingEmbedder,
    Precision,
)
from reconciler.retrieval.models import HASHING
from reconciler.retrieval.reranking import Reranker
from reconciler.retrieval.sentence_embedder import BATCH, SentenceEmbedder
from reconciler.retrieval.trained_reranker import (
    TrainedReranker,
    is_trained_reranker,
)


def open_embedder(
    model: str,
    graphs: Path,
    device: str,
    batch: int = BATCH,
    precision: Precision = "f32",
) -> Embedder:
    """The embedder of a model.

    Args:
        model: a sentence-transformers directory, or `hashing`.
        graphs: where converted models are kept.
        device: of OpenVINO.
        batch: texts in one inference.
        precision: of a model's weights.

    Raises:
        EmbedderError: the model or the device cannot be used.
    """
    if model == HASHING:
        return HashingEmbedder()
    return SentenceEmbedder(Path(model), graphs, device, batch, precision)


def open_reranker(
    directory: Path, graphs: Path, device: str, embedder: str
) -> Reranker:
    """The reranker of a directory: a trained one, or a CrossEncoder.

    Args:
        directory: the reranker.
        graphs: where converted models are kept.
        device: of OpenVINO.
        embedder: identity of the index's embedder.

    Raises:
        EmbedderError: the model or the device cannot be used, or it was
            trained with another embedder.
    """
    if not is_trained_reranker(directory):
        return CrossEncoder(directory, graphs, device)
    trained = TrainedReranker(directory, device)
    if not trained.fits(embedder):
        msg = f"{directory} was trained with another embedder than the index "
        raise EmbedderError(msg + "has: train it again with that one")
    return trained
