"""Steps of a rollout, with loading replaced by decisions of the test."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from typing_extensions import override

from reconciler.serving.bundle import BundleError
from reconciler.serving.documents import (
    Desired,
    Observed,
    Served,
    ServingState,
)
from reconciler.serving.rollout import Rollout
from reconciler.serving.runtime import LoadedModel
from reconciler.serving.switch_plan import Version


class Controlled(Rollout):
    """A rollout whose loads end when and how the test says."""

    broken: dict[str, str]
    loads: list[str]
    gate: asyncio.Event | None

    def __init__(self, state: ServingState) -> None:
        super().__init__(state, "m")
        self.broken, self.loads, self.gate = {}, [], None
        self.started = asyncio.Event()
        self.now = lambda: datetime(2026, 11, 25, tzinfo=UTC)

    @override
    async def _proven(self, version: Version) -> LoadedModel:
        self.loads.append(version.generation)
        if self.gate is not None:
            self.started.set()
            await self.gate.wait()
        if version.generation in self.broken:
            raise BundleError(self.broken[version.generation])
        return cast("LoadedModel", object())

    def serves(self) -> str | None:
        return self.current and self.current.version.generation


@pytest.fixture
def state(tmp_path: Path) -> ServingState:
    state = ServingState(tmp_path)
    state.prepare()
    return state


@pytest.fixture
def rollout(state: ServingState) -> Controlled:
    return Controlled(state)


def ask(state: ServingState, generation: str) -> None:
    state.write_desired(
        Desired(
            model="m",
            path=f"/data/{generation}",
            generation=generation,
            digest=f"sha256:{generation}",
            device="CPU",
        )
    )


def seen(state: ServingState) -> tuple[str, str]:
    found = state.observed("m")
    assert found is not None
    return found.generation, found.state


async def test_a_version_is_loaded_once_and_then_kept(
    state: ServingState, rollout: Controlled
) -> None:
    ask(state, "a")
    assert await rollout.converge() is None
    assert await rollout.converge() is None
    assert rollout.loads == ["a"]
    assert seen(state) == ("a", "Serving")


async def test_the_previous_version_comes_back_without_a_load(
    state: ServingState, rollout: Controlled
) -> None:
    for generation in ("a", "b", "a", "b"):
        ask(state, generation)
        await rollout.converge()
        assert rollout.serves() == generation
    assert rollout.loads == ["a", "b"]


async def test_a_third_version_releases_the_first(
    state: ServingState, rollout: Controlled
) -> None:
    for generation in ("a", "b", "c", "a"):
        ask(state, generation)
        await rollout.converge()
    assert rollout.loads == ["a", "b", "c", "a"]


async def test_a_broken_version_leaves_the_old_one_serving(
    state: ServingState, rollout: Controlled
) -> None:
    ask(state, "a")
    await rollout.converge()
    rollout.broken["b"] = "it is broken"
    ask(state, "b")
    again = await rollout.converge()
    assert again is not None
    assert 29 < again <= 30
    assert rollout.serves() == "a"
    found = state.observed("m")
    assert found is not None
    assert (found.state, found.message) == ("Failed", "it is broken")
    assert found.serving is not None
    assert found.serving.generation == "a"


async def test_what_was_reverted_while_it_loaded_never_serves(
    state: ServingState, rollout: Controlled
) -> None:
    ask(state, "a")
    await rollout.converge()
    rollout.gate = asyncio.Event()
    ask(state, "b")
    task = asyncio.create_task(rollout.converge())
    await rollout.started.wait()
    assert seen(state) == ("b", "Loading")
    ask(state, "a")
    rollout.gate.set()
    await task
    assert rollout.serves() == "a"
    assert rollout.previous is None
    assert seen(state) == ("a", "Serving")


async def test_a_repeated_failure_does_not_flap(
    state: ServingState, rollout: Controlled
) -> None:
    rollout.broken["a"] = "no"
    ask(state, "a")
    await rollout.converge()
    failure = rollout.slots.failure
    assert failure is not None
    rollout.slots = rollout.slots.__class__(
        failure=failure.__class__(failure.version, "no", 1, 0.0)
    )
    rollout.gate = asyncio.Event()
    task = asyncio.create_task(rollout.converge())
    await rollout.started.wait()
    assert seen(state) == ("a", "Failed")
    rollout.broken.clear()
    rollout.gate.set()
    await task
    assert seen(state) == ("a", "Serving")


async def test_nothing_is_written_when_nothing_changed(
    state: ServingState, rollout: Controlled
) -> None:
    ask(state, "a")
    await rollout.converge()
    path = state.root / "observed/m.json"
    before = path.stat().st_ino
    rollout.now = lambda: datetime(2027, 1, 1, tzinfo=UTC)
    await rollout.converge()
    assert path.stat().st_ino == before


async def test_withdrawing_forgets_everything(
    state: ServingState, rollout: Controlled
) -> None:
    ask(state, "a")
    await rollout.converge()
    state.remove_desired("m")
    await rollout.converge()
    assert rollout.serves() is None
    assert state.observed("m") is None


def remember(state: ServingState, generation: str) -> None:
    served = Served(
        generation=generation,
        digest=f"sha256:{generation}",
        device="CPU",
        path=f"/data/{generation}",
        since="2026-11-25T00:00:00Z",
    )
    state.write_observed(
        Observed(
            model="m",
            generation="b",
            digest="sha256:b",
            device="CPU",
            state="Failed",
            since="2026-11-25T00:00:00Z",
            serving=served,
        )
    )


async def test_after_a_restart_what_served_comes_first(
    state: ServingState, rollout: Controlled
) -> None:
    remember(state, "a")
    ask(state, "b")
    rollout.broken["b"] = "no"
    await rollout.restore()
    assert rollout.serves() == "a"
    await rollout.converge()
    assert rollout.serves() == "a"
    assert rollout.loads == ["a", "b"]


async def test_after_a_restart_nothing_is_restored_needlessly(
    state: ServingState, rollout: Controlled
) -> None:
    remember(state, "a")
    await rollout.restore()
    assert rollout.loads == []
    ask(state, "a")
    await rollout.restore()
    assert rollout.loads == []


def test_versions_have_to_lie_in_the_datasets(
    state: ServingState, tmp_path: Path
) -> None:
    inside, outside = tmp_path / "data/a", tmp_path / "other"
    for path in (inside, outside):
        path.mkdir(parents=True)
    (tmp_path / "data/link").symlink_to(outside)
    rollout = Rollout(state, "m", (tmp_path / "data",))
    check: Any = rollout._inside_roots
    assert check(str(inside)) == inside.resolve()
    for path in (outside, tmp_path / "data/link", tmp_path / "data/../other"):
        with pytest.raises(BundleError, match="outside of the datasets"):
            check(str(path))
    with pytest.raises(BundleError, match="No such file"):
        check(str(tmp_path / "data/none"))
