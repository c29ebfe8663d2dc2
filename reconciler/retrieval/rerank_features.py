"""What a trained reranker looks at: agreement of question and passage. Pure.

Every feature is of the hit among its fellow hits, and none needs a model, so
that judging costs microseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from reconciler.retrieval.arrays import Floats
from reconciler.retrieval.search import Hit

FEATURES = (
    "cosine",
    "cosine below the best",
    "found by vectors",
    "vector rank",
    "word rank",
    "fused score",
    "question's words in the text",
    "the same, rare words counting more",
    "question's words at the beginning",
    "neighbouring words of the question together",
    "trigrams of the question in the text",
    "length",
)
"""Columns, in order."""

_BEGINNING = 120
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def features(question: str, hits: Sequence[Hit]) -> Floats:
    """Rows of shape (hits, features)."""
    asked = words_of(question)
    texts = [words_of(hit.passage.body) for hit in hits]
    weights = _weights(asked, texts)
    ranks = _vector_ranks(hits)
    best = max((h.cosine for h in hits if h.cosine is not None), default=0.0)
    rows = [
        [
            hit.cosine or 0.0,
            best - hit.cosine if hit.cosine is not None else 0.0,
            float(hit.cosine is not None),
            ranks[place],
            1 / hit.word_rank if hit.word_rank else 0.0,
            hit.score * 60,
            *_agreement(asked, weights, hit, texts[place]),
        ]
        for place, hit in enumerate(hits)
    ]
    return np.asarray(rows, np.float32).reshape(len(hits), len(FEATURES))


def words_of(text: str) -> list[str]:
    """Words in lower case, names of code taken apart."""
    return [word.lower() for word in _WORD.findall(_HUMP.sub(" ", text))]


def _weights(
    asked: Sequence[str], texts: Sequence[Sequence[str]]
) -> dict[str, float]:
    """How rare each word of the question is among these hits."""
    sets = [set(text) for text in texts]
    return {
        word: math.log((len(sets) + 1) / (sum(word in s for s in sets) + 0.5))
        for word in asked
    }


def _vector_ranks(hits: Sequence[Hit]) -> list[float]:
    """1 / rank by cosine; 0 for what vectors did not find."""
    found = [i for i, hit in enumerate(hits) if hit.cosine is not None]
    found.sort(key=lambda i: -(hits[i].cosine or 0.0))
    ranks = [0.0] * len(hits)
    for rank, place in enumerate(found, 1):
        ranks[place] = 1 / rank
    return ranks


def _agreement(
    asked: Sequence[str],
    weights: dict[str, float],
    hit: Hit,
    text: Sequence[str],
) -> list[float]:
    present, distinct = set(text), set(asked)
    shared = distinct & present
    total = sum(weights.values()) or 1.0
    beginning = set(words_of(hit.passage.body[:_BEGINNING]))
    pairs = set(pairwise(asked))
    together = pairs & set(pairwise(text))
    grams = _trigrams(asked)
    return [
        len(shared) / max(len(distinct), 1),
        sum(weights[word] for word in shared) / total,
        len(distinct & beginning) / max(len(distinct), 1),
        len(together) / max(len(pairs), 1),
        len(grams & _trigrams(text)) / max(len(grams), 1),
        math.log1p(len(text)),
    ]


def _trigrams(words: Sequence[str]) -> set[str]:
    padded = (f" {word} " for word in words)
    return {w[i : i + 3] for w in padded for i in range(len(w) - 2)}
