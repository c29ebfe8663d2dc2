"""The gate: is the candidate really better, as far as these data can tell?

Passed
    The lower bound of the improvement is above ``minImprovement`` and no
    guardrail may have fallen by more than its ``maxDrop``.
Failed
    There were enough questions, and that is not so: it is worse, or the same,
    or a guardrail fell, or the difference is too small to be told from
    chance. Where it cannot be told, the message says how many questions
    would tell.
Inconclusive
    There was no fair comparison: too few questions, or missing scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from reconciler.evaluation.bootstrap import (
    Array,
    Interval,
    detectable_effect,
    paired_interval,
    samples_needed,
    seed_from,
)
from reconciler.evaluation.resource import EvaluationSuiteSpec, Verdict

_FEWEST = 2

Scores = Sequence[float | None]
"""One score per question; None or NaN where there is none."""


@dataclass(frozen=True)
class Comparison:
    """Candidate and baseline on one metric, question by question."""

    metric: str
    baseline: float
    candidate: float
    interval: Interval
    detectable: float
    """True improvement that this many questions detect with 90 % power."""

    needed: int | None
    """Questions that would detect the estimate; None if it is not up."""


@dataclass(frozen=True)
class GuardrailJudgement:
    """Whether a metric may have fallen by more than it may."""

    comparison: Comparison
    max_drop: float

    @property
    def kept(self) -> bool:
        """Whether even the lower bound is within the limit."""
        return self.comparison.interval.low >= -self.max_drop

    def describe(self) -> str:
        """What happened, with numbers."""
        found = self.comparison.interval
        limit = f"limit {self.max_drop:.4f}"
        name = self.comparison.metric
        if found.high < -self.max_drop:
            return f"{name} fell by {-found.estimate:.4f}, {limit}"
        return f"{name} may have fallen by {-found.low:.4f}, {limit}"


@dataclass(frozen=True)
class Judgement:
    """The gate's verdict and what it rests on."""

    verdict: Verdict
    message: str
    samples: int
    primary: Comparison | None = None
    guardrails: tuple[GuardrailJudgement, ...] = field(default=())


def judge(
    suite: EvaluationSuiteSpec,
    baseline: Mapping[str, Scores],
    candidate: Mapping[str, Scores],
    identity: str,
) -> Judgement:
    """Judge a candidate.

    Args:
        suite: primary metric, guardrails and gate.
        baseline: scores per metric, one per question.
        candidate: the same questions in the same order.
        identity: of what is compared (data digest, names, seed): the same
            identity and scores always get the same judgement.

    Raises:
        ValueError: a guardrail has no maxDrop.
    """
    limits = {rail.name: rail.max_drop for rail in suite.guardrails}
    if None in limits.values():
        raise ValueError("every guardrail needs maxDrop")
    names = (suite.primary.name, *limits)
    obstacle = _obstacle(names, baseline, candidate)
    samples = len(candidate.get(suite.primary.name, ()))
    if obstacle is not None:
        return Judgement("Inconclusive", obstacle, samples)
    compared = {
        name: _compare(suite, name, baseline[name], candidate[name], identity)
        for name in names
    }
    primary = compared[suite.primary.name]
    guardrails = tuple(
        GuardrailJudgement(compared[name], float(limit or 0))
        for name, limit in limits.items()
    )
    verdict, message = _verdict(suite, primary, guardrails, samples)
    return Judgement(verdict, message, samples, primary, guardrails)


def _obstacle(
    names: Sequence[str],
    baseline: Mapping[str, Scores],
    candidate: Mapping[str, Scores],
) -> str | None:
    """Why nothing can be compared, or None if it can."""
    for name in names:
        for who, scores in (("baseline", baseline), ("candidate", candidate)):
            missing = int(np.isnan(_array(scores.get(name, ()))).sum())
            if missing or name not in scores:
                count = missing or "all"
                return f"{count} {name} scores of the {who} are missing"
        old, new = len(baseline[name]), len(candidate[name])
        if old != new:
            return f"{name}: {new} scores against {old} of the baseline"
        if new < _FEWEST:
            return f"{new} questions are too few to compare anything"
    return None


def _array(scores: Scores) -> Array:
    """Scores as numbers; what is not finite is missing."""
    values = np.array(
        [np.nan if score is None else score for score in scores], dtype=float
    )
    values[~np.isfinite(values)] = np.nan
    return values


def _compare(
    suite: EvaluationSuiteSpec,
    name: str,
    baseline: Scores,
    candidate: Scores,
    identity: str,
) -> Comparison:
    alpha = float(suite.gate.alpha)
    old, new = _array(baseline), _array(candidate)
    differences = new - old
    interval = paired_interval(
        differences,
        alpha,
        suite.gate.resamples,
        seed_from(identity, name),
    )
    primary = name == suite.primary.name
    threshold = float(suite.gate.min_improvement) if primary else 0.0
    return Comparison(
        metric=name,
        baseline=float(old.mean()),
        candidate=float(new.mean()),
        interval=interval,
        detectable=detectable_effect(differences, alpha) + threshold,
        needed=samples_needed(
            differences, alpha, interval.estimate - threshold
        ),
    )


def _verdict(
    suite: EvaluationSuiteSpec,
    primary: Comparison,
    guardrails: Sequence[GuardrailJudgement],
    samples: int,
) -> tuple[Verdict, str]:
    found = primary.interval
    confidence = 100 * (1 - float(suite.gate.alpha))
    numbers = (
        f"{primary.metric} {primary.baseline:.4f} -> {primary.candidate:.4f}: "
        f"{found.estimate:+.4f} [{found.low:+.4f}, {found.high:+.4f}] at "
        f"{confidence:g} % on {samples} questions"
    )
    threshold = float(suite.gate.min_improvement)
    broken = [rail.describe() for rail in guardrails if not rail.kept]
    if samples < suite.gate.min_samples:
        few = f"fewer than minSamples {suite.gate.min_samples} questions"
        return "Inconclusive", f"{few}: {numbers}"
    if found.low > threshold and not broken:
        return "Passed", f"better: {numbers}"
    if found.low > threshold:
        return "Failed", f"guardrail: {'; '.join(broken)}; {numbers}"
    reason = _shortfall(primary, threshold)
    return "Failed", "; ".join([f"{reason}: {numbers}", *broken])


def _shortfall(primary: Comparison, threshold: float) -> str:
    """Why the improvement is not above the threshold."""
    found = primary.interval
    if found.low == found.high == 0:
        return "no difference"
    if found.high < 0:
        return "worse"
    if found.high <= threshold:
        return f"improvement below {threshold:g}"
    if primary.needed is None:
        return (
            f"not better: an improvement of {primary.detectable:.4f} would "
            "have been detected"
        )
    return (
        f"not shown to be better than {threshold:+g}: it would take about "
        f"{primary.needed} questions"
    )
