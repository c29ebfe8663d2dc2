import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.compute.executor import RunState
from reconciler.compute.local import LocalExecutor
from reconciler.runs import lock
from reconciler.runs.protocol import Request, RunStatus

ROOT = Path(__file__).parents[2]
SCRIPTED = ROOT / "tests" / "runs" / "scripted"


def request(
    do: str, name: str = "one", key: str = "1", **more: Any
) -> Request:
    return Request(
        work="reconciler.scripted",
        name=name,
        key=key,
        parameters={"do": do, **more},
    )


@pytest.fixture
def executor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalExecutor]:
    monkeypatch.setenv("PYTHONPATH", f"{SCRIPTED}:{ROOT}")
    made = LocalExecutor(tmp_path / "runs")
    yield made
    made.stop_all(grace=0)


def wait(
    executor: LocalExecutor,
    condition: Callable[[RunState], object],
    name: str = "one",
) -> RunState:
    deadline = time.monotonic() + 60
    while not condition(state := executor.poll(name)):
        assert time.monotonic() < deadline, state
        time.sleep(0.02)
    return state


def stopped(state: RunState) -> bool:
    return not state.alive and state.phase != "Running"


def test_what_was_never_started_is_pending(executor: LocalExecutor) -> None:
    assert executor.poll("one") == RunState(
        name="one", phase="Pending", alive=False, attempt=0
    )
    assert executor.names() == []
    executor.cancel("one")


def test_a_run_is_alive_from_the_moment_it_is_started(
    executor: LocalExecutor,
) -> None:
    executor.start(request("succeed"))

    state = executor.poll("one")
    assert state.alive or state.ended
    state = wait(executor, lambda s: s.ended)
    assert (state.phase, state.attempt) == ("Succeeded", 1)
    assert executor.names() == ["one"]


def test_starting_again_and_again_starts_once(
    executor: LocalExecutor,
) -> None:
    work = request("count", to=5, pace=0.1)
    threads = [
        threading.Thread(target=executor.start, args=(work,)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = wait(executor, lambda s: s.ended and not s.alive)
    executor.start(work)
    executor.start(work, retry=True)

    assert executor.poll("one") == state
    assert state.attempt == 1
    steps = (executor.directory("one").path / "steps").read_text().split()
    assert steps == ["1", "2", "3", "4", "5"]


def test_a_name_belongs_to_one_key(executor: LocalExecutor) -> None:
    executor.start(request("succeed"))

    with pytest.raises(FileExistsError, match="already holds run 1"):
        executor.start(request("succeed", key="2"))


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 201])
def test_a_name_cannot_leave_the_root(
    name: str, executor: LocalExecutor
) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a run"):
        executor.start(request("succeed", name=name))


def test_a_failed_attempt_is_repeated_only_on_request(
    executor: LocalExecutor,
) -> None:
    work = request("crash_once")
    executor.start(work)
    failed = wait(executor, stopped)
    assert (failed.phase, failed.ended) == ("Failed", False)
    assert "the reason is in the log" in failed.message

    executor.start(work)
    assert executor.poll("one") == failed

    executor.start(work, retry=True)
    state = wait(executor, lambda s: s.ended)
    assert (state.phase, state.attempt) == ("Succeeded", 2)


def test_a_final_failure_is_never_repeated(executor: LocalExecutor) -> None:
    executor.start(request("judge"))
    state = wait(executor, lambda s: s.ended and not s.alive)

    executor.start(request("judge"), retry=True)

    assert executor.poll("one") == state
    assert (state.phase, state.message) == ("Failed", "not good enough")


def test_a_cancelled_run_goes_on_where_it_stopped(
    executor: LocalExecutor,
) -> None:
    work = request("count", to=30, pace=0.05)
    executor.start(work)
    wait(executor, lambda s: s.status is not None and s.status.step > 0)

    executor.cancel("one")
    executor.cancel("one")
    assert wait(executor, stopped).phase == "Preempted"
    executor.start(work)

    state = wait(executor, lambda s: s.ended)
    assert (state.phase, state.attempt) == ("Succeeded", 2)
    steps = (executor.directory("one").path / "steps").read_text().split()
    assert steps == [str(n) for n in range(1, 31)]


def test_a_killed_supervisor_leaves_a_resumable_run(
    executor: LocalExecutor,
) -> None:
    work = request("count", to=30, pace=0.05)
    executor.start(work)
    wait(executor, lambda s: s.status is not None and s.status.step > 0)
    pid = lock.holder(executor.directory("one").lock)
    assert pid is not None

    os.kill(pid, signal.SIGKILL)
    assert wait(executor, lambda s: not s.alive).phase == "Preempted"
    executor.start(work)

    state = wait(executor, lambda s: s.ended)
    assert (state.phase, state.attempt) == ("Succeeded", 2)


def test_a_run_survives_the_death_of_its_starter(
    executor: LocalExecutor,
) -> None:
    work = request("count", to=20, pace=0.05)
    code = (
        "import sys, time; from pathlib import Path;"
        "from reconciler.compute.local import LocalExecutor;"
        "from reconciler.runs.protocol import Request;"
        "work = Request.model_validate_json(sys.argv[2]);"
        "LocalExecutor(Path(sys.argv[1])).start(work);"
        "print('started', flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(executor.root), work.to_json()],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"started\n"

    os.killpg(starter.pid, signal.SIGKILL)
    starter.communicate()

    assert executor.poll("one").alive
    executor.start(work)  # a new controller finds it under way
    state = wait(executor, lambda s: s.ended)
    assert (state.phase, state.attempt) == ("Succeeded", 1)


def test_stop_all_stops_the_obedient_and_kills_the_deaf(
    executor: LocalExecutor,
) -> None:
    executor.start(request("count", to=1000, pace=0.05))
    executor.start(request("hang", name="two"))
    wait(executor, lambda s: s.status is not None and s.status.step > 0)
    pids = executor.directory("two").path / "pids"
    wait(executor, lambda _: pids.exists(), "two")

    executor.stop_all(grace=3)

    assert executor.poll("one").phase == "Preempted"
    two = executor.poll("two")
    assert (two.phase, two.alive) == ("Preempted", False)
    os.kill(int(pids.read_text().split()[1]), signal.SIGKILL)


def test_supervisors_that_ended_are_no_zombies(
    executor: LocalExecutor,
) -> None:
    executor.start(request("succeed"))
    wait(executor, lambda s: s.ended and not s.alive)
    child = executor._children[0].pid if executor._children else None

    executor.poll("one")

    if child is not None:
        wait(executor, lambda _: not Path(f"/proc/{child}").exists())
    assert executor._children == []


def test_a_run_that_vanished_while_running_is_resumable(
    executor: LocalExecutor,
) -> None:
    run = executor.directory("one")
    run.write_request(request("succeed"))
    run.write_status(RunStatus(phase="Running", attempt=4))

    assert executor.poll("one").phase == "Preempted"
    executor.start(request("succeed"))

    assert wait(executor, lambda s: s.ended).attempt == 5


def test_an_attempt_counts_though_its_supervisor_never_spoke(
    tmp_path: Path,
) -> None:
    executor = LocalExecutor(tmp_path, python="/bin/false")
    asked = Request(
        work="reconciler.training", name="mute", key="k", parameters={}
    )
    for attempt in (1, 2):
        executor.start(asked)
        deadline = time.monotonic() + 60
        while executor.poll("mute").alive and time.monotonic() < deadline:
            time.sleep(0.01)
        state = executor.poll("mute")
        assert (state.phase, state.attempt) == ("Preempted", attempt)
