from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.engine.queue import QueueClosedError, WorkQueue


async def test_a_waiting_key_is_handed_out_once():
    queue: WorkQueue[str] = WorkQueue()
    for key in "abab":
        queue.add(key)
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_while_processed_comes_back_once_after_done():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert await queue.get() == "a"
    for _ in range(50):
        queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert len(queue) == 1
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.idle


async def test_get_waits_for_an_add():
    queue: WorkQueue[str] = WorkQueue()
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not getting.done()
    queue.add("a")
    assert await getting == "a"


async def test_a_cancelled_get_loses_no_key():
    queue: WorkQueue[str] = WorkQueue()
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    getting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await getting
    queue.add("a")
    assert await queue.get() == "a"


@pytest.mark.looptime
async def test_a_delay_passes_before_the_key_is_handed_out():
    queue: WorkQueue[str] = WorkQueue()
    loop = asyncio.get_running_loop()
    began = loop.time()
    queue.add_after("late", 10)
    queue.add_after("soon", 2)
    queue.add_after("now", 0)
    assert await queue.get() == "now"
    assert loop.time() - began == pytest.approx(0, abs=0.01)
    assert await queue.get() == "soon"
    assert loop.time() - began == pytest.approx(2, abs=0.01)
    assert await queue.get() == "late"
    assert loop.time() - began == pytest.approx(10, abs=0.01)


@pytest.mark.looptime
@pytest.mark.parametrize("delays", [(5, 1), (1, 5)])
async def test_the_earliest_of_several_delays_wins(delays):
    queue: WorkQueue[str] = WorkQueue()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for delay in delays:
        queue.add_after("a", delay)
    assert await queue.get() == "a"
    assert loop.time() - began == pytest.approx(1, abs=0.01)
    queue.done("a")
    await asyncio.sleep(20)
    assert len(queue) == 0


@pytest.mark.looptime
async def test_discard_drops_the_delay_and_the_backoff():
    queue: WorkQueue[str] = WorkQueue()
    queue.add_rate_limited("a")
    queue.add_after("a", 3)
    queue.discard("a")
    await asyncio.sleep(10)
    assert len(queue) == 0
    assert queue.failures("a") == 0


@pytest.mark.looptime
async def test_backoff_doubles_up_to_the_cap_and_forget_resets_it():
    queue: WorkQueue[str] = WorkQueue(base=1, cap=5, chance=lambda: 0.0)
    delays = [queue.add_rate_limited("a") for _ in range(5)]
    assert delays == [1, 2, 4, 5, 5]
    assert queue.add_rate_limited("b") == 1
    queue.forget("a")
    assert queue.add_rate_limited("a") == 1


async def test_a_thousand_failures_do_not_overflow_the_backoff():
    queue: WorkQueue[str] = WorkQueue(cap=5, chance=lambda: 0.0)
    assert [queue.add_rate_limited("a") for _ in range(1200)][-1] == 5
    queue.close()


@given(st.floats(0, 1, exclude_max=True))
def test_jitter_only_shortens_and_by_its_share_at_most(chance):
    async def measure() -> float:
        queue: WorkQueue[str] = WorkQueue(
            base=10, jitter=0.3, chance=lambda: chance
        )
        delay = queue.add_rate_limited("a")
        queue.close()
        return delay

    assert 7 <= asyncio.run(measure()) <= 10


async def test_close_ends_every_worker_and_later_adds_change_nothing():
    queue: WorkQueue[str] = WorkQueue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.close()
    results = await asyncio.gather(*workers, return_exceptions=True)
    assert all(isinstance(r, QueueClosedError) for r in results)
    queue.add("a")
    queue.add_after("b", 1)
    with pytest.raises(QueueClosedError):
        await queue.get()


async def test_done_after_close_does_not_bring_the_key_back():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.close()
    queue.done("a")
    assert len(queue) == 0


@pytest.mark.looptime
async def test_the_number_of_workers_bounds_what_is_in_flight():
    queue: WorkQueue[int] = WorkQueue()
    most = 0

    async def work() -> None:
        nonlocal most
        with contextlib.suppress(QueueClosedError):
            while True:
                key = await queue.get()
                most = max(most, queue.in_flight)
                await asyncio.sleep(1)
                queue.done(key)

    for key in range(20):
        queue.add(key)
    workers = [asyncio.create_task(work()) for _ in range(3)]
    await asyncio.sleep(100)
    assert most == 3
    assert queue.idle
    queue.close()
    await asyncio.gather(*workers)


Step = tuple[str, str]
steps = st.lists(
    st.tuples(st.sampled_from(["add", "get", "done"]), st.sampled_from("abc")),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_no_key_runs_twice_at_once_and_no_add_is_lost(script: list[Step]):
    async def play() -> None:
        queue: WorkQueue[str] = WorkQueue()
        running: set[str] = set()
        unseen: Counter[str] = Counter()  # adds since the last get
        for verb, key in script:
            if verb == "add":
                queue.add(key)
                unseen[key] += 1
            elif verb == "get" and len(queue):
                taken = await queue.get()
                assert taken not in running
                assert unseen[taken] > 0
                running.add(taken)
                unseen[taken] = 0
            elif verb == "done" and key in running:
                queue.done(key)
                running.discard(key)
        for key in sorted(running):
            queue.done(key)
        handed = Counter([await queue.get() for _ in range(len(queue))])
        assert handed == {key: 1 for key, n in unseen.items() if n}

    asyncio.run(play())
