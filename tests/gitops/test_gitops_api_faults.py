"""The API server fails in the middle: nothing is lost, it is told, it heals.

The real engine and the embedded server with a proxy between them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.controlplane.thread import ControlPlaneThread
from tests.gitops.faulty_api import (
    FaultyApi,
    deletes,
    dry_runs,
    hang_up,
    lists,
    lost_reply,
    refusal,
    silence,
    writes,
)
from tests.gitops.follower import Follower, controllers

pytestmark = pytest.mark.slow

RETRY, REFUSED, UNPRUNED = (
    "ProgressingWithRetry",
    "ReconciliationFailed",
    "PruneFailed",
)
OLD = {"a": "1", "b": "1", "c": "1", "d": "1", "e": "1"}
NEW = {"a": "2", "b": "2", "c": "2", "d": "2", "f": "2"}


@pytest.fixture
async def api(
    plane: ControlPlaneThread, follower: Follower, tmp_path: Path
) -> AsyncIterator[FaultyApi]:
    """The proxy, and a controller that knows the server by it only."""
    del follower  # the kinds are there before the controller looks for them
    found = FaultyApi(plane.kubeconfig)
    await found.start(tmp_path / "kubeconfig")
    async with controllers(tmp_path / "kubeconfig", tmp_path / "state"):
        yield found
    await found.stop()


CASES = {
    "apply 409": (writes, "b", refusal(409), RETRY, "injected 409"),
    "apply 410": (writes, "b", refusal(410), RETRY, "injected 410"),
    "apply 422": (writes, "b", refusal(422), REFUSED, "injected 422"),
    "apply 429": (writes, "b", refusal(429), RETRY, "injected 429"),
    "apply 500": (writes, "b", refusal(500), RETRY, "injected 500"),
    "apply timeout": (writes, "b", silence, RETRY, "TimeoutError"),
    "apply cut": (writes, "b", hang_up, RETRY, "out of reach"),
    "apply lost": (writes, "b", lost_reply, RETRY, "out of reach"),
    "dry run 422": (dry_runs, "b", refusal(422), REFUSED, "injected 422"),
    "dry run 500": (dry_runs, "b", refusal(500), RETRY, "injected 500"),
    "dry run timeout": (dry_runs, "b", silence, RETRY, "TimeoutError"),
    "list 410": (lists, "configmaps", refusal(410), RETRY, "injected 410"),
    "list 422": (lists, "configmaps", refusal(422), RETRY, "injected 422"),
    "list 500": (lists, "configmaps", refusal(500), RETRY, "injected 500"),
    "delete 422": (deletes, "e", refusal(422), UNPRUNED, "injected 422"),
    "delete 429": (deletes, "e", refusal(429), RETRY, "injected 429"),
    "delete timeout": (deletes, "e", silence, RETRY, "TimeoutError"),
    "delete lost": (deletes, "e", lost_reply, None, ""),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_fault_loses_nothing_is_told_and_heals(
    follower: Follower, api: FaultyApi, case: str
) -> None:
    matches, name, fault, reason, text = CASES[case]
    theirs = await follower.put("theirs", "theirs")
    follower.save(OLD)
    await follower.follow()
    await follower.applied(OLD)
    api.spoil(matches, name, fault)
    follower.save(NEW)
    if reason is None:  # done in spite of it, so that nobody has to be told
        await follower.applied(NEW)
    else:
        told = await follower.fails(text)
        assert told["reason"] == reason
        assert where(follower, name) in told["message"]
        live = await follower.live()
        assert live.keys() >= OLD.keys() & NEW.keys()
        assert live.keys() - {"theirs"} <= await follower.inventory()
    assert api.met
    api.heal()
    await follower.applied(NEW)
    left = await follower.client.get(
        "v1", "ConfigMap", follower.namespace, "theirs"
    )
    assert left == theirs
    assert (await follower.live()).keys() == {"theirs", *NEW}


def where(follower: Follower, name: str) -> str:
    if name == "configmaps":
        return "reading ConfigMap objects"
    return f"configmap/{follower.namespace}/{name}: "


async def test_the_wish_to_wait_is_honoured(
    follower: Follower, api: FaultyApi
) -> None:
    follower.save(OLD)
    await follower.follow()
    await follower.applied(OLD)
    fault = refusal(429, **{"Retry-After": "2"})
    api.spoil(writes, "b", fault)
    follower.save(NEW)
    await follower.fails("injected 429")
    api.heal()
    await follower.applied(NEW)
    (first, *_), (second, *_) = api.met[:2]
    assert second - first >= 1.95


async def test_a_server_that_fails_now_and_then_is_no_news(
    follower: Follower, api: FaultyApi
) -> None:
    """Every third request fails: it gets there, and no refusal is noted."""
    turns = iter(range(10_000))
    refuse = refusal(503)

    async def sometimes(request: Any, forward: Any) -> Any:
        again = next(turns) % 3 == 0
        return await (refuse(request, forward) if again else forward())

    api.spoil(lambda _: True, "", sometimes)
    follower.save(OLD)
    await follower.follow()
    await follower.applied(OLD)
    follower.save(NEW)
    await follower.applied(NEW)
    history = (await follower.status())["history"]
    assert {h["status"] for h in history} == {"ReconciliationSucceeded"}
