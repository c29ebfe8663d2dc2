"""Plain RAG, to compare with: searches once, answers from what came first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reconciler.retrieval.selfrag.answer import Draft
from reconciler.retrieval.selfrag.protocols import Generator, Retriever
from reconciler.retrieval.selfrag.training.questions import Question

USED = (1, 2, 4)
"""Passages that the generator may be given."""


@dataclass(frozen=True)
class Plain:
    """What plain RAG says.

    Attributes:
        draft: the generator's first; None if there was nothing to quote.
        cosine: of the question with the passage found first; 0 if only
            words found it.
    """

    draft: Draft | None
    cosine: float

    def right(self, question: Question, threshold: float) -> bool:
        """Whether it is right, if it abstains below a cosine."""
        if self.draft is None or self.cosine < threshold:
            return not question.gold
        return any(
            span.passage.path in question.gold for span in self.draft.spans
        )


async def plain(
    question: str, retriever: Retriever, generator: Generator, used: int
) -> Plain:
    """Plain RAG over the first passages.

    Raises:
        PartError: a part failed.
    """
    found = await retriever.retrieve(question, used)
    drafts = await generator.generate(question, found, 1)
    cosine = (found[0].cosine or 0.0) if found else 0.0
    return Plain(drafts[0] if drafts else None, cosine)


def best_threshold(
    questions: Sequence[Question], said: Sequence[Plain]
) -> tuple[float, float]:
    """The cosine with most right decisions, and their share."""
    cosines = [each.cosine for each in said]
    found = [
        (
            float(level),
            float(
                np.mean(
                    [
                        each.right(question, level)
                        for question, each in zip(questions, said, strict=True)
                    ]
                )
            ),
        )
        for level in np.quantile(cosines, np.linspace(0, 1, 101))
    ]
    return max(found, key=lambda pair: pair[1])


async def tuned(
    questions: Sequence[Question], retriever: Retriever, generator: Generator
) -> dict[str, float]:
    """The best number of passages and the best threshold for it."""
    best: dict[str, float] = {}
    for used in USED:
        said = [
            await plain(question.text, retriever, generator, used)
            for question in questions
        ]
        level, share = best_threshold(questions, said)
        if share > best.get("plainValidationRight", 0.0):
            best = {
                "plainUsed": used,
                "plainCosine": round(level, 4),
                "plainValidationRight": round(share, 4),
            }
    return best
