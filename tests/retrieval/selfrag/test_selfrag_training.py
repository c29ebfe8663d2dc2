from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from reconciler.retrieval.embedder import HashingEmbedder
from reconciler.retrieval.selfrag.extractive import ExtractiveGenerator
from reconciler.retrieval.selfrag.features import RELEVANCE
from reconciler.retrieval.selfrag.policy import Round, Thresholds, Trace
from reconciler.retrieval.selfrag.similarity import unit
from reconciler.retrieval.selfrag.training.baseline import (
    Plain,
    best_threshold,
)
from reconciler.retrieval.selfrag.training.documents import (
    Document,
    documents,
)
from reconciler.retrieval.selfrag.training.examples import (
    Examples,
    _falsified,
    _shortened,
)
from reconciler.retrieval.selfrag.training.fit import (
    expected_calibration_error,
    fit,
    ranking_quality,
)
from reconciler.retrieval.selfrag.training.questions import (
    Question,
    bench,
    split_of,
    worded,
)
from reconciler.retrieval.selfrag.training.train import train
from reconciler.retrieval.selfrag.training.tuning import is_right, tune
from tests.retrieval.selfrag.selfrag_parts import judged, passage, quoted

SOURCE = '''
def closed(session):
    """Close the session at once.

    All requests that are under way are given up, and their connections are
    shut down; a session that was closed cannot be used again by anyone.
    """

def _hidden():
    """Is hidden from everyone.

    This text is long enough to be taken, were it not hidden from everyone,
    so that it would be found if hidden names were not left out as they are.
    """
'''
STATUS = """\
Package: libthing1
Source: thing (1.2)
Description: library for things
 This library has all the functions that are needed for things of any kind,
 and a few that are not.
 .
 It is stable.

Package: bare
Description: nothing more
"""


def made(package: str, name: str, headline: str) -> Document:
    body = f"{headline.lower()} in detail: " + "word " * 30
    return Document(package, f"{package}.{name}", headline, body)


def test_headlines_are_taken_out_of_documents(tmp_path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "client.py").write_text(SOURCE)
    (tmp_path / "web" / "broken.py").write_text("def (")
    status = tmp_path / "status"
    status.write_text(STATUS)
    debian, python = documents(tmp_path, status)
    assert python.title == "web.client.closed"
    assert python.headline == "Close the session at once."
    assert python.body.startswith("All requests")
    assert (debian.package, debian.title) == ("debian-thing", "libthing1")
    assert "library for things" not in debian.body
    assert "\n\nIt is stable." in debian.body
    assert documents(tmp_path, tmp_path / "absent") == [python]


def test_headlines_become_questions() -> None:
    asked = {
        worded(made("p", f"n{i}", "Computes the sum of a row."))
        for i in range(40)
    }
    assert "Computes the sum of a row" in asked
    assert "How do I compute the sum of a row?" in asked
    assert any(each.startswith("What does p.n") for each in asked)


def test_splits_share_no_package_and_removed_documents_are_gone() -> None:
    rng = np.random.default_rng(0)
    found = [
        made(f"pkg{p}", f"f{i}", f"Headline {p} {i}.")
        for p in range(60)
        for i in range(8)
    ]
    rows = unit(rng.standard_normal((len(found), 64)).astype(np.float32))
    rows[1] = rows[0]  # twins
    seen = set()
    for split in ("train", "validation", "test"):
        part = bench(split, found, rows, limit=1000)
        packages = {question.package for question in part.questions}
        assert packages.isdisjoint(seen)
        assert all(split_of(package) == split for package in packages)
        seen |= packages
        held = {document.path for document in part.documents}
        kinds = {question.kind for question in part.questions}
        assert kinds == {"answerable", "document absent", "package absent"}
        for question in part.questions:
            assert bool(question.gold) == (question.kind == "answerable")
            assert question.gold <= held
            there = {document.package for document in part.documents}
            if question.kind == "package absent":
                assert question.package not in there
        twins = {found[0].path, found[1].path}
        assert len(twins & held) in (0, 2)


def test_what_is_fitted_separates_and_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((4000, 2)).astype(np.float32)
    chance = 1 / (1 + np.exp(-(2 * rows[:, 0] - 1)))
    labels = (rng.random(4000) < chance).astype(np.uint8)
    head = fit(Examples(rows, labels), ("x", "noise"), 1.0)
    assert head.weights[0] == pytest.approx(2, abs=0.2)
    assert head.weights[1] == pytest.approx(0, abs=0.2)
    found = head.probabilities(rows)
    assert expected_calibration_error(found, labels) < 0.04
    assert expected_calibration_error(1 - found, labels) > 0.2


def test_ranking_quality_counts_ties_half() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.1])
    assert ranking_quality(scores, np.array([1, 1, 0, 0])) == 0.875
    assert np.isnan(ranking_quality(scores, np.zeros(4, np.uint8)))


def test_falsified_sentences_say_something_else() -> None:
    assert _falsified("At most 64 rows.") == "At most 199 rows."
    assert _falsified("It is closed.") == "It is not closed."
    assert _falsified("Rows follow.") == "Rows never follow."
    sentence = "This is a first clause that is long enough, and more."
    assert _shortened(sentence) == "is a first clause that is long enough"
    assert _shortened("This is short, and more.") == "is short, and more."


def asking(*gold: str) -> Question:
    kind = "answerable" if gold else "document absent"
    return Question("q?", kind, frozenset(gold), "p")


def test_right_is_supported_or_rightly_silent() -> None:
    draft = judged(0.9)  # quotes a.md
    assert is_right(asking("a.md"), draft)
    assert not is_right(asking("b.md"), draft)
    assert not is_right(asking(), draft)
    assert is_right(asking(), None)
    assert not is_right(asking("a.md"), None)


def test_tuning_finds_the_threshold_that_separates() -> None:
    questions = [asking("a.md"), asking("a.md"), asking(), asking()]
    traces = [
        Trace(1.0, (Round("q", (), (judged(0.0, usefulness=useful),)),))
        for useful in (0.9, 0.8, 0.3, 0.2)
    ]
    found = tune(questions, {0.05: traces}, need=0.25)
    assert found.right == 1.0
    assert found.thresholds.need == 0.25
    assert found.thresholds.relevance == 0.05
    again = tune(questions[:2], {0.05: traces[:2]}, need=0.25)
    assert again.right == 1.0


def test_the_baseline_gets_its_best_threshold() -> None:
    said = [
        Plain(quoted(passage("a")), cosine) for cosine in (0.9, 0.8, 0.3, 0.2)
    ]
    questions = [asking("a.md"), asking("a.md"), asking(), asking()]
    level, share = best_threshold(questions, said)
    assert 0.3 < level <= 0.8
    assert share == 1.0
    assert Plain(None, 0.0).right(asking(), -1.0)
    assert not Plain(None, 0.0).right(asking("a.md"), -1.0)


def test_heads_are_trained_end_to_end(tmp_path) -> None:
    names = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta")
    found = [
        made(f"pkg{p}", name, f"Compute the {name} of kind{p}.")
        for p in range(24)
        for name in names
    ]
    embedder = HashingEmbedder(256)
    rng = np.random.default_rng(0)
    rows = unit(rng.standard_normal((len(found), 64)).astype(np.float32))
    parts = [bench(s, found, rows, 60) for s in ("train", "validation")]
    said: list[str] = []
    heads = asyncio.run(
        train(
            *parts,
            embedder,
            ExtractiveGenerator(embedder),
            tmp_path,
            embedder.identity,
            said.append,
        )
    )
    assert heads.relevance.features == RELEVANCE
    assert heads.thresholds != Thresholds()
    assert heads.evidence["relevanceAuc"] > 0.6
    assert heads.evidence["plainUsed"] in (1, 2, 4)
    assert any("validation" in line for line in said)
    json.loads(heads.model_dump_json())
