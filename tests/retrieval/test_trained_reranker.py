"""A reranker that is trained: its network and files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from reconciler.retrieval.chunking import Passage
from reconciler.retrieval.embedder import EmbedderError
from reconciler.retrieval.rerank_training import (
    Listed,
    reciprocal_ranks,
    train,
)
from reconciler.retrieval.reranking import reranked
from reconciler.retrieval.search import Hit
from reconciler.retrieval.title_questions import TitleQuestion
from reconciler.retrieval.trained_reranker import TrainedReranker

pytestmark = pytest.mark.slow  # torch and OpenVINO take seconds to load


def hit(path, body, score=0.03, cosine=0.5, rank=None):
    return Hit(Passage(path, 1, 1, "", body), score, cosine, rank)


def lists(count, seed=0):
    """The right hit is the one with the question's words, placed anywhere."""
    source = np.random.default_rng(seed)
    made = []
    for i in range(count):
        place = int(source.integers(0, 8))
        hits = [
            hit(
                f"d{j}",
                "alpha beta gamma" if j == place else f"other words {j}",
                score=1 / (60 + j + 1),
                cosine=0.9 - 0.05 * j,
            )
            for j in range(8)
        ]
        question = TitleQuestion(
            "alpha beta", frozenset({f"d{place}"}), test=i % 2 == 0
        )
        made.append(Listed(question, hits))
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("rerankers") / "small"
    assert train(lists(60), directory, "an embedder") == 60
    return directory


def test_what_was_learned_holds_for_other_questions(trained):
    fresh = lists(40, seed=1)
    before = reciprocal_ranks(fresh, None).mean()
    after = reciprocal_ranks(fresh, TrainedReranker(trained)).mean()
    assert before < 0.6
    assert after == 1.0


def test_scores_are_shares_and_the_same_each_time(trained):
    (example,) = lists(1)
    scores = TrainedReranker(trained).score("alpha beta", example.hits)
    again = TrainedReranker(trained).score("alpha beta", example.hits)
    assert scores.shape == (8,)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores.tolist() == again.tolist()


def test_the_same_seed_gives_the_same_network(trained, tmp_path):
    train(lists(60), tmp_path / "again", "an embedder")
    (example,) = lists(1, seed=9)
    ours = TrainedReranker(trained).score("alpha beta", example.hits)
    theirs = TrainedReranker(tmp_path / "again").score(
        "alpha beta", example.hits
    )
    assert np.abs(ours - theirs).max() < 1e-5


def test_the_graph_gives_what_its_order_says(trained):
    (example,) = lists(1)
    ranked = reranked("alpha beta", example.hits, TrainedReranker(trained))
    relevance = [r.relevance for r in ranked]
    assert relevance == sorted(relevance, reverse=True)
    assert {r.hit for r in ranked} == set(example.hits)


def test_nothing_to_learn_is_said(tmp_path):
    wrong = Listed(TitleQuestion("a b", frozenset({"x"}), test=False), [])
    with pytest.raises(ValueError, match="nothing to learn"):
        train([wrong], tmp_path / "none", "e")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("reranker.json", "{", "reranker.json"),
        (
            "reranker.json",
            json.dumps({"features": ["x"], "embedder": "e", "figures": {}}),
            "other features",
        ),
        ("model.xml", "<net", "model.xml"),
    ],
)
def test_damaged_files_are_refused(trained, tmp_path, name, content, message):
    for file in trained.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_text(content)
    with pytest.raises(EmbedderError, match=message):
        TrainedReranker(tmp_path)
