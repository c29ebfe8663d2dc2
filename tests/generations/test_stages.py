from __future__ import annotations

from pathlib import Path

import pytest
from generation_objects import generation, model

from reconciler.evaluation.resource import EvaluationSuiteSpec
from reconciler.generations.collected import Collected, read, write
from reconciler.generations.stages import STAGES, Inputs, request, run_name

SUITE = EvaluationSuiteSpec.model_validate(
    {
        "data": {"corpus": "python-docstrings"},
        "primary": {"name": "house-style"},
    }
)
INPUTS = Inputs(
    dataset=Path("/a/data"),
    dataset_digest="sha256:d",
    weights=Path("/a/w"),
    parent=Path("/a/p"),
)


@pytest.mark.parametrize("stage", STAGES)
def test_a_request_is_deterministic_and_named_after_its_object(stage) -> None:
    first = request(stage, generation(1), model(), SUITE, INPUTS)
    again = request(stage, generation(1), model(), SUITE, INPUTS)
    assert first == again
    assert first.name == run_name(generation(1), stage)
    assert first.deadline_seconds == 3600


def test_keys_differ_by_stage_and_by_object() -> None:
    keys = {
        request(stage, generation(n), model(), SUITE, INPUTS).key
        for stage in ("train", "evaluate", "convert")
        for n in (1, 2)
    }
    assert len(keys) == 6


def test_without_a_parent_the_baseline_is_the_untrained_network() -> None:
    built = request("evaluate", generation(1), model(), SUITE, Inputs())
    assert built.parameters["baseline"] is None
    assert built.parameters["baselineName"] == "untrained"


def test_feedback_is_not_exported_by_a_run() -> None:
    with pytest.raises(ValueError, match="controller"):
        request("data", generation(2), model(), SUITE, INPUTS)


def test_what_was_collected_can_be_read_again(tmp_path) -> None:
    assert read(tmp_path) is None
    note = Collected.of("train", "run", "sha256:x", 12.34567, {"a": {"b": 1}})
    write(tmp_path, note)
    assert read(tmp_path) == note
    assert note.record.seconds == "12.3457"
