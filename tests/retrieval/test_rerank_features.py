"""What a reranker looks at, and the questions that it learns from. Pure."""

from __future__ import annotations

import numpy as np
import pytest

from reconciler.retrieval.chunking import Passage
from reconciler.retrieval.rerank_features import FEATURES, features, words_of
from reconciler.retrieval.search import Hit
from reconciler.retrieval.title_questions import question_of, title_corpus


def hit(path, body, score=0.03, cosine=0.5, rank=None):
    return Hit(Passage(path, 1, 1, "", body), score, cosine, rank)


@pytest.mark.parametrize(
    "hits",
    [
        [],
        [hit("a", "", cosine=None, rank=None)],
        [hit("a", "x " * 5000), hit("b", "ß\ud800\0", cosine=None, rank=1)],
    ],
)
@pytest.mark.parametrize("question", ["", "?", "word", "a b " * 500])
def test_features_are_finite_numbers_whatever_comes(question, hits):
    rows = features(question, hits)
    assert rows.shape == (len(hits), len(FEATURES))
    assert np.isfinite(rows).all()


def test_words_take_names_of_code_apart():
    assert words_of("np.linalg.matrixRank of_a") == [
        "np", "linalg", "matrix", "rank", "of", "a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("title", "question"),
    [
        ("numpy.linalg.matrix_rank", "linalg matrix rank"),
        ("guide, Backup of the database", "backup of the database"),
        ("README", None),
        ("guide, Notes", None),
    ],
)
def test_titles_become_questions(title, question):
    assert question_of(title) == question


def test_no_document_is_learned_from_and_judged_and_no_title_is_left():
    passages = [
        Passage(f"d{i}.md", n, n, f"d{i}, Part {n} of it", f"body {i} {n}")
        for i in range(60)
        for n in range(2)
    ]
    corpus = title_corpus(passages, 100)
    assert len(corpus.rows) == 100
    assert {row["title"] for row in corpus.rows} == {""}
    parts = {
        test: {
            path.split(":")[0]
            for q in corpus.questions
            if q.test is test
            for path in q.answers
        }
        for test in (False, True)
    }
    assert parts[True]
    assert len(parts[False]) > len(parts[True])
    assert not parts[False] & parts[True]
    assert title_corpus(passages[::-1], 100) == corpus


def test_a_copy_of_a_text_is_no_second_answer():
    twice = [
        Passage(f"d{i}.md", 1, 1, "d, The same title", "one body")
        for i in (1, 2)
    ]
    assert len(title_corpus(twice, 10).rows) == 1
