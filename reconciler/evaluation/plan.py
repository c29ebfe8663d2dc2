"""Planning an EvaluationSuite: is it usable, and what did it judge lately.

A suite has no effects of its own: it is read when a candidate is evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.engine.conditions import Conditions
from reconciler.engine.plan import Plan
from reconciler.engine.resource import ANNOTATIONS
from reconciler.evaluation.resource import (
    EvaluationSuite,
    EvaluationSuiteSpec,
    EvaluationSuiteStatus,
    SuiteReport,
)

MOST_REPORTS = 20


@dataclass(frozen=True)
class Observed:
    """Judgements by this suite, in any order."""

    reports: tuple[SuiteReport, ...] = ()


def plan(
    desired: EvaluationSuite, observed: Observed, now: datetime
) -> Plan[EvaluationSuiteStatus]:
    """What to report about a suite. There is never an action."""
    meta = desired.metadata
    conditions = Conditions(desired.status.conditions, meta.generation, now)
    wrong = problems(desired.spec)
    if wrong:
        conditions.stalled("InvalidSpec", "; ".join(wrong))
    else:
        conditions.ready("Usable", describe(desired.spec))
    status = desired.status.model_copy(
        update={
            "observed_generation": meta.generation,
            "conditions": conditions.build(),
            "reports": newest(observed.reports),
            "last_handled_reconcile_at": meta.annotations.get(
                ANNOTATIONS.requested_at,
                desired.status.last_handled_reconcile_at,
            ),
        }
    )
    return Plan(status=status, release=desired.deleting)


def problems(spec: EvaluationSuiteSpec) -> list[str]:
    """Why no candidate could ever pass, or be judged, by this suite.

    What the schema of the kind refuses already is not repeated.
    """
    gate = spec.gate
    alpha = float(gate.alpha)
    wrong = []
    if not 0 < alpha < 0.5:  # noqa: PLR2004 - one-sided error rate
        wrong.append(f"gate.alpha {gate.alpha} is not between 0 and 0.5")
    elif alpha * (gate.resamples + 1) < 1:
        wrong.append(
            f"gate.resamples {gate.resamples} are too few for gate.alpha "
            f"{gate.alpha}: the gate could never pass"
        )
    if not -1 <= float(gate.min_improvement) < 1:
        wrong.append(
            f"gate.minImprovement {gate.min_improvement} is not between -1 "
            "and 1, where differences of scores are"
        )
    if spec.data.samples < gate.min_samples:
        wrong.append(
            f"data.samples {spec.data.samples} are fewer than gate.minSamples "
            f"{gate.min_samples}: the gate could never pass"
        )
    if float(spec.decoding.temperature) < 0:
        wrong.append("decoding.temperature is negative")
    wrong.extend(
        f"guardrail {rail.name} needs maxDrop, and not below 0"
        for rail in spec.guardrails
        if rail.max_drop is None or float(rail.max_drop) < 0
    )
    return wrong


def describe(spec: EvaluationSuiteSpec) -> str:
    """What the suite judges by, in one line."""
    rails = [f"{r.name} -{r.max_drop}" for r in spec.guardrails]
    guarded = f"; guardrails {', '.join(rails)}" if rails else ""
    return (
        f"{spec.primary.name} on {spec.data.samples} held-out questions of "
        f"{spec.data.corpus}, lower bound at alpha {spec.gate.alpha} above "
        f"{spec.gate.min_improvement}{guarded}"
    )


def newest(reports: Sequence[SuiteReport]) -> tuple[SuiteReport, ...]:
    """The newest judgements, last first, one per generation."""
    ordered = sorted(
        reports,
        key=lambda r: (r.at or "", _number(r.generation), r.generation),
        reverse=True,
    )
    first = {report.generation: report for report in reversed(ordered)}
    kept = [r for r in ordered if first[r.generation] is r]
    return tuple(kept[:MOST_REPORTS])


def _number(generation: str) -> int:
    """The number at the end of a name such as docs-12, else 0."""
    tail = generation.rpartition("-")[2]
    return int(tail) if tail.isascii() and tail.isdigit() else 0
