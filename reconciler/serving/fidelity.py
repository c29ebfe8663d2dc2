"""The quantised model against the unquantised one. Pure.

Agreement and perplexity are measured over all texts. Means hide kernels
that are wrong for one shape, so the worst text and the sweep over lengths
(`probe`) are judged as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.serving.probe import Report, Score, mean

MAX_SWEEP_DEVIATION = 0.01
"""Logits may differ by this much between two ways to feed one text."""

MAX_WORST_TEXT_RISE = 0.5
"""Nats by which the mean loss of no single text may rise."""


@dataclass(frozen=True)
class Tolerance:
    """What quantising may cost."""

    min_top1_agreement: float
    max_perplexity_change: float


@dataclass(frozen=True)
class Fidelity:
    """What quantising did cost."""

    top1_agreement: float
    """Share of positions at which both find the same token likeliest."""

    perplexity: float
    """Of the quantised model."""

    reference_perplexity: float
    perplexity_change: float
    """Relative rise; negative if the quantised model is better."""

    worst_text_rise: float
    """Largest rise of the mean loss of one text, in nats."""

    sweep_deviation: float
    texts: int
    tokens: int

    def facts(self) -> dict[str, Any]:
        """For result.json, camelCase, rounded to what is meaningful."""
        return {
            "top1Agreement": round(self.top1_agreement, 6),
            "perplexity": round(self.perplexity, 4),
            "referencePerplexity": round(self.reference_perplexity, 4),
            "perplexityChange": round(self.perplexity_change, 6),
            "worstTextRise": round(self.worst_text_rise, 6),
            "sweepDeviation": round(self.sweep_deviation, 6),
            "texts": self.texts,
            "tokens": self.tokens,
        }


def compare(
    reference: Sequence[Score], scores: Sequence[Score], deviation: float
) -> Fidelity:
    """Compare the scores of the same texts.

    Raises:
        ValueError: there are no texts, or not the same ones.
    """
    if not reference or [len(s.losses) for s in reference] != [
        len(s.losses) for s in scores
    ]:
        raise ValueError("scores of different texts cannot be compared")
    pairs = list(zip(reference, scores, strict=True))
    same = [
        a == b for r, s in pairs for a, b in zip(r.top, s.top, strict=True)
    ]
    before = mean([loss for score in reference for loss in score.losses])
    after = mean([loss for score in scores for loss in score.losses])
    return Fidelity(
        top1_agreement=sum(same) / len(same),
        perplexity=math.exp(after),
        reference_perplexity=math.exp(before),
        perplexity_change=math.expm1(after - before),
        worst_text_rise=max(mean(s.losses) - mean(r.losses) for r, s in pairs),
        sweep_deviation=deviation,
        texts=len(pairs),
        tokens=len(same),
    )


def verdict(fidelity: Fidelity, tolerance: Tolerance) -> str:
    """Why the quantised model may not serve; empty if it may."""
    found = []
    agreement = fidelity.top1_agreement
    if not agreement >= tolerance.min_top1_agreement:
        found.append(
            f"top-1 agreement {agreement:.4f} is below "
            f"minTop1Agreement {tolerance.min_top1_agreement:g}"
        )
    change = fidelity.perplexity_change
    if not change <= tolerance.max_perplexity_change:
        found.append(
            f"perplexity rises by {change:.2%}, more than "
            f"maxPerplexityChange {tolerance.max_perplexity_change:.2%}"
        )
    if not fidelity.worst_text_rise <= MAX_WORST_TEXT_RISE:
        found.append(
            f"the loss of one text rises by {fidelity.worst_text_rise:.3f} "
            f"nats, more than {MAX_WORST_TEXT_RISE:g}"
        )
    if not fidelity.sweep_deviation <= MAX_SWEEP_DEVIATION:
        found.append(
            f"logits differ by {fidelity.sweep_deviation:.4f} with the way a "
            f"text is fed, more than {MAX_SWEEP_DEVIATION:g}"
        )
    return "; ".join(found)


def check(
    reference: Sequence[Score], report: Report, tolerance: Tolerance
) -> tuple[str, Fidelity | None]:
    """Problem (empty if none) and figures of a probe's report."""
    if report.problem:
        return report.problem, None
    if not report.repeatable:
        return "the same input gave two different answers", None
    fidelity = compare(reference, report.scores, report.sweep_deviation)
    return verdict(fidelity, tolerance), fidelity
