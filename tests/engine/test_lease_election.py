from __future__ import annotations

import asyncio

import pytest

from reconciler.engine.controller import TransientError
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


async def test_a_killed_leader_is_followed_by_exactly_one(server, candidate):
    leader = candidate("a")
    await leader.acquire()
    holding = asyncio.create_task(leader.hold())
    await asyncio.sleep(12)
    since = asyncio.get_running_loop().time()
    others = {name: candidate(name) for name in "bc"}
    waiting = {
        name: asyncio.create_task(one.acquire())
        for name, one in others.items()
    }
    await asyncio.sleep(1)
    holding.cancel()  # kill -9: no release
    async with asyncio.timeout(40):
        done, still = await asyncio.wait(
            waiting.values(), return_when=asyncio.FIRST_COMPLETED
        )
    assert asyncio.get_running_loop().time() - since > TERMS.duration
    await asyncio.sleep(1)
    (name,) = [n for n, task in waiting.items() if task in done]
    assert spec(server)["holderIdentity"] == name
    next_holding = asyncio.create_task(others[name].hold())
    await asyncio.sleep(60)
    assert not any(task.done() for task in still)
    assert not next_holding.done()
    for task in [next_holding, *still]:
        task.cancel()


async def test_a_renewal_whose_reply_was_lost_is_not_the_end(
    server, candidate
):
    leader = candidate("a")
    await leader.acquire()
    holding = asyncio.create_task(leader.hold())
    patch, lost = server.merge_patch, 0

    async def repeated(*args):
        # What the transport does: it sends again, and gets the conflict
        # with its own first request.
        nonlocal lost
        await patch(*args)
        if lost < 3:
            lost += 1
            await patch(*args)
        return {}

    server.merge_patch = repeated
    await asyncio.sleep(100)
    assert lost == 3
    assert not holding.done()
    holding.cancel()


async def test_a_lead_that_was_won_too_long_ago_is_not_taken(
    server, candidate
):
    leader = candidate("a")
    create, slow = server.create, 12.0

    async def late(body):
        made = await create(body)
        await asyncio.sleep(slow)
        return made

    server.create = late
    acquiring = asyncio.create_task(leader.acquire())
    await asyncio.sleep(13)
    assert not acquiring.done()
    async with asyncio.timeout(10):
        await acquiring
    assert spec(server)["holderIdentity"] == "a"


async def test_releasing_is_bounded_and_never_fails(server, candidate):
    leader = candidate("a")
    await leader.acquire()

    async def hang(*_):
        await asyncio.sleep(1e6)

    server.merge_patch = hang
    began = asyncio.get_running_loop().time()
    await leader.release()
    assert asyncio.get_running_loop().time() - began <= TERMS.renew


async def test_a_lead_is_over_at_once_for_who_was_not_running(candidate):
    """Nobody has to renew, or to fail to, before it is noticed."""
    lease = candidate("a")
    with pytest.raises(TransientError, match="no longer leading as a"):
        lease.require()
    await lease.attempt()
    lease.require()
    await asyncio.sleep(TERMS.duration)
    with pytest.raises(TransientError, match="no longer leading as a"):
        lease.require()
