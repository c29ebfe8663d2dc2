"""Which answers become documents."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress

import pytest

from reconciler.feedback.judgement import Judgement
from reconciler.feedback.resource import Rewards
from reconciler.indexes.feedback_rows import _replacing, documents

UP, DOWN = True, False


def said(kind, value, response="yes", second=None, prompt="why?"):
    return Judgement(
        uuid.uuid4(), kind, "docs", "docs-1", prompt, response, value, "ann",
        second,
    )  # fmt: skip


def texts(*judged, least=0.0):
    return [row["text"] for row in documents(judged, Rewards(), least)]


def test_liked_answers_are_taken_and_disliked_ones_left():
    liked, disliked = said("thumbs", UP), said("thumbs", DOWN, "no")
    assert texts(liked, disliked) == ["yes"]
    assert texts(liked, disliked, least=-2) == ["yes", "no"]


def test_the_mean_of_all_judgements_counts():
    assert texts(said("rating", 5), said("rating", 1)) == []
    assert texts(said("rating", 5), said("rating", 3)) == ["yes"]


def test_a_comparison_gives_the_preferred_answer_and_a_tie_none():
    assert texts(said("comparison", "b", "x", "y")) == ["y"]
    assert texts(said("comparison", "tie", "x", "y")) == []


def test_the_text_of_a_correction_is_taken_and_the_original_left():
    assert texts(said("correction", "as it should be", "wrong")) == [
        "as it should be"
    ]


def test_an_answer_is_one_document_however_many_praise_it():
    (row,) = documents([said("thumbs", UP), said("thumbs", UP)], Rewards(), 0)
    assert row["title"] == "why?"
    assert row["path"].startswith("docs/docs-1/")
    assert json.loads(json.dumps(row)) == row


def test_the_same_answer_to_another_prompt_is_another_document():
    rows = list(
        documents(
            [said("thumbs", UP), said("thumbs", UP, prompt="how?")],
            Rewards(),
            0,
        )
    )
    assert len({row["path"] for row in rows}) == 2


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_answer_is_no_document(text):
    assert texts(said("thumbs", UP, text)) == []


def test_an_export_that_was_given_up_leaves_the_next_one_alone(tmp_path):
    path = tmp_path / ("0" * 64 + ".jsonl")
    with _replacing(path) as late:
        late.write("half")
        late.flush()
        with _replacing(path) as whole:
            whole.write("whole")
        assert path.read_text() == "whole"
    assert path.read_text() == "half", "it ended later, and is whole too"
    with suppress(KeyError), _replacing(path) as file:
        file.write("x")
        raise KeyError
    assert path.read_text() == "half"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
