"""A controller that is killed in the middle, and two at the same time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from reconciler.controlplane.thread import ControlPlaneThread
from reconciler.gitops.documents import compose
from reconciler.gitops.sops.keys import new_identity
from reconciler.gitops.sops.sealing import as_yaml, seal
from tests.gitops.faulty_api import FaultyApi, Forward, deletes, writes
from tests.gitops.follower import PATIENCE, Follower, controllers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OLD = {"a": "1", "b": "1", "c": "1", "d": "1"}
NEW = {"a": "2", "b": "2", "e": "2"}


@pytest.fixture
async def api(
    plane: ControlPlaneThread, tmp_path: Path
) -> AsyncIterator[FaultyApi]:
    found = FaultyApi(plane.kubeconfig)
    await found.start(tmp_path / "kubeconfig")
    yield found
    await found.stop()


@asynccontextmanager
async def process(tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real controller process; killed at the end, if not before."""
    found = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.gitops.controller_process",
        str(tmp_path / "kubeconfig"),
        str(tmp_path / "state"),
        cwd=ROOT,
    )
    try:
        yield found
    finally:
        if found.returncode is None:
            found.send_signal(signal.SIGKILL)
        await found.wait()


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("matches", "name"),
    [(writes, "b"), (deletes, "d")],
    ids=["apply", "prune"],
)
async def test_the_next_start_finishes_what_kill_9_cut_off(
    follower: Follower,
    api: FaultyApi,
    tmp_path: Path,
    matches: Any,
    name: str,
    done: bool,
) -> None:
    theirs = await follower.put("theirs", "theirs")
    follower.save(OLD)
    await follower.follow()
    async with process(tmp_path) as first:
        await follower.applied(OLD)

        async def kill(_: web.Request, forward: Forward) -> Any:
            if done:
                await forward()
            os.kill(first.pid, signal.SIGKILL)
            return web.Response(status=503)

        api.spoil(matches, name, kill)
        follower.save(NEW)
        assert await asyncio.wait_for(first.wait(), PATIENCE) == -9
    api.heal()
    live = await follower.live()
    assert live.keys() - {"theirs"} <= await follower.inventory()
    assert live.keys() >= {"a", "b"}
    assert (await follower.ready())["status"] == "False"
    async with process(tmp_path):
        await follower.applied(NEW)
    left = await follower.client.get(
        "v1", "ConfigMap", follower.namespace, "theirs"
    )
    assert left == theirs
    assert await follower.live() == {"theirs": "theirs", **NEW}


FIXED = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: fixed, annotations: {reconciler.dev/force: enabled}}
immutable: true
data: {x: %s}
"""


@pytest.mark.parametrize(
    "matches", [deletes, writes], ids=["delete", "create"]
)
async def test_kill_9_while_an_encrypted_object_is_replaced(
    follower: Follower,
    api: FaultyApi,
    tmp_path: Path,
    matches: Any,
) -> None:
    identity, recipient = new_identity()
    await put_secret(follower, "sops-age", {"age.agekey": identity})

    def save(value: str) -> None:
        nodes = compose("f.yaml", FIXED % value)
        text = as_yaml(nodes, seal(nodes, [recipient]))
        (follower.source / "f.yaml").write_text(text)

    save("hunter1")
    key = {"provider": "sops", "secretRef": {"name": "sops-age"}}
    await follower.follow(decryption=key)
    async with process(tmp_path) as first:
        await follower.applied({"fixed": "hunter1"})

        async def kill(_: web.Request, forward: Forward) -> Any:
            await forward()
            os.kill(first.pid, signal.SIGKILL)
            return web.Response(status=503)

        api.spoil(matches, "fixed", kill)
        save("hunter2")
        assert await asyncio.wait_for(first.wait(), PATIENCE) == -9
    api.heal()
    created = {} if matches is deletes else {"fixed": "hunter2"}
    assert await follower.live() == created
    assert await follower.inventory() == {"fixed"}
    async with process(tmp_path):
        await follower.applied({"fixed": "hunter2"})
    kept = await asyncio.to_thread(contents, tmp_path / "state")
    assert kept
    assert not any(b"hunter" in data for data in kept)


def contents(folder: Path) -> list[bytes]:
    return [p.read_bytes() for p in folder.rglob("*") if p.is_file()]


async def put_secret(
    follower: Follower, name: str, values: dict[str, str]
) -> None:
    await follower.client.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": follower.namespace},
            "stringData": values,
        }
    )


async def test_two_controllers_of_one_repository_agree(
    plane: ControlPlaneThread, follower: Follower, tmp_path: Path
) -> None:
    """Without an election; each with a disk of its own."""
    follower.save(OLD)
    await follower.follow(interval="300ms")
    config = plane.kubeconfig
    async with (
        controllers(config, tmp_path / "one"),
        controllers(config, tmp_path / "two"),
    ):
        await follower.applied(OLD)
        follower.save(NEW)
        await follower.applied(NEW)
        before = await versions(follower)
        status = await follower.status()

        async def passed() -> bool:
            token = {"reconciler.dev/requested-at": "again"}
            await annotate(follower, token)
            found = await follower.status()
            return bool(found.get("lastHandledReconcileAt") == "again")

        await follower.until(passed)
        assert await versions(follower) == before
    assert (await follower.status())["inventory"] == status["inventory"]


async def versions(follower: Follower) -> dict[str, str]:
    found = await follower.client.list("v1", "ConfigMap", follower.namespace)
    return {
        raw["metadata"]["name"]: raw["metadata"]["resourceVersion"]
        for raw in found
    }


async def annotate(follower: Follower, values: dict[str, str]) -> None:
    where = ("ConfigRepository", follower.namespace, "fleet")
    patch = {"metadata": {"annotations": values}}
    await follower.client.merge_patch("reconciler.dev/v1alpha1", *where, patch)


async def test_an_object_of_two_repositories_stays_with_the_first(
    plane: ControlPlaneThread, follower: Follower, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    follower.save({"a": "first", "b": "first"})
    (other / "all.yaml").write_text(
        (follower.source / "b.yaml").read_text().replace("first", "second")
    )
    async with controllers(plane.kubeconfig, tmp_path / "state"):
        await follower.follow()
        await follower.applied({"a": "first", "b": "first"})
        await follower.follow("second", directory={"path": str(other)})
        space = follower.namespace
        told = await follower.fails("belongs to", "second")
        assert told["reason"] == "ReconciliationFailed"
        assert told["message"] == (
            f"all.yaml:1: configmap/{space}/b: belongs to ConfigRepository "
            f"{space}/fleet; take it out of one of the two"
        )
        assert (await follower.live())["b"] == "first"
        assert (await follower.ready())["status"] == "True"
        follower.save({"a": "first"})
        await follower.applied({"b": "second"}, "second")
        await follower.applied({"a": "first"})
