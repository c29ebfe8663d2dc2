import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.runs.progress import Reporter, fold, last_line, repair
from reconciler.runs.protocol import RunDirectory, RunStatus


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


def steps(run: RunDirectory) -> list[int]:
    return [line["step"] for line in run.progress()]


def test_nothing_was_reported_yet(run: RunDirectory) -> None:
    status = RunStatus(phase="Running")

    assert last_line(run) is None
    assert fold(status, None) == status


def test_the_newest_line_is_folded_into_the_status(run: RunDirectory) -> None:
    reporter = Reporter(run, max_steps=10)
    reporter.report(1, {"loss": 3.0})
    reporter.checkpoint = "checkpoints/step-2"
    reporter.report(2, {"loss": 2.0})

    status = fold(RunStatus(phase="Running", attempt=3), last_line(run))

    assert status.attempt == 3
    assert (status.step, status.max_steps) == (2, 10)
    assert status.metrics == {"loss": 2.0}
    assert status.checkpoint == "checkpoints/step-2"
    assert status.eta_seconds is not None
    assert status.eta_seconds >= 0


def test_steps_only_grow_over_attempts(run: RunDirectory) -> None:
    first = Reporter(run)
    for step in (1, 2, 3):
        first.report(step, {})

    second = Reporter(run)
    for step in (2, 3, 4, 4, 5):
        second.report(step, {})

    assert steps(run) == [1, 2, 3, 4, 5]


def test_a_torn_line_is_ignored_and_then_cut_off(run: RunDirectory) -> None:
    Reporter(run).report(1, {"loss": 1.0})
    path = run.path / "progress.jsonl"
    with path.open("a") as file:
        file.write('{"step": 2, "met')

    line = last_line(run)
    assert line is not None
    assert line["step"] == 1
    Reporter(run).report(2, {"loss": 0.5})

    assert steps(run) == [1, 2]


def test_a_file_of_one_torn_line_becomes_empty(run: RunDirectory) -> None:
    path = run.path / "progress.jsonl"
    path.write_text('{"step"')

    repair(run)

    assert path.read_text() == ""
    assert last_line(run) is None


def test_numbers_that_json_cannot_say_are_left_out(run: RunDirectory) -> None:
    Reporter(run).report(1, {"loss": math.nan, "margin": math.inf, "lr": 0.1})

    line = last_line(run)

    assert line is not None
    assert line["metrics"] == {"lr": 0.1}


def test_the_newest_line_of_a_long_file_is_found(run: RunDirectory) -> None:
    path = run.path / "progress.jsonl"
    with path.open("w") as file:
        for step in range(5000):
            file.write(json.dumps({"step": step, "metrics": {}}) + "\n")

    line = last_line(run)

    assert line is not None
    assert line["step"] == 4999


@given(attempts=st.lists(st.lists(st.integers(0, 20), max_size=8), max_size=4))
def test_progress_is_monotonic_whatever_is_reported(
    attempts: list[list[int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = RunDirectory(tmp_path_factory.mktemp("run"))
    for reported in attempts:
        reporter = Reporter(run, max_steps=20)
        for step in reported:
            reporter.report(step, {})

    seen = steps(run)
    assert seen == sorted(set(seen))
    assert set(seen) <= {s for reported in attempts for s in reported}
