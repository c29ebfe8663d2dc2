"""Texts to vectors through OpenVINO, singly or many at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reconciler.retrieval.arrays import Floats
from reconciler.retrieval.embedder import EmbedderError, Precision
from reconciler.retrieval.graphs import (
    GRAPH,
    compile_graph,
    legible,
    load_tokenizer,
)
from reconciler.retrieval.quantization import quantized
from reconciler.retrieval.sentence_model import converted, read_recipe

BATCH = 16
"""Texts in one inference; of similar length, so that little is padding."""


class SentenceEmbedder:
    """A sentence-transformers model on a device.

    Rows have length 1. A batch keeps several inferences in flight; a single
    text is answered by a graph that is compiled for latency. Any thread may
    embed; batches take turns.

    Args:
        directory: the model.
        cache: where graphs are kept, for all models.
        device: of OpenVINO: CPU, GPU, NPU.
        batch: texts in one inference.
        precision: float32, or INT8, which is faster and drifts a little;
            vectors of both do not mix.

    Raises:
        EmbedderError: the model or the device cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        cache: Path,
        device: str = "CPU",
        batch: int = BATCH,
        precision: Precision = "f32",
    ) -> None:
        self._batch = batch
        recipe = read_recipe(directory)
        self._identity, home = recipe.digest, converted(recipe, cache)
        if precision == "int8":
            home, drift = quantized(recipe, cache)
            self._identity += f"-int8-{drift.digest[:16]}"
        self._graph = home / GRAPH
        self._tokenizer = load_tokenizer(recipe.directory, recipe.tokens)
        self._single = compile_graph(self._graph, device)
        self._device = device
        self._bulk: Any = None
        self._turn = threading.Lock()
        self._recipe = recipe

    @property
    def identity(self) -> str:
        """The digest of the model's directory, and of an INT8 graph."""
        return self._identity

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self._recipe.dim

    def embed(self, texts: Sequence[str]) -> Floats:
        """Rows of shape (texts, dim).

        Raises:
            EmbedderError: the device failed, or gave what is no vector.
        """
        out = np.zeros((len(texts), self.dim), np.float32)
        encodings = self._tokenizer.encode_batch(
            [legible(text) for text in texts]
        )
        tokens = [np.asarray(row.ids, np.int64) for row in encodings]
        order = sorted(range(len(tokens)), key=lambda i: -len(tokens[i]))
        size = self._batch
        groups = [order[at : at + size] for at in range(0, len(order), size)]
        with self._turn:
            try:
                self._run(groups, tokens, out)
            except RuntimeError as error:
                msg = f"{self._device}: {error}"
                raise EmbedderError(msg) from error
        if not np.isfinite(out).all():
            msg = f"{self._device} gave a NaN or an infinity"
            raise EmbedderError(msg)
        return out

    def _run(
        self, groups: list[list[int]], tokens: list[Any], out: Floats
    ) -> None:
        if len(groups) == 1:
            out[groups[0]] = self._single(_padded(groups[0], tokens))[0]
            return
        queue = self._queue()
        queue.set_callback(
            lambda request, group: out.__setitem__(
                group, request.get_output_tensor(0).data
            )
        )
        for group in groups:
            queue.start_async(_padded(group, tokens), group)
        queue.wait_all()

    def _queue(self) -> Any:
        if self._bulk is None:
            from openvino import AsyncInferQueue

            graph = compile_graph(self._graph, self._device, bulk=True)
            self._bulk = AsyncInferQueue(graph)
        return self._bulk


def _padded(group: list[int], tokens: list[Any]) -> list[Any]:
    longest = max(len(tokens[i]) for i in group)
    ids = np.zeros((len(group), longest), np.int64)
    mask = np.zeros((len(group), longest), np.int64)
    for row, i in enumerate(group):
        ids[row, : len(tokens[i])] = tokens[i]
        mask[row, : len(tokens[i])] = 1
    return [ids, mask]
