from __future__ import annotations

import json

import pytest

from reconciler.artifacts import ArtifactError, digest_of
from reconciler.corpus import python_docstrings
from reconciler.runs.worker import InvalidRequestError
from reconciler.training.dataset import (
    COMPLETION,
    PREFERENCE,
    TRAIN,
    read_rows,
    require_digest,
    rows_with_room,
    write_dataset,
)

ROWS = [
    {"prompt": "p1", "completion": "é"},
    {"prompt": "p2", "completion": "b"},
]


def test_rows_come_back_as_they_were_written(tmp_path) -> None:
    assert write_dataset(tmp_path, ROWS, {"kind": "sft"}) == 2
    assert read_rows(tmp_path / TRAIN, COMPLETION).rows == tuple(ROWS)


def test_the_same_content_has_the_same_digest(tmp_path) -> None:
    for name in ("a", "b"):
        write_dataset(tmp_path / name, ROWS, {"kind": "sft", "a": 1})
    swapped = [dict(reversed(list(row.items()))) for row in ROWS]
    write_dataset(tmp_path / "c", swapped, {"a": 1, "kind": "sft"})
    digests = {digest_of(tmp_path / name) for name in "abc"}
    assert len(digests) == 1


def test_held_out_questions_never_reach_a_trainer(tmp_path) -> None:
    examples = python_docstrings()[:300]
    held_out = sum(e.split == "heldout" for e in examples)
    assert held_out > 0
    write_dataset(
        tmp_path,
        ({"prompt": e.prompt, "completion": e.answer} for e in examples),
        {},
    )
    found = read_rows(tmp_path / TRAIN, COMPLETION)
    assert found.held_out == held_out
    assert len(found.rows) == 300 - held_out


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", '{"prompt": "p"}', '{"prompt": 1, "completion": "c"}'],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path, line) -> None:
    good = json.dumps(ROWS[0])
    (tmp_path / TRAIN).write_text(f"{good}\n{line}\n")
    with pytest.raises(InvalidRequestError, match=r"train\.jsonl:2"):
        read_rows(tmp_path / TRAIN, COMPLETION)


def test_a_missing_file_is_an_invalid_request(tmp_path) -> None:
    with pytest.raises(InvalidRequestError, match="No such file"):
        read_rows(tmp_path / TRAIN, PREFERENCE)


def test_a_data_set_is_what_the_request_says_or_is_not_read(tmp_path) -> None:
    frozen = tmp_path / "frozen"
    write_dataset(frozen, ROWS, {"kind": "sft"})
    digest = digest_of(frozen)
    require_digest(frozen, digest)
    require_digest(frozen, None)
    write_dataset(frozen, [*ROWS, ROWS[0]], {"kind": "sft"})
    with pytest.raises(InvalidRequestError) as caught:
        require_digest(frozen, digest)
    assert str(caught.value).startswith(f"datasetDigest: {frozen} is sha256:")
    assert f"not {digest}" in str(caught.value)


def test_a_data_set_without_files_is_invalid(tmp_path) -> None:
    with pytest.raises(InvalidRequestError, match="has no files"):
        require_digest(tmp_path, "sha256:" + "0" * 64)


def test_a_data_set_that_is_away_may_come_back(tmp_path) -> None:
    """A share that is not mounted: another attempt may find it."""
    with pytest.raises(ArtifactError, match="cannot be read"):
        require_digest(tmp_path / "away", "sha256:" + "0" * 64)


def test_questions_that_leave_no_room_for_an_answer_are_left_out() -> None:
    rows = [{"prompt": "x" * n, "completion": "y"} for n in (3, 8, 7, 9)]
    assert rows_with_room(rows, len, 8) == (rows[0], rows[2])


def test_a_length_that_no_question_fits_is_an_invalid_request() -> None:
    rows = [{"prompt": "x" * n, "completion": "y"} for n in (12, 8)]
    with pytest.raises(InvalidRequestError) as caught:
        rows_with_room(rows, len, 8)
    assert str(caught.value) == (
        "training.maxLength 8 leaves no room for an answer: the shortest "
        "question has 8 tokens"
    )
