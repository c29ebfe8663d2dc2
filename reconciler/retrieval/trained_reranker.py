"""A small network that was trained to order hits, through OpenVINO.

::

    directory/
      reranker.json    its features, and the figures of its training
      model.xml, .bin  the graph: features in, relevance out
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from reconciler.artifacts import ArtifactError, digest_of
from reconciler.retrieval.arrays import Floats
from reconciler.retrieval.embedder import EmbedderError
from reconciler.retrieval.graphs import GRAPH, compile_graph
from reconciler.retrieval.rerank_features import FEATURES, features
from reconciler.retrieval.search import Hit

DESCRIPTION = "reranker.json"


class RerankerDescription(BaseModel):
    """Contents of reranker.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: tuple[str, ...]
    embedder: str
    """Identity of the embedder whose cosines it was trained with."""

    figures: dict[str, float]
    """Measured on documents that it was not trained on."""


def is_trained_reranker(directory: Path) -> bool:
    """Whether this directory is one, as opposed to a CrossEncoder."""
    return (directory / DESCRIPTION).is_file()


class TrainedReranker:
    """Orders hits by their features; any thread may ask.

    Raises:
        EmbedderError: the files are damaged, or of another program version.
    """

    def __init__(self, directory: Path, device: str = "CPU") -> None:
        path = directory / DESCRIPTION
        try:
            text = path.read_bytes()
            self.description = RerankerDescription.model_validate_json(text)
            self._digest = digest_of(directory)
        except (OSError, ValidationError, ArtifactError) as error:
            msg = f"{path}: {str(error).splitlines()[0]}"
            raise EmbedderError(msg) from error
        if self.description.features != FEATURES:
            msg = f"{path}: trained on other features: train it again"
            raise EmbedderError(msg)
        self._graph = compile_graph(directory / GRAPH, device)
        self._device = device

    @property
    def identity(self) -> str:
        """The digest of the directory."""
        return self._digest

    def fits(self, embedder: str) -> bool:
        """Whether it was trained with that embedder, in any precision."""
        ours = self.description.embedder.partition("-int8-")[0]
        return ours == embedder.partition("-int8-")[0]

    def score(self, question: str, hits: Sequence[Hit]) -> Floats:
        """Relevance of each hit, in [0, 1], shape (hits,).

        Raises:
            EmbedderError: the device failed, or gave what is no number.
        """
        import numpy as np

        request = self._graph.create_infer_request()
        try:
            request.infer([features(question, hits)])
        except RuntimeError as error:
            msg = f"{self._device}: {error}"
            raise EmbedderError(msg) from error
        out = np.array(request.get_output_tensor(0).data[:, 0], np.float32)
        if not np.isfinite(out).all():
            msg = f"{self._device} gave a NaN or an infinity"
            raise EmbedderError(msg)
        return out
