"""chrF: character n-gram F-score of an answer against the reference.

Computed by sacrebleu with its defaults, so that the figure is the one that
its signature describes everywhere else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

DESCRIPTION = (
    "chrF (character n-gram F-score against the reference), a measure of "
    "surface overlap"
)


@lru_cache(maxsize=1)
def _scorer() -> Any:
    """One scorer per process: it keeps no state between sentences."""
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


def score(reference: str, answer: str) -> float:
    """Sentence chrF in [0, 1]; 0 for an empty answer."""
    return float(_scorer().sentence_score(answer, [reference]).score) / 100


def signature() -> str:
    """Sacrebleu's signature: settings and version of the computation."""
    score("a", "a")  # the signature is complete only after a first use
    return f"chrF {_scorer().get_signature()}"
