"""Questions with known answers from documents alone: titles and their texts.

A title is turned into a question, and the passages below it are what should
be found. Their titles are taken away, so that no question stands in its own
answer. Documents are split as a whole: what was trained on never judges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.retrieval.chunking import Passage
from reconciler.retrieval.rerank_features import words_of

MIN_WORDS = 2
"""Of a question; one word alone asks nothing."""

TEST_SHARE = 0.3


@dataclass(frozen=True)
class TitleQuestion:
    """A question and the documents that answer it.

    Attributes:
        text: the question.
        answers: paths of the rows that are right.
        test: whether it judges instead of training.
    """

    text: str
    answers: frozenset[str]
    test: bool


@dataclass(frozen=True)
class TitleCorpus:
    """Rows to be indexed, as `Rows` reads them, and the questions."""

    rows: list[dict[str, str]]
    questions: list[TitleQuestion]


def title_corpus(passages: Sequence[Passage], limit: int) -> TitleCorpus:
    """Rows without titles, and a question for each title.

    Args:
        passages: of all documents.
        limit: rows to take; documents are taken whole, in the order of
            their hashes, so that the choice is fair and repeatable.
    """
    chosen = sorted(passages, key=lambda p: (_hash(p.path), p.path, p.first))
    rows, answers = list[dict[str, str]](), dict[tuple[str, str], set[str]]()
    seen = set[str]()
    for passage in chosen:
        if len(rows) >= limit:
            break
        if passage.body in seen:
            continue  # a copy would be a second right answer
        seen.add(passage.body)
        path = f"{passage.path}:{len(rows)}"
        rows.append({"path": path, "title": "", "text": passage.body})
        answers.setdefault((passage.path, passage.title), set()).add(path)
    questions = [
        TitleQuestion(text, frozenset(paths), _is_test(document))
        for (document, title), paths in answers.items()
        if (text := question_of(title)) is not None
    ]
    return TitleCorpus(rows, questions)


def question_of(title: str) -> str | None:
    """The title in words, without where it stands; None if too short.

    `numpy.linalg.matrix_rank` asks for "linalg matrix rank", `guide, Backup
    of the database` for "Backup of the database".
    """
    place, heading, rest = title.partition(", ")
    text = rest if heading else ".".join(place.split(".")[-2:])
    words = words_of(text)
    return " ".join(words) if len(words) >= MIN_WORDS else None


def _is_test(document: str) -> bool:
    return _hash(f"split {document}") < TEST_SHARE


def _hash(text: str) -> float:
    digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8]) / 2**64
