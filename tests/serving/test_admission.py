from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from reconciler.serving.admission import (
    Admission,
    BusyError,
    TooSlowError,
)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def blocked(release: threading.Event) -> Callable[..., str]:
    def work(_gone: Callable[[], bool]) -> str:
        release.wait(20)
        return "done"

    return work


async def test_work_is_done_and_its_errors_are_passed_on() -> None:
    admission = Admission()
    assert await admission.run(lambda _gone: 42) == 42

    def fail(_gone: Callable[[], bool]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await admission.run(fail)
    assert admission.inside == 0
    admission.close()


async def test_beyond_its_capacity_it_is_busy(
    release: threading.Event,
) -> None:
    admission = Admission(capacity=3)
    work = blocked(release)
    tasks = [asyncio.create_task(admission.run(work)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await admission.run(work)
    release.set()
    assert await asyncio.gather(*tasks) == ["done"] * 3
    assert await admission.run(work) == "done"
    admission.close()


async def test_slow_work_is_told_to_stop() -> None:
    admission = Admission(seconds=0.05)
    stopped = threading.Event()

    def work(gone: Callable[[], bool]) -> None:
        while not gone():
            stopped.wait(0.001)
        stopped.set()

    with pytest.raises(TooSlowError):
        await admission.run(work)
    assert await asyncio.to_thread(stopped.wait, 5)
    assert admission.inside == 0
    admission.close()


async def test_time_in_the_queue_counts(release: threading.Event) -> None:
    admission = Admission(seconds=0.1)
    work = blocked(release)
    tasks = [asyncio.create_task(admission.run(work)) for _ in range(6)]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [TooSlowError] * 6
    release.set()
    admission.close()
