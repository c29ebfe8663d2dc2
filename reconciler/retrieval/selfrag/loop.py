"""Self-RAG: does what the policy says until there is an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from reconciler.retrieval.selfrag.answer import (
    Answer,
    Candidate,
    Draft,
    Judged,
    Scores,
    Verdict,
)
from reconciler.retrieval.selfrag.policy import (
    Abstain,
    Accept,
    Budget,
    Generate,
    JudgeNeed,
    Retrieve,
    Round,
    Step,
    Thresholds,
    Trace,
    next_step,
)
from reconciler.retrieval.selfrag.protocols import (
    Critic,
    Generator,
    PartError,
    Retriever,
)
from reconciler.retrieval.selfrag.queries import queries

Weights = tuple[float, float, float, float]
Progress = Callable[[Step], None]
_STEPS = 64
"""More than any budget needs; a policy that does not end is a defect."""


@dataclass(frozen=True)
class SelfRag:
    """Answers questions, or says why not.

    Attributes:
        retriever: finds passages.
        generator: proposes answers.
        critic: judges need, relevance, support and usefulness.
        weights: of likelihood, relevance, support and usefulness in the
            total score; they sum to 1.
        thresholds: what is enough.
        budget: what a question may cost.
    """

    retriever: Retriever
    generator: Generator
    critic: Critic
    weights: Weights = (0.1, 0.3, 0.3, 0.3)
    thresholds: Thresholds = field(default_factory=Thresholds)
    budget: Budget = field(default_factory=Budget)

    async def answer(
        self, question: str, progress: Progress | None = None
    ) -> Answer:
        """The outcome for a question.

        A part that fails, or too much time, is an abstention that says so.

        Raises:
            ValueError: the question is empty.
        """
        if not question.strip():
            raise ValueError("the question is empty")
        run = _Run(self, question, progress)
        try:
            async with asyncio.timeout(self.budget.seconds):
                return await run.to_the_end()
        except TimeoutError:
            why = f"it took more than {self.budget.seconds:g} s"
        except PartError as error:
            why = str(error)
        return run.outcome("abstained", None, why)


async def explore(parts: SelfRag, question: str) -> Trace:
    """Everything that the budget allows, whatever the scores: for tuning.

    Raises:
        PartError: a part failed.
    """
    never = replace(parts.thresholds, need=0.0, total=2.0)
    run = _Run(replace(parts, thresholds=never), question, None)
    await run.to_the_end()
    return run.trace


class _Run:
    """One question on its way."""

    def __init__(
        self, parts: SelfRag, question: str, progress: Progress | None
    ) -> None:
        self._parts = parts
        self._question = question
        self._progress = progress
        self._queries = queries(question)
        self.trace = Trace()

    async def to_the_end(self) -> Answer:
        parts = self._parts
        for _ in range(_STEPS):
            step = next_step(
                self.trace,
                self._queries,
                parts.thresholds,
                parts.budget,
                closed_book=parts.generator.closed_book,
            )
            if self._progress is not None:
                self._progress(step)
            match step:
                case Accept(best, reason):
                    return self.outcome("answered", best, reason)
                case Abstain(best, reason):
                    return self.outcome("abstained", best, reason)
                case _:
                    self.trace = await self._done(step)
        raise AssertionError("the policy does not end")

    async def _done(self, step: JudgeNeed | Retrieve | Generate) -> Trace:
        parts, question = self._parts, self._question
        match step:
            case JudgeNeed():
                need = await parts.critic.need(question)
                return replace(self.trace, need=need)
            case Retrieve(query):
                found = await self._found(query)
                rounds = (*self.trace.rounds, Round(query, found))
                return replace(self.trace, rounds=rounds)
            case Generate(passages):
                judged = await self._judged(passages)
                if not passages:
                    return replace(self.trace, unaided=judged)
                *before, last = self.trace.rounds
                rounds = (*before, replace(last, judged=judged))
                return replace(self.trace, rounds=rounds)

    async def _found(self, query: str) -> tuple[Candidate, ...]:
        """Passages with their relevance to the question, best first."""
        parts = self._parts
        found = await parts.retriever.retrieve(query, parts.budget.passages)
        values = await parts.critic.relevance(self._question, found)
        rated = [
            replace(passage, relevance=value)
            for passage, value in zip(found, values, strict=True)
        ]
        return tuple(sorted(rated, key=lambda p: -(p.relevance or 0.0)))

    async def _judged(
        self, passages: Sequence[Candidate]
    ) -> tuple[Judged, ...]:
        parts, question = self._parts, self._question
        drafts = await parts.generator.generate(
            question, passages, parts.budget.drafts
        )
        support, usefulness = await asyncio.gather(
            parts.critic.support(question, drafts),
            parts.critic.usefulness(question, drafts),
        )
        return tuple(
            Judged(draft, scores(draft, supported, useful, parts.weights))
            for draft, supported, useful in zip(
                drafts, support, usefulness, strict=True
            )
        )

    def outcome(
        self, verdict: Verdict, best: Judged | None, reason: str
    ) -> Answer:
        parts = self._parts
        return Answer(
            question=self._question,
            verdict=verdict,
            reason=reason,
            best=best,
            need=0.0 if self.trace.need is None else self.trace.need,
            queries=tuple(each.query for each in self.trace.rounds),
            source=f"{parts.retriever.identity}, {parts.generator.identity}, "
            f"{parts.critic.identity}",
        )


def scores(
    draft: Draft, support: float, usefulness: float, weights: Weights
) -> Scores:
    """A draft's scores and their weighted sum. Pure.

    The relevance is that of the least relevant passage it quotes. The sum is
    that of Asai et al. (2023), normalised so that it is at most 1.
    """
    of_spans = [span.passage.relevance or 0.0 for span in draft.spans]
    relevance = min(of_spans, default=0.0)
    parts = (draft.likelihood, relevance, support, usefulness)
    total = sum(w * part for w, part in zip(weights, parts, strict=True))
    return Scores(relevance, support, usefulness, total)
