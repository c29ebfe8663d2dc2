"""What an evaluation found, in a form for machines and one for people."""

from __future__ import annotations

from reconciler.evaluation.gate import Comparison, Judgement
from reconciler.evaluation.resource import Verdict
from reconciler.runs.protocol import Document

_DECIMALS = 6


class ComparedMetric(Document):
    """Candidate against baseline on one metric."""

    metric: str
    baseline_score: float
    score: float
    estimate: float
    """Mean difference, candidate minus baseline."""

    ci_low: float
    ci_high: float


class Guardrail(ComparedMetric):
    """A metric that must not fall."""

    max_drop: float
    kept: bool


class Questions(Document):
    """What was asked."""

    corpus: str
    split: str
    samples: int
    digest: str
    """SHA-256 over the questions and their references."""


class Report(Document):
    """The judgement of one candidate. Scores are None if there are none."""

    primary: str
    """Name of the metric that has to improve."""

    candidate: str
    baseline: str
    score: float | None = None
    baseline_score: float | None = None
    estimate: float | None = None
    """Absolute difference of the mean scores, candidate minus baseline."""

    ci_low: float | None = None
    ci_high: float | None = None
    """Bounds of the estimate, one-sided alpha at each end."""

    samples: int
    gate: Verdict
    message: str
    guardrails: tuple[Guardrail, ...] = ()
    detectable_effect: float | None = None
    """True improvement that would be detected nine times out of ten."""

    samples_needed: int | None = None
    """Questions that would detect the estimate; None if it is not up."""

    alpha: float
    min_improvement: float
    min_samples: int
    resamples: int
    meaning: str
    """What the primary score says, and what it does not say."""

    method: str
    """How the bounds were computed."""

    decoding: str
    questions: Questions
    seed: int
    versions: dict[str, str]
    """Metric versions and signatures, and the software that computed."""

    def to_markdown(self) -> str:
        """The report for people."""
        return "\n".join(
            [
                f"# {self.candidate} against {self.baseline}: {self.gate}",
                "",
                self.message + ".",
                "",
                *self._table(),
                "",
                *self._facts(),
                "",
            ]
        )

    def _table(self) -> list[str]:
        rows = [
            "| metric | baseline | candidate | difference | interval | |",
            "|---|---|---|---|---|---|",
        ]
        if self.estimate is None:
            return [*rows, f"| {self.primary} | - | - | - | - | no scores |"]
        first = ComparedMetric(
            metric=self.primary,
            baseline_score=self.baseline_score or 0.0,
            score=self.score or 0.0,
            estimate=self.estimate,
            ci_low=self.ci_low or 0.0,
            ci_high=self.ci_high or 0.0,
        )
        rows.append(_row(first, f"must be above {self.min_improvement:g}"))
        for rail in self.guardrails:
            kept = "kept" if rail.kept else "not kept"
            note = f"may not fall by more than {rail.max_drop:g}: {kept}"
            rows.append(_row(rail, note))
        return rows

    def _facts(self) -> list[str]:
        asked = self.questions
        where = f"of the {asked.split} part of {asked.corpus}"
        lines = [
            f"- The score: {self.meaning}.",
            f"- Questions: {asked.samples} {where}, digest {asked.digest}.",
            f"- Answers: {self.decoding}.",
            f"- Interval: {self.method}.",
        ]
        if self.detectable_effect is not None:
            lines.append(
                "- A true improvement of "
                f"{self.detectable_effect:.4f} would be detected nine times "
                "out of ten with this many questions."
            )
        if self.samples_needed is not None:
            lines.append(
                "- An improvement as large as the one seen would be detected "
                f"nine times out of ten with {self.samples_needed} questions."
            )
        versions = ", ".join(f"{k} {v}" for k, v in self.versions.items())
        return [*lines, f"- Versions: {versions}."]


def compared(found: Comparison) -> dict[str, float]:
    """The rounded numbers of a comparison, by field of ComparedMetric."""
    numbers = {
        "baseline_score": found.baseline,
        "score": found.candidate,
        "estimate": found.interval.estimate,
        "ci_low": found.interval.low,
        "ci_high": found.interval.high,
    }
    return {name: _rounded(value) for name, value in numbers.items()}


def guardrails(judgement: Judgement) -> tuple[Guardrail, ...]:
    """The guardrails of a judgement."""
    return tuple(
        Guardrail(
            metric=rail.comparison.metric,
            max_drop=rail.max_drop,
            kept=rail.kept,
            **compared(rail.comparison),
        )
        for rail in judgement.guardrails
    )


def effects(found: Comparison | None) -> dict[str, float | int | None]:
    """What these data could detect, and what it takes to detect more."""
    if found is None:
        return {}
    return {
        "detectable_effect": _rounded(found.detectable),
        "samples_needed": found.needed,
    }


def method(alpha: float, resamples: int) -> str:
    """How the bounds are computed, in words."""
    return (
        "difference of means of paired scores; at each end the more careful "
        "of a paired bootstrap (Student's t below 100 questions) and of "
        f"random sign flips, {resamples} each, one-sided error rate "
        f"{alpha:g} at each end"
    )


def _rounded(value: float) -> float:
    return round(value, _DECIMALS) + 0.0


def _row(found: ComparedMetric, note: str) -> str:
    cells = [
        found.metric,
        f"{found.baseline_score:.4f}",
        f"{found.score:.4f}",
        f"{found.estimate:+.4f}",
        f"{found.ci_low:+.4f} to {found.ci_high:+.4f}",
        note,
    ]
    return f"| {' | '.join(cells)} |"
