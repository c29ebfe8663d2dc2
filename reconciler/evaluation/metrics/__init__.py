"""Metrics by name: one number in [0, 1] per answer, higher is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.evaluation.metrics import chrf, house_style

__all__ = ["AnswerMetric", "metric"]


@dataclass(frozen=True)
class AnswerMetric:
    """How one answer is scored."""

    name: str
    description: str
    """What the number says, and what it does not say."""

    version: Callable[[], str]
    """Version or signature: scores compare only within the same one."""

    score: Callable[[str, str, str], float]
    """``score(prompt, reference, answer)``."""


_METRICS = {
    "house-style": AnswerMetric(
        name="house-style",
        description=house_style.DESCRIPTION,
        version=lambda: house_style.VERSION,
        score=lambda prompt, _, answer: house_style.score(prompt, answer),
    ),
    "chrf": AnswerMetric(
        name="chrf",
        description=chrf.DESCRIPTION,
        version=chrf.signature,
        score=lambda _, reference, answer: chrf.score(reference, answer),
    ),
}


def metric(name: str) -> AnswerMetric:
    """The metric of that name.

    Raises:
        ValueError: there is no such metric.
    """
    try:
        return _METRICS[name]
    except KeyError:
        known = ", ".join(sorted(_METRICS))
        msg = f"there is no metric {name!r}; known are {known}"
        raise ValueError(msg) from None
