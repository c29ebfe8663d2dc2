from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import pytest

from reconciler.engine.errors import UnavailableError
from reconciler.engine.relist import Relister

pytestmark = pytest.mark.looptime


@contextlib.asynccontextmanager
async def running(toy):
    asked: Counter[str] = Counter()

    async def list_kind(kind):
        asked[kind] += 1
        return await toy.server.list("", kind)

    relister = Relister(["Widget"], list_kind, toy.dispatcher, 600)
    task = asyncio.create_task(relister.work())
    await asyncio.sleep(0)
    yield relister, asked
    relister.close()
    await task


async def test_what_the_watch_missed_is_found_in_time(toy):
    async with running(toy) as (_, asked):
        toy.server.put("kept", size=1)
        toy.server.put("gone", size=1)
        await toy.settle()
        toy.server.listener = None
        toy.controller.finalizer = False
        toy.server.objects.pop(("Widget", "default", "gone"))
        toy.server.put("missed", size=2)
        await asyncio.sleep(40)
        assert [key.name for key in toy.store.keys("Widget")] == [
            "kept",
            "missed",
        ]
        await toy.settle()
        assert toy.controller.world["missed"] == 2
        assert asked["Widget"] == 1
        await asyncio.sleep(6000)
        assert asked["Widget"] == 11


async def test_what_went_between_list_and_watch_is_found_soon(toy):
    toy.controller.finalizer = False
    toy.server.put("gone", size=1)
    await toy.settle()
    async with running(toy) as (_, asked):
        toy.server.listener = None
        toy.server.objects.clear()
        await asyncio.sleep(35)
        assert toy.store.keys("Widget") == []
        assert asked["Widget"] == 1


async def test_a_watch_that_started_over_causes_one_list(toy):
    async with running(toy) as (relister, asked):
        for _ in range(100):
            relister.relisted("Widget")
        await asyncio.sleep(60)
        assert asked["Widget"] == 1, "the first lists need one more in all"
        for _ in range(100):
            relister.relisted("Widget")
        relister.relisted("Pod")
        await asyncio.sleep(5)
        assert asked == {"Widget": 2}


async def test_a_failed_list_is_tried_again_soon(toy):
    async with running(toy) as (_, asked):

        def away(_):
            msg = "away"
            raise UnavailableError(msg)

        toy.server.fail = away
        await asyncio.sleep(35)
        toy.server.fail = lambda _: None
        await asyncio.sleep(60)
        assert 2 <= asked["Widget"] <= 6
        seen = asked["Widget"]
        await asyncio.sleep(500)
        assert asked["Widget"] == seen
