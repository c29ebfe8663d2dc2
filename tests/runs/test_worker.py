import errno
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import BaseModel

from reconciler.runs import worker
from reconciler.runs.protocol import Request, Result, RunDirectory
from reconciler.runs.worker import (
    PARENT_VARIABLE,
    InvalidRequestError,
    PreemptedError,
    missing_outputs,
    outcome,
    parameters,
    run_worker,
)


class Usage(NamedTuple):
    total: int
    used: int
    free: int


class Wanted(BaseModel):
    steps: int


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    monkeypatch.delenv(PARENT_VARIABLE, raising=False)
    made = RunDirectory(tmp_path)
    made.write_request(
        Request(work="reconciler.x", name="n", key="k", parameters={})
    )
    return made


def test_parameters_are_validated_by_name() -> None:
    asked = Request(
        work="reconciler.x", name="n", key="k", parameters={"steps": "many"}
    )

    with pytest.raises(InvalidRequestError, match=r"^parameters\.steps: "):
        parameters(asked, Wanted)

    good = asked.model_copy(update={"parameters": {"steps": 3}})
    assert parameters(good, Wanted).steps == 3


@pytest.mark.parametrize(
    ("error", "code", "phase"),
    [
        (InvalidRequestError("no"), 2, "Invalid"),
        (PreemptedError(), 75, None),
        (RuntimeError("bug"), 1, None),
    ],
)
def test_how_work_ends_is_left_for_the_supervisor(
    run: RunDirectory, error: Exception, code: int, phase: str | None
) -> None:
    def work(_: RunDirectory, __: Request) -> Result:
        raise error

    assert run_worker(run, work) == code

    left = outcome(run)
    assert (None if left is None else left.phase) == phase
    assert run.result() is None, "publishing is the supervisor's"


def test_work_without_a_request_is_not_begun(run: RunDirectory) -> None:
    (run.path / "request.json").unlink()

    def work(_: RunDirectory, __: Request) -> Result:
        raise AssertionError

    assert run_worker(run, work) == 2


def test_work_whose_supervisor_is_gone_is_not_begun(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PARENT_VARIABLE, "1")
    # The kernel call itself would bind this test process to its parent.
    monkeypatch.setattr(worker.ctypes, "CDLL", lambda _: _NoKernel())

    def work(_: RunDirectory, __: Request) -> Result:
        raise AssertionError

    assert run_worker(run, work) == 1


class _NoKernel:
    def prctl(self, *_: int) -> int:
        return 0


@pytest.mark.parametrize(
    ("error", "free", "said"),
    [
        (OSError(errno.ENOSPC, "full"), 1 << 40, True),
        (OSError(errno.EDQUOT, "quota"), 1 << 40, True),
        (OSError(errno.EACCES, "denied"), 1 << 40, False),
        (RuntimeError("PytorchStreamWriter failed"), 0, True),
        (RuntimeError("bug"), 1 << 40, False),
    ],
)
def test_a_full_disk_is_named_whatever_the_error_says(
    run: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    free: int,
    said: bool,
) -> None:
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: Usage(1 << 40, 0, free)
    )

    def work(_: RunDirectory, __: Request) -> Result:
        raise error

    assert run_worker(run, work) == 1

    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("no space left on the disk of") == said


def test_outputs_have_to_exist_inside_the_run(run: RunDirectory) -> None:
    run.output.mkdir()
    (run.output / "link").symlink_to("/etc")
    outputs = {
        "good": "output",
        "absent": "output/absent",
        "outside": "..",
        "link": "output/link",
    }

    found = missing_outputs(run, Result(phase="Succeeded", outputs=outputs))

    assert found == ["absent", "link", "outside"]
