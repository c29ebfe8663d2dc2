"""Choosing weights and thresholds on validation questions. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reconciler.retrieval.selfrag.answer import Judged
from reconciler.retrieval.selfrag.loop import Weights, scores
from reconciler.retrieval.selfrag.policy import Thresholds, Trace
from reconciler.retrieval.selfrag.training.questions import Question

RELEVANCE = (0.05, 0.15, 0.3)
"""Thresholds for passages that are tried: each needs its own drafts."""
_SUPPORT = 0.2
"""Weight of the support: constant for quotations, so not tuned on them."""
_STEPS = 60


@dataclass(frozen=True)
class Tuned:
    """What was best, and its share of right decisions on validation."""

    weights: Weights
    thresholds: Thresholds
    rounds: int
    right: float


def is_right(question: Question, accepted: Judged | None) -> bool:
    """Whether the decision was right.

    An answer is if all its evidence is of documents that answer; to abstain
    is if there are none.
    """
    if accepted is None:
        return not question.gold
    return all(
        span.passage.path in question.gold for span in accepted.draft.spans
    )


def rescored(trace: Trace, weights: Weights) -> list[list[Judged]]:
    """The drafts of each round, with totals by other weights."""
    return [
        [
            Judged(
                each.draft,
                scores(
                    each.draft,
                    each.scores.support,
                    each.scores.usefulness,
                    weights,
                ),
            )
            for each in found.judged or ()
        ]
        for found in trace.rounds
    ]


def best_of(drafts: Iterable[Judged]) -> Judged | None:
    """The draft of the highest total."""
    return max(drafts, key=lambda each: each.scores.total, default=None)


def tune(
    questions: Sequence[Question],
    traces: Mapping[float, Sequence[Trace]],
    need: float,
) -> Tuned:
    """The weights and thresholds with most right decisions.

    Args:
        questions: of the validation split.
        traces: by relevance threshold, of each question, all rounds run.
        need: threshold of the need head.
    """
    found = [
        _with(questions, list(of_threshold), weights, rounds, relevance, need)
        for relevance, of_threshold in traces.items()
        for weights in _weights()
        for rounds in (1, 2)
    ]
    # Of equal ones the first: fewer rounds, lower thresholds.
    return max(found, key=lambda each: round(each.right, 6))


def _weights() -> Iterator[Weights]:
    rest = 1 - _SUPPORT
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    for a, b in itertools.product(shares, shares):
        if a + b <= 1:
            parts = (a * rest, b * rest, (1 - a - b) * rest)
            likely, relevance, useful = (round(part, 4) for part in parts)
            yield likely, relevance, _SUPPORT, useful


def _with(
    questions: Sequence[Question],
    traces: Sequence[Trace],
    weights: Weights,
    rounds: int,
    relevance: float,
    need: float,
) -> Tuned:
    """The best threshold of the total for these weights."""
    bests = [
        [best_of(drafts) for drafts in rescored(trace, weights)[:rounds]]
        for trace in traces
    ]
    flat = [b.scores.total for each in bests for b in each if b is not None]
    levels = np.quantile(flat, np.linspace(0, 1, _STEPS)) if flat else [1.0]
    chosen = (0.0, -1.0)
    for level in levels:
        right = [
            is_right(question, accepted(each, float(level)))
            for question, each in zip(questions, bests, strict=True)
        ]
        share = sum(right) / max(len(right), 1)
        if share > chosen[1]:
            chosen = (float(level), share)
    total = round(chosen[0], 4)
    thresholds = replace(
        Thresholds(),
        need=need,
        relevance=relevance,
        usefulness=0.0,
        total=total,
    )
    return Tuned(weights, thresholds, rounds, chosen[1])


def accepted(bests: Sequence[Judged | None], level: float) -> Judged | None:
    """The first round's best draft that reaches the level."""
    for best in bests:
        if best is not None and best.scores.total >= level:
            return best
    return None
