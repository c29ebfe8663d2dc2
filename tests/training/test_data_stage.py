import json
from pathlib import Path

import pytest

from reconciler.artifacts import digest_of
from reconciler.corpus import is_held_out, python_docstrings, split_of
from reconciler.runs.protocol import Request, RunDirectory
from reconciler.runs.worker import InvalidRequestError
from reconciler.training.__main__ import work
from reconciler.training.dataset import COMPLETION, TRAIN, read_rows


def asked(**parameters) -> Request:
    return Request(
        work="reconciler.training", name="n", key="k", parameters=parameters
    )


def prepare(path: Path) -> Path:
    run = RunDirectory(path)
    result = work(run, asked(stage="data", corpus="python-docstrings"))
    assert result.phase == "Succeeded"
    return run.path / result.outputs["dataset"]


def test_the_corpus_becomes_a_data_set_of_its_training_part(tmp_path) -> None:
    dataset = prepare(tmp_path)
    rows = read_rows(dataset / TRAIN, COMPLETION)
    meta = json.loads((dataset / "meta.json").read_text())
    train = [e for e in python_docstrings() if e.split == "train"]

    assert rows.held_out == 0
    assert [r["prompt"] for r in rows.rows] == [e.prompt for e in train]
    assert meta["kind"] == "sft"
    assert meta["counts"] == {"train": len(train)}
    assert not [r for r in rows.rows if is_held_out(r["prompt"])]
    assert {split_of(e.subject) for e in train} == {"train"}


def test_it_is_the_same_data_set_every_time(tmp_path) -> None:
    assert digest_of(prepare(tmp_path / "a")) == digest_of(
        prepare(tmp_path / "b")
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "parameters.stage: None is neither data nor train"),
        ({"stage": "guess"}, "parameters.stage: 'guess' is neither"),
        ({"stage": "data", "corpus": "web"}, "parameters.corpus: "),
        ({"stage": "data"}, "parameters.corpus: Field required"),
    ],
)
def test_a_stage_that_nobody_knows_is_invalid(
    tmp_path, parameters, message
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        work(RunDirectory(tmp_path), asked(**parameters))

    assert message in str(caught.value)
