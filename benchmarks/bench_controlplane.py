"""The embedded control plane: start, memory, writes, lists, watches.

Peer: the API server that ``KUBECONFIG_PEER`` names, measured in turns with
ours, wall clock. Without one the peer's column is the goal that ours has to
reach (start, memory) or empty. ``PEER_PID`` compares memory too; for a
kube-apiserver add that of etcd.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import psutil

from benchmarks.comparison import Comparison
from reconciler.engine.credentials import (
    ClientSettings,
    bearer_token,
    load_configuration,
)

CLIENTS, OBJECTS, ROUNDS, STARTS = 8, 1_000, 3, 5
GOAL_START, GOAL_MEMORY = 0.7, 80e6 / (1 << 20)
LAGS = 200
_MIB = 1024 * 1024
_MERGE = {"Content-Type": "application/merge-patch+json"}
_GROUP = "bench.reconciler.dev"
_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"things.{_GROUP}"},
    "spec": {
        "group": _GROUP,
        "scope": "Namespaced",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            part: {
                                "type": "object",
                                "x-kubernetes-preserve-unknown-fields": True,
                            }
                            for part in ("spec", "status")
                        },
                    }
                },
            }
        ],
    },
}
_THINGS = f"/apis/{_GROUP}/v1/namespaces/default/things"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def run() -> Iterable[Comparison]:
    """Ours, and the peer where there is one."""
    with tempfile.TemporaryDirectory() as place:
        starts = [_started(Path(place) / "start") for _ in range(STARTS)]
        yield Comparison(
            f"start to ready, best of {STARTS}",
            min(starts),
            "goal",
            GOAL_START,
        )
        with _server(Path(place) / "state") as (config, process):
            yield from asyncio.run(_measured(config, process.pid))


def _started(state: Path) -> float:
    began = time.perf_counter()
    with _server(state):
        return time.perf_counter() - began


@contextmanager
def _server(state: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "reconciler.controlplane", "serve"]
    process = subprocess.Popen(
        [*command, "--state", str(state)], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield state / "kubeconfig", process
    finally:
        process.terminate()
        process.wait(30)


async def _measured(config: Path, pid: int) -> list[Comparison]:
    peer = os.environ.get("KUBECONFIG_PEER")
    servers = [await Server.at(config)]
    if peer:
        servers.append(await Server.at(Path(peer)))
    found: dict[str, list[list[float]]] = {}
    try:
        memory = await servers[0].filled(pid)
        for number in range(ROUNDS):
            for which, server in enumerate(servers):
                for what, seconds in (await server.round(number)).items():
                    columns = found.setdefault(what, [[], []])
                    columns[which].append(seconds)
    finally:
        for server in servers:
            await server.close()
    name = "KUBECONFIG_PEER" if peer else "none given"
    compared = [
        Comparison(
            what,
            statistics.median(ours),
            name,
            statistics.median(theirs) if theirs else None,
        )
        for what, (ours, theirs) in found.items()
    ]
    return [*compared, *_memory(memory)]


def _memory(ours: float) -> Iterator[Comparison]:
    what = f"resident, {OBJECTS} objects"
    yield Comparison(what, ours, "goal", GOAL_MEMORY, "MiB")
    if peer := os.environ.get("PEER_PID"):
        theirs = sum(_resident(int(pid)) for pid in peer.split(","))
        yield Comparison(what, ours, "PEER_PID", theirs, "MiB")


def _resident(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / _MIB


class Server:
    """One API server, as its clients see it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    async def at(cls, kubeconfig: Path) -> Server:
        """Connect, and define the kind that is measured."""
        settings = ClientSettings(kubeconfig=kubeconfig)
        found = await load_configuration(settings)
        tls = ssl.create_default_context(cafile=found.ssl_ca_cert)
        if found.cert_file:
            tls.load_cert_chain(found.cert_file, found.key_file)
        token = bearer_token(found)
        server = cls(
            aiohttp.ClientSession(
                found.host,
                connector=aiohttp.TCPConnector(ssl=tls, limit=2 * CLIENTS),
                headers={"Authorization": f"Bearer {token}"} if token else {},
            )
        )
        await server._send("POST", _CRDS, _CRD)
        async with asyncio.timeout(30):
            # Established says nothing of when a kube-apiserver serves it.
            while not await server._serves():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return server

    async def close(self) -> None:
        """Remove what was made."""
        await self._send("DELETE", f"{_CRDS}/things.{_GROUP}")
        await self._session.close()

    async def filled(self, pid: int) -> float:
        """MiB of a process while it keeps the objects; they go again."""
        spec = {"spec": {"text": "x" * 500}}
        await self._spread(
            ("POST", _THINGS, _thing(f"m{i}") | spec) for i in range(OBJECTS)
        )
        await self._send("GET", _THINGS)
        resident = _resident(pid)
        await self._send("DELETE", _THINGS)
        return resident

    async def round(self, number: int) -> dict[str, float]:
        """Wall seconds of each kind of work, once."""
        names = [f"t{number}-{i}" for i in range(OBJECTS)]
        spec = {"spec": {"text": "x" * 500, "number": number}}
        status = {"status": {"phase": "Ready", "number": number}}
        seconds = {
            f"{OBJECTS} creates, {CLIENTS} clients": await self._spread(
                ("POST", _THINGS, _thing(n) | spec) for n in names
            ),
            f"{OBJECTS} status patches, {CLIENTS} clients": (
                await self._spread(
                    ("PATCH", f"{_THINGS}/{n}/status", status) for n in names
                )
            ),
        }
        began = time.perf_counter()
        await self._send("GET", _THINGS)
        seconds[f"list of {OBJECTS}"] = time.perf_counter() - began
        seconds["watch lag, p99"] = await self._lag(names)
        await self._send("DELETE", _THINGS)
        return seconds

    async def _spread(
        self, requests: Iterable[tuple[str, str, dict[str, Any]]]
    ) -> float:
        waiting = iter(requests)

        async def client() -> None:
            for method, path, body in waiting:
                await self._send(method, path, body)

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        return time.perf_counter() - began

    async def _lag(self, names: list[str]) -> float:
        """From the answer to a write until a watcher has its event."""
        query = f"{_THINGS}?watch=1&timeoutSeconds=60&resourceVersion="
        listed = await self._send("GET", f"{_THINGS}?limit=1")
        version = listed["metadata"]["resourceVersion"]
        seen: dict[str, float] = {}
        lags = []
        async with self._session.get(query + version) as stream:
            for i in range(LAGS):
                path = f"{_THINGS}/{names[i]}"
                body = {"metadata": {"labels": {"round": str(i)}}}
                made = await self._send("PATCH", path, body)
                answered = time.perf_counter()
                wanted = made["metadata"]["resourceVersion"]
                while wanted not in seen:
                    event = orjson.loads(await stream.content.readline())
                    found = event["object"]["metadata"]["resourceVersion"]
                    seen[found] = time.perf_counter()
                lags.append(max(seen[wanted] - answered, 0.0))
        return statistics.quantiles(lags, n=100)[-1]

    async def _serves(self) -> bool:
        async with self._session.get(_THINGS) as reply:
            return reply.ok

    async def _send(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> Any:
        headers = _MERGE if method == "PATCH" else {}
        async with self._session.request(
            method, path, json=body, headers=headers
        ) as reply:
            answer = await reply.read()
            reply.raise_for_status()
            return orjson.loads(answer)


def _thing(name: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "Thing",
        "metadata": {"name": name},
    }
