import os
import signal
import time
from collections.abc import Callable

import pytest

from reconciler.runs import lock
from reconciler.runs.protocol import RunDirectory
from reconciler.runs.supervisor import describe_exit, log_tail

Prepare = Callable[..., RunDirectory]
Until = Callable[..., None]


def test_done_work_has_a_result_and_exits_0(
    prepare: Prepare, supervisors
) -> None:
    run = prepare("succeed")

    assert supervisors.finish(run) == 0

    result, status = run.result(), run.status()
    assert result is not None
    assert status is not None
    assert (result.phase, status.phase) == ("Succeeded", "Succeeded")
    assert (run.path / result.outputs["text"]).read_text() == "made"
    assert result.seconds > 0
    assert result.facts["environment"] == {
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONHASHSEED": "0",
    }


def test_a_finished_run_is_not_run_again(
    prepare: Prepare, supervisors
) -> None:
    run = prepare("succeed")
    supervisors.finish(run)
    before = (run.path / "result.json").read_bytes()
    (run.output / "text").write_text("touched")

    assert supervisors.finish(run) == 0

    assert (run.path / "result.json").read_bytes() == before
    assert (run.output / "text").read_text() == "touched"


@pytest.mark.parametrize(
    ("do", "message"),
    [
        ("judge", "not good enough"),
        ("forget_outputs", "did not leave its outputs ['model']"),
        ("escape", "did not leave its outputs ['model']"),
    ],
)
def test_work_that_says_no_is_final(
    do: str, message: str, prepare: Prepare, supervisors
) -> None:
    run = prepare(do)

    assert supervisors.finish(run) == 1

    result = run.result()
    assert result is not None
    assert result.phase == "Failed"
    assert message in result.message


def test_an_invalid_request_exits_2(prepare: Prepare, supervisors) -> None:
    run = prepare("refuse")

    assert supervisors.finish(run) == 2

    result, status = run.result(), run.status()
    assert result is not None
    assert status is not None
    assert (result.phase, status.phase) == ("Invalid", "Invalid")
    assert result.message == "parameters.do: nobody does that"


@pytest.mark.parametrize("text", ["", "{", '{"work": "os"}', "\x00\xff"])
def test_a_garbled_request_exits_2(
    text: str, prepare: Prepare, supervisors
) -> None:
    run = prepare("succeed")
    (run.path / "request.json").write_bytes(text.encode("latin-1"))

    assert supervisors.finish(run) == 2

    result = run.result()
    assert result is not None
    assert result.message.startswith("request.json is not a request")


def test_a_missing_request_exits_2(prepare: Prepare, supervisors) -> None:
    run = prepare("succeed")
    (run.path / "request.json").unlink()

    assert supervisors.finish(run) == 2

    result = run.result()
    assert result is not None
    assert result.message == "request.json is missing"


@pytest.mark.parametrize(
    ("do", "message"),
    [
        ("crash", "RuntimeError: the reason is in the log"),
        ("fill_the_disk", "no space left on the disk of /"),
        ("kill_itself", "killed by SIGKILL (out of memory?): doing"),
    ],
)
def test_a_crash_is_a_failed_attempt_without_a_result(
    do: str, message: str, prepare: Prepare, supervisors
) -> None:
    run = prepare(do)

    assert supervisors.finish(run) == 1
    assert supervisors.finish(run) == 1

    status = run.status()
    assert status is not None
    assert (status.phase, status.attempt) == ("Failed", 2)
    assert message in status.message
    assert run.result() is None
    assert not lock.is_held(run.lock)


def test_a_deadline_ends_work_that_hangs(
    prepare: Prepare, supervisors, until: Until
) -> None:
    run = prepare("hang", deadline_seconds=1)

    assert supervisors.finish(run) == 1

    result = run.result()
    assert result is not None
    assert result.phase == "Failed"
    assert result.message == "deadline exceeded (1 s)"
    pids = (run.path / "pids").read_text().split()
    until(lambda: not any(alive(int(pid)) for pid in pids))


def test_sigterm_preempts_and_the_next_attempt_goes_on(
    prepare: Prepare, supervisors, until: Until
) -> None:
    run = prepare("count", to=40, pace=0.05)
    process = supervisors.start(run)
    until((run.path / "counted").exists)

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=30) == 75
    status = run.status()
    assert status is not None
    assert status.phase == "Preempted"
    assert run.result() is None
    assert supervisors.finish(run) == 0
    status = run.status()
    assert status is not None
    assert (status.phase, status.attempt, status.step) == ("Succeeded", 2, 40)
    counted = (run.path / "steps").read_text().split()
    assert counted == [str(n) for n in range(1, 41)]


def test_a_killed_supervisor_takes_its_worker_along(
    prepare: Prepare, supervisors, until: Until
) -> None:
    run = prepare("hang")
    process = supervisors.start(run)
    until((run.path / "pids").exists)
    worker = int((run.path / "pids").read_text().split()[0])
    assert alive(worker)

    process.kill()

    until(lambda: not alive(worker))
    assert not lock.is_held(run.lock)
    os.kill(int((run.path / "pids").read_text().split()[1]), signal.SIGKILL)


def test_an_outcome_that_was_not_published_is_not_worked_for_again(
    prepare: Prepare, supervisors
) -> None:
    run = prepare("succeed")
    supervisors.finish(run)
    (run.path / "result.json").unlink()  # killed just before the last write
    (run.output / "text").write_text("touched")

    assert supervisors.finish(run) == 0

    assert run.result() is not None
    assert (run.output / "text").read_text() == "touched"


def test_a_second_supervisor_leaves_at_once(
    prepare: Prepare, supervisors, until: Until
) -> None:
    run = prepare("count", to=3, pace=2)
    first = supervisors.start(run)
    until(lambda: lock.is_held(run.lock))

    second = supervisors.start(run)

    _, stderr = second.communicate(timeout=30)
    assert second.returncode == 75
    assert f"is under way in process {first.pid}" in stderr.decode()
    assert first.wait(timeout=30) == 0
    status = run.status()
    assert status is not None
    assert status.attempt == 1


def test_the_heart_beats_while_the_worker_hangs(
    prepare: Prepare, supervisors, until: Until
) -> None:
    run = prepare("hang", deadline_seconds=20)
    process = supervisors.start(run)
    until((run.path / "pids").exists)

    def heartbeat() -> float:
        status = run.status()
        return 0.0 if status is None else status.heartbeat

    first = heartbeat()
    until(lambda: heartbeat() > first)

    assert time.time() - heartbeat() < 10
    worker, child = map(int, (run.path / "pids").read_text().split())
    os.kill(child, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    assert process.wait(timeout=30) == 1


def test_a_directory_that_is_not_there_exits_2(
    prepare: Prepare, supervisors
) -> None:
    run = RunDirectory(prepare("succeed").path / "missing")

    assert supervisors.finish(run) == 2


def test_exits_are_described_in_words() -> None:
    assert describe_exit(3) == "the worker exited with 3"
    assert describe_exit(-11) == "the worker was killed by SIGSEGV"
    assert "out of memory" in describe_exit(-9)


def test_the_tail_of_a_log_is_bounded(prepare: Prepare) -> None:
    run = prepare("succeed")
    assert log_tail(run) == "no log"

    run.log.write_bytes(b"\xff" * 100_000 + b"\nlast line\n")

    assert log_tail(run).endswith("last line")
    assert len(log_tail(run)) <= 1500


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
