"""Rows and labels for the four heads, made from a bench."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reconciler.retrieval.arrays import Floats, Mask
from reconciler.retrieval.embedder import Embedder
from reconciler.retrieval.selfrag.answer import Candidate
from reconciler.retrieval.selfrag.features import RELEVANCE, SUPPORT
from reconciler.retrieval.selfrag.heads import Head
from reconciler.retrieval.selfrag.local_critic import (
    relevance_rows,
    support_features,
    usefulness_rows,
)
from reconciler.retrieval.selfrag.protocols import Generator, Retriever
from reconciler.retrieval.selfrag.sentences import numbers, spans
from reconciler.retrieval.selfrag.similarity import unit
from reconciler.retrieval.selfrag.training.documents import Document, rank
from reconciler.retrieval.selfrag.training.questions import Question
from reconciler.retrieval.selfrag.training.utterances import UTTERANCES

DRAFTS = 4
USED = 4


@dataclass(frozen=True)
class Examples:
    """Rows of shape (n, features) with labels 0 and 1 of shape (n,)."""

    rows: Floats
    labels: Mask


@dataclass(frozen=True)
class Found:
    """A question with what a search for it found."""

    question: Question
    passages: tuple[Candidate, ...]
    rows: Floats
    """Of the relevance head."""

    @property
    def labels(self) -> Mask:
        """Whether a passage is of a document that answers."""
        gold = self.question.gold
        found = [passage.path in gold for passage in self.passages]
        return np.array(found, np.uint8)


async def search_all(
    questions: Iterable[Question],
    retriever: Retriever,
    embedder: Embedder,
    k: int,
) -> list[Found]:
    """The passages for every question, with their features."""
    found = []
    for question in questions:
        passages = await retriever.retrieve(question.text, k)
        rows = relevance_rows(embedder, question.text, passages)
        found.append(Found(question, tuple(passages), rows))
    return found


def relevance_examples(found: Sequence[Found]) -> Examples:
    """Passages of the right document, and others that were found."""
    rows = [each.rows for each in found if len(each.passages)]
    if not rows:
        return Examples(
            np.zeros((0, len(RELEVANCE)), np.float32), np.zeros(0, np.uint8)
        )
    labels = [each.labels for each in found if len(each.passages)]
    return Examples(np.concatenate(rows), np.concatenate(labels))


async def usefulness_examples(
    found: Sequence[Found],
    head: Head,
    generator: Generator,
    embedder: Embedder,
) -> Examples:
    """Sentences of the right document, and of others that seem relevant."""
    rows: list[Floats] = []
    labels: list[bool] = []
    for each in found:
        question = each.question
        rated = [
            replace(passage, relevance=float(value))
            for passage, value in zip(
                each.passages, head.probabilities(each.rows), strict=True
            )
        ]
        rated.sort(key=lambda passage: -(passage.relevance or 0))
        drafts = await generator.generate(question.text, rated[:USED], DRAFTS)
        if drafts:
            rows.append(usefulness_rows(embedder, question.text, drafts))
        for draft in drafts:
            passage = draft.spans[0].passage
            labels.append(passage.path in question.gold)
    return Examples(np.concatenate(rows), np.array(labels, np.uint8))


def support_examples(
    documents: Sequence[Document], embedder: Embedder
) -> Examples:
    """Claims with evidence that states them, and with such that does not.

    Stated: a headline by the body of its document; a sentence, shortened, by
    the text it is from. Not stated: a headline by the body of the document of
    the same package that comes next; a sentence with another number or with a
    negation that the text has not.
    """
    rows, labels = [], []
    ordered = sorted(documents, key=lambda d: (d.package, d.title))
    for document, other in zip(
        ordered, [*ordered[1:], ordered[0]], strict=True
    ):
        pairs = [
            (document.headline, document.body, True),
            (document.headline, other.body, False),
        ]
        sentence = _sentence(document)
        if sentence:
            pairs.append((_shortened(sentence), document.body, True))
            pairs.append((_falsified(sentence), document.body, False))
        for claim, evidence, label in pairs:
            rows.append(support_features(embedder, claim, evidence[:1400]))
            labels.append(label)
    if not rows:
        return Examples(
            np.zeros((0, len(SUPPORT)), np.float32), np.zeros(0, np.uint8)
        )
    return Examples(np.stack(rows), np.array(labels, np.uint8))


def need_examples(
    documents: Sequence[Document],
    questions: Sequence[Question],
    embedder: Embedder,
    *,
    held_out: bool,
) -> Examples:
    """Questions and titles, and what people say that needs no document.

    Two thirds of the utterances are for training.
    """
    talk = [u for u in UTTERANCES if (rank(u) % 3 == 0) == held_out]
    asked = [question.text for question in questions][:1500]
    titles = [document.title for document in documents][:300]
    texts = [*asked, *titles, *talk]
    labels = np.zeros(len(texts), np.uint8)
    labels[: len(asked) + len(titles)] = 1
    return Examples(unit(embedder.embed(texts)), labels)


def _sentence(document: Document) -> str:
    """One sentence of the body, of usual length."""
    body = document.body[:1400]
    found = [body[a:b] for a, b in spans(body) if 40 <= b - a <= 200]  # noqa: PLR2004
    return found[rank(document.title) % len(found)] if found else ""


def _shortened(sentence: str) -> str:
    """Without its first word, and what follows the last comma."""
    _, _, rest = sentence.partition(" ")
    head = rest.rpartition(",")[0]
    return head if len(head) >= 30 else rest  # noqa: PLR2004


def _falsified(sentence: str) -> str:
    """With another number if it has one, else negated."""
    for number in sorted(numbers(sentence)):
        return sentence.replace(number, f"{float(number) * 3 + 7:g}")
    first, _, rest = sentence.partition(" ")
    for verb in (" is ", " are ", " can ", " will ", " must ", " should "):
        if verb in sentence:
            return sentence.replace(verb, f"{verb}not ", 1)
    return f"{first} never {rest}"
