from __future__ import annotations

import asyncio

import pytest

from reconciler.engine.errors import ConflictError, UnavailableError
from reconciler.engine.lease import Lease, LeaseTerms

TERMS = LeaseTerms(name="test", duration=15, renew=5)
pytestmark = pytest.mark.looptime


@pytest.fixture
def candidate(server):
    return lambda name: Lease(server, name, TERMS)


def spec(server):
    return server.objects["Lease", "default", "test"]["spec"]


async def test_the_first_candidate_leads_and_the_second_does_not(
    server, candidate
):
    assert await candidate("a").attempt()
    assert not await candidate("b").attempt()
    assert spec(server)["holderIdentity"] == "a"
    assert spec(server)["leaseDurationSeconds"] == 15


async def test_renewing_keeps_the_time_of_acquiring(server, candidate):
    lease = candidate("a")
    await lease.attempt()
    acquired = spec(server)["acquireTime"]
    version = server.objects["Lease", "default", "test"]["metadata"]
    assert await lease.attempt()
    after = server.objects["Lease", "default", "test"]["metadata"]
    assert after["resourceVersion"] != version["resourceVersion"]
    assert spec(server)["acquireTime"] == acquired
    assert spec(server)["leaseTransitions"] == 0


async def test_a_silent_leader_is_replaced_but_not_before_its_time(
    server, candidate
):
    await candidate("a").attempt()
    other = candidate("b")
    for _ in range(4):
        assert not await other.attempt()
        await asyncio.sleep(5)
    assert await other.attempt()
    assert spec(server)["holderIdentity"] == "b"
    assert spec(server)["leaseTransitions"] == 1


async def test_a_leader_that_renews_is_never_replaced(candidate):
    leader, other = candidate("a"), candidate("b")
    await leader.attempt()
    holding = asyncio.create_task(leader.hold())
    for _ in range(30):
        assert not await other.attempt()
        await asyncio.sleep(4)
    assert not holding.done()
    holding.cancel()


async def test_of_two_that_try_at_once_one_gets_a_conflict(server, candidate):
    await candidate("a").attempt()
    b, c = candidate("b"), candidate("c")
    await b.attempt()
    await c.attempt()
    await asyncio.sleep(20)
    seen = await server.get("", "Lease", "default", "test")
    await b._write(seen, "b")
    with pytest.raises(ConflictError):
        await c._write(seen, "c")


async def test_a_leader_that_cannot_renew_stops_before_others_may_start(
    server, candidate
):
    leader, other = candidate("a"), candidate("b")
    await leader.attempt()
    assert not await other.attempt()
    began = asyncio.get_running_loop().time()

    def away(_):
        msg = "away"
        raise UnavailableError(msg)

    server.fail = away
    await leader.hold()
    stopped = asyncio.get_running_loop().time() - began
    assert stopped < TERMS.duration
    server.fail = lambda _: None
    assert not await other.attempt()


async def test_a_server_that_hangs_is_no_renewal(server, candidate):
    leader = candidate("a")
    await leader.attempt()

    async def hang(*_):
        await asyncio.sleep(1e6)

    server.get = hang
    began = asyncio.get_running_loop().time()
    await leader.hold()
    assert asyncio.get_running_loop().time() - began < TERMS.duration


async def test_losing_the_lease_ends_the_hold(server, candidate):
    leader = candidate("a")
    await leader.attempt()
    holding = asyncio.create_task(leader.hold())
    await asyncio.sleep(1)
    spec(server)["holderIdentity"] = "b"
    async with asyncio.timeout(6):
        await holding


async def test_release_lets_the_next_one_start_at_once(server, candidate):
    leader, other = candidate("a"), candidate("b")
    await leader.attempt()
    waiting = asyncio.create_task(other.acquire())
    await asyncio.sleep(12)
    assert not waiting.done()
    await leader.release()
    async with asyncio.timeout(5.1):
        await waiting
    await leader.release()  # of what is not ours: changes nothing
    assert spec(server)["holderIdentity"] == "b"
