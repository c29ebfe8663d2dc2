"""Chores: at the start, then now and then, whatever goes wrong."""

from __future__ import annotations

import asyncio

from reconciler.engine.chores import Chore, Chores

OBJECTS = [{"kind": "Model"}]


async def test_a_chore_is_done_at_once_and_again() -> None:
    seen, twice = [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def run(objects) -> None:
        seen.append(objects)
        if len(seen) == 2:
            loop.call_soon_threadsafe(twice.set)

    chores = Chores([Chore("sweep", 0.01, run)], lambda: OBJECTS)
    work = asyncio.create_task(chores.work())
    async with asyncio.timeout(30):
        await twice.wait()
        chores.close()
        await work
    assert seen[:2] == [OBJECTS, OBJECTS]


async def test_a_chore_that_fails_is_tried_again_and_harms_nobody(
    caplog,
) -> None:
    done, tries = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def run(_objects) -> None:
        tries.append(None)
        if len(tries) == 1:
            raise OSError("disk full")
        loop.call_soon_threadsafe(done.set)

    chores = Chores([Chore("sweep", 0.01, run)], list)
    work = asyncio.create_task(chores.work())
    async with asyncio.timeout(30):
        await done.wait()
        chores.close()
        await work
    assert "sweep failed" in caplog.text
    assert "disk full" in caplog.text


async def test_who_does_not_lead_does_nothing() -> None:
    asked, ran = asyncio.Event(), []

    def refuse() -> None:
        asked.set()
        raise RuntimeError("no longer leading")

    chores = Chores([Chore("sweep", 60.0, ran.append)], list, refuse)
    work = asyncio.create_task(chores.work())
    async with asyncio.timeout(30):
        await asked.wait()
        chores.close()
        await work
    assert ran == []
