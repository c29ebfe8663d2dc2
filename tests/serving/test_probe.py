"""Probes in a child process: crashes are outcomes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from reconciler.serving.canary import describe_exit, run_probe
from reconciler.serving.probe import Question, Report, sweep_lengths

from .conftest import REPOSITORY


def question(bundle: Path, device: str = "CPU") -> Question:
    return Question(directory=str(bundle), device=device)


@pytest.mark.slow
async def test_a_good_bundle_has_no_problem(first: Path) -> None:
    report = await run_probe(question(first))
    assert report.problem == ""
    assert report.repeatable
    assert report.canary_loss is not None


@pytest.mark.slow
async def test_a_torn_pair_is_refused(
    broken: Callable[..., Path], second: Path
) -> None:
    def tear(bundle: Path) -> None:
        weights = (second / "openvino_model.bin").read_bytes()
        (bundle / "openvino_model.bin").write_bytes(weights)

    report = await run_probe(question(broken(tear)))
    assert "not the file that was validated" in report.problem


@pytest.mark.slow
async def test_a_device_that_is_not_there_is_a_problem(first: Path) -> None:
    report = await run_probe(question(first, "MYRIAD"))
    assert report.problem.startswith("MYRIAD: ")


def endless(bundle: Path) -> Question:
    """A question that takes minutes."""
    sequences = tuple((3,) * 90 for _ in range(20_000))
    return Question(directory=str(bundle), device="CPU", sequences=sequences)


async def child_of_ours() -> psutil.Process:
    for _ in range(1000):
        for child in psutil.Process().children():
            if "reconciler.serving.probe" in child.cmdline():
                return child
        await asyncio.sleep(0.01)
    raise AssertionError("no probe was started")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGFPE, signal.SIGBUS])
async def test_a_crash_by_signal_is_a_result(
    first: Path, number: signal.Signals
) -> None:
    probe = asyncio.create_task(run_probe(endless(first)))
    child = await child_of_ours()
    child.send_signal(number)
    report = await probe
    assert report.problem == f"the model crashed with {number.name}"


@pytest.mark.slow
async def test_a_probe_that_hangs_is_killed(first: Path) -> None:
    probe = asyncio.create_task(run_probe(endless(first), 1.0))
    child = await child_of_ours()
    report = await probe
    assert report.problem == "no answer within 1 s"
    assert not child.is_running()


@pytest.mark.slow
async def test_a_cancelled_probe_leaves_no_child(first: Path) -> None:
    probe = asyncio.create_task(run_probe(endless(first)))
    child = await child_of_ours()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert not child.is_running()


ASKER = """
import asyncio, sys
from reconciler.serving.canary import run_probe
from reconciler.serving.probe import Question
question = Question.model_validate_json(sys.stdin.read())
asyncio.run(run_probe(question))
"""


@pytest.mark.slow
def test_a_probe_ends_with_whoever_asked(first: Path) -> None:
    asker = psutil.Popen(
        [sys.executable, "-c", ASKER],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    asker.stdin.write(endless(first).to_json().encode())
    asker.stdin.close()
    deadline = time.monotonic() + 60
    while not asker.children():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (probe,) = asker.children()
    asker.kill()
    asker.wait()
    probe.wait(timeout=10)
    assert not probe.is_running()


def test_how_a_process_ended_is_said_in_words() -> None:
    said = describe_exit(1, b"Traceback\n  File\nMemoryError: no\n")
    assert said == "the model exited with status 1: MemoryError: no"
    assert describe_exit(-8, b"") == "the model crashed with SIGFPE"


def test_a_report_survives_its_json() -> None:
    report = Report(problem="x", canary_loss=1.25, seconds=2)
    text = report.model_dump_json(by_alias=True)
    assert Report.model_validate_json(text) == report


@pytest.mark.parametrize("longest", [1, 2, 31, 64, 96, 97, 128, 512, 4096])
def test_sweeps_cover_what_is_known_to_break(longest: int) -> None:
    lengths = sweep_lengths(longest)
    assert lengths == sorted(set(lengths))
    assert lengths[0] == 1
    assert lengths[-1] == min(longest, 512)
    assert {31, 32, 33} & set(range(longest + 1)) <= set(lengths)
    assert {n for n in (127, 128, 129) if n <= longest} <= set(lengths)
