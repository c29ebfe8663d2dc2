"""An embedder that does not embed the same text twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from reconciler.retrieval.arrays import Floats
from reconciler.retrieval.embedder import Embedder

TEXTS = 1 << 14
"""Kept: 25 MB of vectors of 384 numbers."""


class RememberingEmbedder:
    """Keeps the vectors of the texts that were embedded last.

    Generator and critics look at the same sentences. Any thread may embed.
    """

    def __init__(self, embedder: Embedder, texts: int = TEXTS) -> None:
        self._embedder = embedder
        self._texts = texts
        self._rows: OrderedDict[str, Floats] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        """That of the embedder."""
        return self._embedder.identity

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self._embedder.dim

    def embed(self, texts: Sequence[str]) -> Floats:
        """Rows of shape (texts, dim)."""
        with self._lock:
            known = {
                text: self._rows[text] for text in texts if text in self._rows
            }
        missing = list(dict.fromkeys(t for t in texts if t not in known))
        if missing:
            rows = self._embedder.embed(missing)
            known |= zip(missing, rows, strict=True)
        self._keep(known)
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        return np.stack([known[text] for text in texts])

    def _keep(self, known: dict[str, Floats]) -> None:
        with self._lock:
            for text, row in known.items():
                self._rows[text] = row
                self._rows.move_to_end(text)
            while len(self._rows) > self._texts:
                self._rows.popitem(last=False)
