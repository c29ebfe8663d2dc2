"""Cosines of a question with texts and with their sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reconciler.retrieval.arrays import Floats
from reconciler.retrieval.embedder import Embedder
from reconciler.retrieval.selfrag.sentences import spans


def unit(rows: Floats) -> Floats:
    """Rows of length 1; zero rows stay."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    tiny = np.finfo(np.float32).tiny
    found: Floats = (rows / np.maximum(norms, tiny)).astype(np.float32)
    return found


def cosines_with(
    embedder: Embedder, query: str, texts: Sequence[str]
) -> Floats:
    """Cosine of a query with each text, of shape (texts,)."""
    rows = unit(embedder.embed([query, *texts]))
    found: Floats = rows[1:] @ rows[0]
    return found


def cosines_with_sentences(
    embedder: Embedder, query: str, texts: Sequence[str]
) -> Floats:
    """Cosine of a query with the nearest sentence of each text."""
    pieces = [
        [text[a:b] for a, b in spans(text)] or [text or "-"] for text in texts
    ]
    flat = [piece for each in pieces for piece in each]
    found = cosines_with(embedder, query, flat)
    bounds = np.cumsum([0, *(len(each) for each in pieces)])[:-1]
    if not len(bounds):
        return found
    return np.maximum.reduceat(found, bounds)
