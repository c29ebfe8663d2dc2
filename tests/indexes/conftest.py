"""A controller of indexes with real files, runs and serving process."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.compute.local import LocalExecutor
from reconciler.engine.controller import Context
from reconciler.indexes.adapters import Adapters
from reconciler.indexes.controller import VectorIndexController
from reconciler.indexes.resource import VectorIndex
from reconciler.serving.devices import Choice
from reconciler.serving.process import ServerProcess
from reconciler.storage.placement import Place

PATIENCE = 300.0
"""Seconds for what takes a few on a machine that does nothing else."""


@dataclass
class Events:
    """Remembers what was recorded."""

    seen: list[tuple[str, str]] = field(default_factory=list)

    def normal(self, _about, reason, note):
        self.seen.append((reason, note))

    warning: Callable[..., None] = normal


@dataclass
class Objects:
    """What else there is."""

    items: dict[tuple[str, str], Any] = field(default_factory=dict)

    def add(self, item: Any) -> None:
        kind, name = type(item).__name__, item.metadata.name
        self.items[kind, name] = item

    def get(self, kind, _namespace, name):
        return self.items.get((kind.__name__, name))

    def list(self, kind, _namespace=None):
        return [i for (k, _), i in self.items.items() if k == kind.__name__]


@dataclass
class World:
    """One controller and one live object."""

    adapters: Adapters
    live: VectorIndex
    objects: Objects = field(default_factory=Objects)
    events: Events = field(default_factory=Events)

    def __post_init__(self) -> None:
        self.controller = VectorIndexController(self.adapters)
        self.last: Any = None
        """The newest plan."""

    @property
    def context(self) -> Context:
        return Context(self.objects, None, self.events, lambda _: None)

    @property
    def reason(self) -> str:
        conditions = self.live.status.conditions
        return next(c.reason for c in conditions if c.type == "Ready")

    def change(self, **spec: Any) -> None:
        raw = self.live.model_dump(by_alias=True, exclude_none=True)
        raw["spec"] |= spec
        raw["metadata"]["generation"] += 1
        self.live = VectorIndex.parse(raw)

    def mark_deleted(self) -> None:
        meta = self.live.metadata.model_copy(
            update={"deletion_timestamp": "2026-11-28T14:00:00Z"}
        )
        self.live = self.live.model_copy(update={"metadata": meta})

    async def once(self):
        seen = await self.controller.observe(self.context, self.live)
        now = datetime.now(UTC)
        result = self.controller.plan(self.live, seen, now)
        self.live = self.live.model_copy(update={"status": result.status})
        for action in result.actions:
            await self.controller.act(self.context, self.live, action)
        self.last = result
        return result

    async def until(
        self, condition: Callable[[], bool], seconds: float = PATIENCE
    ) -> None:
        """Reconcile until something is so."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            await self.once()
            if condition():
                return
            await asyncio.sleep(0.05)
        message = f"not so after {seconds} s: {self.live.status}"
        raise AssertionError(message)

    async def wait(self, condition: Callable[[], bool]) -> None:
        """Wait for what the serving process does by itself."""
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)

    async def settle(self, seconds: float = PATIENCE) -> None:
        """Reconcile until the index is what was asked for."""
        await self.until(lambda: self.reason == "InSync", seconds)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    root = tmp_path / "docs"
    root.mkdir()
    for i in range(6):
        (root / f"d{i}.md").write_text(
            f"# Topic {i}\n\nThe subject number {i} is about thing{i} and "
            "nothing else.\n"
        )
    return root


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServerProcess]:
    """One serving process for the tests of a file."""
    process = ServerProcess(tmp_path_factory.mktemp("serving"))
    yield process
    process.stop()


@pytest.fixture
def world(
    tmp_path: Path, documents: Path, server: ServerProcess
) -> Iterator[Callable[..., World]]:
    """Makes worlds of one index; their processes end with the test."""
    made: list[World] = []
    name = f"docs-{uuid.uuid4().hex[:8]}"

    def make(**spec: Any) -> World:
        state = tmp_path / "state"
        adapters = Adapters(
            place=Place("here"),
            indexes=state / "vectorindexes",
            graphs=state / "graphs",
            datasets=state / "datasets",
            executor=LocalExecutor(state / "runs"),
            postgres=None,
            server=server,
            devices=lambda wanted: Choice("CPU", f"the first of {wanted}"),
            bundled=lambda: None,
        )
        live = VectorIndex.parse(
            {
                "metadata": {"name": name, "uid": "u", "generation": 1},
                "spec": {
                    "source": {"directory": {"path": str(documents)}},
                    "embedder": {"type": "Hashing"},
                    **spec,
                },
            }
        )
        made.append(World(adapters, live))
        return made[-1]

    yield make
    for each in made:
        each.adapters.executor.stop_all(10)
        each.adapters.files.remove_desired(name)
