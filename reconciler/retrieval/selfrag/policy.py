"""What to do next for a question. Pure: the loop in `loop.py` does it.

need? -> no: answer without evidence, or abstain
      -> yes: retrieve -> relevant? -> generate -> supported and useful?
                 ^          | none         | none accepted
                 '-- another query, as long as the budget lasts --'
                                   then abstain, saying why
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from reconciler.retrieval.selfrag.answer import Candidate, Judged, Key


@dataclass(frozen=True)
class Thresholds:
    """What scores are enough, tuned on validation questions (`tuning.py`).

    Attributes:
        need: below it nothing is looked up.
        relevance: passages below it are not used.
        support: drafts below it are not accepted.
        usefulness: nor are these.
        total: nor are these, by the weighted score.
    """

    need: float = 0.5
    relevance: float = 0.5
    support: float = 0.5
    usefulness: float = 0.5
    total: float = 0.5


@dataclass(frozen=True)
class Budget:
    """What one question may cost.

    Attributes:
        rounds: searches.
        passages: found by each search.
        used: relevant passages that a generator is given.
        drafts: proposed in each round.
        seconds: for everything.
    """

    rounds: int = 2
    passages: int = 8
    used: int = 4
    drafts: int = 4
    seconds: float = 60.0


@dataclass(frozen=True)
class Round:
    """One search and what came of it.

    Attributes:
        query: what was searched for.
        found: passages with their relevance, best first.
        judged: drafts; None before there were any.
    """

    query: str
    found: tuple[Candidate, ...]
    judged: tuple[Judged, ...] | None = None


@dataclass(frozen=True)
class Trace:
    """What is known about a question so far."""

    need: float | None = None
    rounds: tuple[Round, ...] = ()
    unaided: tuple[Judged, ...] | None = None
    """Drafts that were made without evidence."""


@dataclass(frozen=True)
class JudgeNeed:
    """Ask the critic whether to look it up."""


@dataclass(frozen=True)
class Retrieve:
    """Search."""

    query: str


@dataclass(frozen=True)
class Generate:
    """Have drafts made and judged; without passages: unaided."""

    passages: tuple[Candidate, ...]


@dataclass(frozen=True)
class Accept:
    """This is the answer."""

    best: Judged
    reason: str


@dataclass(frozen=True)
class Abstain:
    """There is no answer that can be stood for."""

    best: Judged | None
    reason: str


Step = JudgeNeed | Retrieve | Generate | Accept | Abstain


def next_step(
    trace: Trace,
    queries: tuple[str, ...],
    thresholds: Thresholds,
    budget: Budget,
    *,
    closed_book: bool,
) -> Step:
    """The next step for a question.

    Args:
        trace: what has been done.
        queries: what to search for, the first round's first.
        thresholds: see there.
        budget: see there.
        closed_book: whether the generator can answer without evidence.
    """
    if trace.need is None:
        return JudgeNeed()
    if trace.need < thresholds.need:
        return _without_evidence(trace, thresholds, closed_book=closed_book)
    if trace.rounds:
        last = trace.rounds[-1]
        used = usable(trace, thresholds, budget)
        if last.judged is None and used:
            return Generate(used)
        good = [j for j in last.judged or () if not _lacking(j, thresholds)]
        if (best := _best(good)) is not None:
            return Accept(best, "its evidence states it, and it answers")
    done = len(trace.rounds)
    if done < min(budget.rounds, len(queries)):
        return Retrieve(queries[done])
    return _give_up(trace, thresholds)


def usable(
    trace: Trace, thresholds: Thresholds, budget: Budget
) -> tuple[Candidate, ...]:
    """Relevant passages of the last round that no round before had used."""
    used, chosen = set[Key](), tuple[Candidate, ...]()
    for each in trace.rounds:
        relevant = (
            passage
            for passage in each.found
            if (passage.relevance or 0.0) >= thresholds.relevance
            and passage.key not in used
        )
        chosen = tuple(islice(relevant, budget.used))
        used.update(passage.key for passage in chosen)
    return chosen


def _without_evidence(
    trace: Trace, thresholds: Thresholds, *, closed_book: bool
) -> Step:
    why = f"nothing to look up (need {trace.need:.2f})"
    if not closed_book:
        return Abstain(None, f"{why}, and this generator only quotes")
    if trace.unaided is None:
        return Generate(())
    best = _best(trace.unaided)
    if best is None:
        return Abstain(None, f"{why}, and the generator said nothing")
    if best.scores.usefulness < thresholds.usefulness:
        return Abstain(best, f"{why}; {_below('usefulness', best)}")
    return Accept(best, why)


def _best(judged: Iterable[Judged]) -> Judged | None:
    return max(judged, key=lambda each: each.scores.total, default=None)


def _lacking(best: Judged, thresholds: Thresholds) -> list[str]:
    """Names of the scores that are too low."""
    return [
        name
        for name in ("support", "usefulness", "total")
        if getattr(best.scores, name) < getattr(thresholds, name)
    ]


def _below(name: str, best: Judged) -> str:
    return f"{name} {getattr(best.scores, name):.2f} is too low"


def _give_up(trace: Trace, thresholds: Thresholds) -> Abstain:
    best = _best(d for r in trace.rounds for d in r.judged or ())
    if best is not None:
        lacking = _lacking(best, thresholds)
        why = ", ".join(_below(name, best) for name in lacking)
        return Abstain(best, f"no answer can be stood for: {why}")
    found = [p.relevance or 0.0 for r in trace.rounds for p in r.found]
    if not found:
        return Abstain(None, "nothing was found")
    if max(found) >= thresholds.relevance:
        return Abstain(None, "the generator made nothing of the evidence")
    return Abstain(None, f"nothing relevant was found (best {max(found):.2f})")
