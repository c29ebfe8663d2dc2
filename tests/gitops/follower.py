"""A person beside a real API server: follows a source, looks, waits."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from reconciler.engine import shell
from reconciler.engine.app import App
from reconciler.engine.client import KubeClient
from reconciler.engine.credentials import ClientSettings
from reconciler.engine.install import install_crds
from reconciler.engine.resource import API_VERSION
from reconciler.gitops.controller import ConfigRepositoryController
from reconciler.gitops.resource import ConfigRepository

PATIENCE = 40.0
_numbers = itertools.count(1)


def config_map(name: str, value: str) -> str:
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n"
        f"data: {{x: {value!r}}}\n"
    )


class Follower:
    """One ConfigRepository in a namespace of its own."""

    def __init__(self, client: KubeClient, folder: Path) -> None:
        self.client = client
        self.namespace = f"team-{next(_numbers)}"
        self.source = folder / "source"
        self.source.mkdir(parents=True)

    async def open(self) -> None:
        await install_crds(self.client, (ConfigRepository,))
        await self.client.create(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": self.namespace},
            }
        )

    async def close(self) -> None:
        """Leave no repository behind that the next test would follow."""
        for raw in await self.client.list(API_VERSION, "ConfigRepository"):
            meta = raw["metadata"]
            where = (API_VERSION, "ConfigRepository", meta["namespace"])
            nobody = {"metadata": {"finalizers": []}}
            await self.client.delete(*where, meta["name"])
            with contextlib.suppress(Exception):
                await self.client.merge_patch(*where, meta["name"], nobody)

    async def follow(self, name: str = "fleet", **spec: Any) -> None:
        if "git" not in spec:
            spec.setdefault("directory", {"path": str(self.source)})
        spec = {
            "retryInterval": "1s",
            "targetNamespace": self.namespace,
        } | spec
        meta = {"name": name, "namespace": self.namespace}
        await self.client.create(
            {
                "apiVersion": API_VERSION,
                "kind": "ConfigRepository",
                "metadata": meta,
                "spec": spec,
            }
        )

    def save(self, values: Mapping[str, str]) -> None:
        """Make the source be these ConfigMaps."""
        for old in self.source.iterdir():
            if old.stem not in values:
                old.unlink()
        for name, value in values.items():
            (self.source / f"{name}.yaml").write_text(config_map(name, value))

    async def put(self, name: str, value: str) -> dict[str, Any]:
        """An object that is nobody's but ours."""
        return await self.client.create(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": self.namespace},
                "data": {"x": value},
            }
        )

    async def status(self, name: str = "fleet") -> dict[str, Any]:
        found = await self.client.get(
            API_VERSION, "ConfigRepository", self.namespace, name
        )
        return (found or {}).get("status") or {}

    async def ready(self, name: str = "fleet") -> dict[str, Any]:
        status = await self.status(name)
        return next(
            (c for c in status.get("conditions", ()) if c["type"] == "Ready"),
            {},
        )

    async def inventory(self, name: str = "fleet") -> set[str]:
        """Names of the objects that are owned."""
        status = await self.status(name)
        entries = status.get("inventory", ())
        return {entry["id"].split("_")[1] for entry in entries}

    async def live(self) -> dict[str, str]:
        """The ConfigMaps that are there, and what they say."""
        found = await self.client.list("v1", "ConfigMap", self.namespace)
        return {
            raw["metadata"]["name"]: raw["data"]["x"]
            for raw in found
            if "x" in (raw.get("data") or {})
        }

    async def until(
        self, met: Callable[[], Awaitable[Any]], seconds: float = PATIENCE
    ) -> Any:
        async with asyncio.timeout(seconds):
            while not (found := await met()):  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.05)
        return found

    async def fails(self, text: str, name: str = "fleet") -> dict[str, Any]:
        """Wait for a Ready=False that says so."""

        async def met() -> dict[str, Any] | None:
            found = await self.ready(name)
            bad = found.get("status") == "False"
            return found if bad and text in found["message"] else None

        try:
            return dict(await self.until(met))
        except TimeoutError:
            raise AssertionError(await self.ready(name)) from None

    async def applied(
        self, values: Mapping[str, str], name: str = "fleet"
    ) -> None:
        """Wait until it is Ready with exactly these objects of its own."""

        async def met() -> bool:
            ready = await self.ready(name)
            owned = await self.inventory(name)
            live = await self.live()
            found = {k: v for k, v in live.items() if k in owned}
            return ready.get("status") == "True" and found == dict(values)

        try:
            await self.until(met)
        except TimeoutError:
            state = await self.ready(name), await self.live()
            raise AssertionError(state) from None


@contextlib.asynccontextmanager
async def controllers(kubeconfig: Path, root: Path) -> AsyncIterator[None]:
    """A controller in this process, which is soon impatient."""
    settings = ClientSettings(
        kubeconfig=kubeconfig, request_timeout=1.5, attempts=2
    )
    controller = ConfigRepositoryController(root)
    app = App([controller], settings, kinds=(ConfigRepository,))
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(shell.run(app, stop, ready))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait(
        [running, waiting],
        timeout=PATIENCE,
        return_when=asyncio.FIRST_COMPLETED,
    )
    assert ready.is_set()
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE)
        await controller.stop()
