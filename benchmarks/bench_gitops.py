"""ConfigRepository with 500 objects: apply, an unchanged pass, one save.

Wall clock, with the embedded API server and the controller in this process.
The peer's column is the goal that ours has to reach.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.comparison import Comparison
from reconciler.controlplane.server import ControlPlane
from reconciler.engine import shell
from reconciler.engine.app import App
from reconciler.engine.client import KubeClient
from reconciler.engine.credentials import ClientSettings
from reconciler.engine.install import install_crds
from reconciler.engine.resource import ANNOTATIONS, API_VERSION
from reconciler.gitops.controller import ConfigRepositoryController
from reconciler.gitops.resource import ConfigRepository

OBJECTS, ROUNDS, PATIENCE = 500, 5, 120.0
GOAL_APPLY, GOAL_UNCHANGED, GOAL_SAVE = 15.0, 2.0, 2.0
_REPOSITORY = (API_VERSION, "ConfigRepository", "default", "fleet")


def run() -> Iterable[Comparison]:
    """Ours against the goals."""
    with tempfile.TemporaryDirectory() as place:
        yield from asyncio.run(_measured(Path(place)))


async def _measured(place: Path) -> list[Comparison]:
    source = place / "source"
    source.mkdir()
    for number in range(OBJECTS):
        _save(source, number, "first")
    async with _controller(place) as client:
        applied = await _applied(client, source)
        before = await _versions(client)
        unchanged = [await _unchanged(client, n) for n in range(ROUNDS)]
        if await _versions(client) != before:
            msg = "an unchanged revision wrote to its objects"
            raise RuntimeError(msg)
        saved = [await _saved(client, source, n) for n in range(ROUNDS)]
    return [
        Comparison(f"apply {OBJECTS} objects", applied, "goal", GOAL_APPLY),
        Comparison(
            f"pass over {OBJECTS} unchanged",
            statistics.median(unchanged),
            "goal",
            GOAL_UNCHANGED,
        ),
        Comparison(
            f"save to applied, 1 of {OBJECTS}",
            statistics.median(saved),
            "goal",
            GOAL_SAVE,
        ),
    ]


@asynccontextmanager
async def _controller(place: Path) -> AsyncIterator[KubeClient]:
    plane = ControlPlane(place / "controlplane")
    await plane.start()
    settings = ClientSettings(kubeconfig=plane.kubeconfig)
    client = KubeClient(settings)
    await client.open()
    await install_crds(client, (ConfigRepository,))
    controller = ConfigRepositoryController(place / "repositories")
    app = App([controller], settings, kinds=(ConfigRepository,))
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(shell.run(app, stop, ready))
    try:
        await asyncio.wait_for(ready.wait(), PATIENCE)
        yield client
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE)
        await controller.stop()
        await client.close()
        await plane.stop()


async def _applied(client: KubeClient, source: Path) -> float:
    began = time.perf_counter()
    version, kind, namespace, name = _REPOSITORY
    await client.create(
        {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"directory": {"path": str(source)}, "interval": "1h"},
        }
    )

    async def done() -> bool:
        return bool((await _status(client)).get("lastAppliedRevision"))

    await _until(done)
    return time.perf_counter() - began


async def _unchanged(client: KubeClient, number: int) -> float:
    began = time.perf_counter()
    token = f"round-{number}"
    note = {"annotations": {ANNOTATIONS.requested_at: token}}
    await client.merge_patch(*_REPOSITORY, {"metadata": note})

    async def done() -> bool:
        found = (await _status(client)).get("lastHandledReconcileAt")
        return bool(found == token)

    await _until(done)
    return time.perf_counter() - began


async def _saved(client: KubeClient, source: Path, number: int) -> float:
    began = time.perf_counter()
    _save(source, number, "second")

    async def done() -> bool:
        found = await client.get("v1", "ConfigMap", "default", f"m{number}")
        return bool(found and found["data"]["value"] == "second")

    await _until(done)
    return time.perf_counter() - began


def _save(source: Path, number: int, value: str) -> None:
    text = (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{number}}}\n"
        f"data: {{value: {value}}}\n"
    )
    (source / f"{number}.yaml").write_text(text)


async def _status(client: KubeClient) -> dict[str, Any]:
    return ((await client.get(*_REPOSITORY)) or {}).get("status") or {}


async def _versions(client: KubeClient) -> dict[str, str]:
    found = await client.list("v1", "ConfigMap", "default")
    named = (item["metadata"] for item in found)
    return {m["name"]: m["resourceVersion"] for m in named}


async def _until(done: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await done():  # noqa: ASYNC110 - the server is polled
            await asyncio.sleep(0.02)
