"""The DatasetLayout controller on a real disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from reconciler.engine.conditions import find, is_true
from reconciler.engine.controller import (
    Context,
    TerminalError,
    TransientError,
)
from reconciler.engine.plan import Action
from reconciler.storage.backend import layout_backend, layout_root
from reconciler.storage.controller import DatasetLayoutController
from reconciler.storage.placement import Place
from reconciler.storage.plan import (
    ClaimRoot,
    DestroyLayout,
    RebuildGeneration,
)
from reconciler.storage.resource import DatasetLayout

NOW = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)


@dataclass
class Events:
    """Remembers what was recorded."""

    seen: list[tuple[str, str]] = field(default_factory=list)

    def normal(self, _about, reason, note):
        self.seen.append((reason, note))

    warning: Callable[..., None] = normal


@dataclass
class World:
    """One controller and one live object."""

    controller: DatasetLayoutController
    live: DatasetLayout
    events: Events = field(default_factory=Events)

    @property
    def context(self) -> Context:
        return Context(None, None, self.events, lambda _: None)

    async def once(self):
        seen = await self.controller.observe(self.context, self.live)
        result = self.controller.plan(self.live, seen, NOW)
        self.live = self.live.model_copy(update={"status": result.status})
        for action in result.actions:
            await self.controller.act(self.context, self.live, action)
        return result

    async def settle(self):
        for _ in range(6):
            result = await self.once()
            if not result.actions:
                return result
        pytest.fail("never settles")
        return None

    def backend(self):
        return layout_backend(self.controller._settings_root, self.live)

    def annotate(self, **metadata):
        meta = self.live.metadata.model_copy(update=metadata)
        self.live = self.live.model_copy(update={"metadata": meta})


@pytest.fixture
def world(tmp_path):
    def make(**spec):
        live = DatasetLayout.parse(
            {
                "metadata": {"name": "models", "uid": "u", "generation": 1},
                "spec": {"datasets": [{"name": "docs"}], **spec},
            }
        )
        controller = DatasetLayoutController(tmp_path / "state", Place("here"))
        return World(controller, live)

    return make


async def test_a_layout_is_set_up_and_then_left_alone(world):
    at = world()
    await at.settle()
    assert is_true(at.live.status.conditions, "Ready")
    root = layout_root(at.controller._settings_root, at.live)
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    status = at.live.status
    result = await at.once()
    assert result.actions == ()
    assert result.status == status
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before


async def test_generations_appear_in_status_and_old_ones_go(world, source):
    at = world(datasets=[{"name": "docs", "retention": {"keepLast": 1}}])
    await at.settle()
    for name in ("g1", "g2", "g3"):
        at.backend().commit("docs", name, *source(name))
    at.backend().activate("docs", "g1")
    await at.settle()
    found = at.live.status.datasets[0]
    assert found.current == "g1"
    assert [g.name for g in found.generations] == ["g1", "g3"]
    assert ("PruneDataset", "removed docs/g2") in at.events.seen


async def test_a_changed_file_is_reported_and_a_lost_tree_rebuilt(
    world, source, lose
):
    at = world()
    await at.settle()
    at.backend().commit("docs", "g1", *source("g1"))
    at.backend().commit("docs", "g2", *source("g2"))
    await at.settle()
    lose(at.backend().path("docs", "g1"))
    await at.settle()
    at.backend().verify("docs", "g1")
    assert is_true(at.live.status.conditions, "Ready")
    model = at.backend().path("docs", "g2") / "model.bin"
    model.chmod(0o644)
    model.write_text("garbage")
    await at.settle()
    drifted = find(at.live.status.conditions, "Drifted")
    assert drifted is not None
    assert "docs/g2: model.bin changed" in drifted.message


async def test_hidden_damage_is_found_on_request(world, source):
    at = world()
    await at.settle()
    at.backend().commit("docs", "g1", *source("g1"))
    await at.settle()
    model = at.backend().path("docs", "g1") / "model.bin"
    found = model.stat()
    model.chmod(0o644)
    model.write_text("X1")
    os.utime(model, ns=(found.st_atime_ns, found.st_mtime_ns))
    await at.settle()
    assert is_true(at.live.status.conditions, "Ready")
    at.annotate(annotations={"reconciler.dev/requested-at": "1"})
    await at.settle()
    assert is_true(at.live.status.conditions, "Drifted")
    await at.settle()
    assert is_true(at.live.status.conditions, "Drifted")


async def test_a_damaged_manifest_is_drift(world, source):
    at = world()
    await at.settle()
    at.backend().commit("docs", "g1", *source("g1"))
    manifest = at.backend().root / "datasets/docs/manifests/g1.json"
    manifest.write_text("{")
    await at.settle()
    assert is_true(at.live.status.conditions, "Drifted")
    assert at.backend().root.joinpath("datasets/docs/generations/g1").exists()


async def test_somebody_elses_directory_is_not_touched(world, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years of work")
    at = world(target={"path": str(home)}, deletionPolicy="Delete")
    await at.settle()
    assert find(at.live.status.conditions, "Stalled").reason == (
        "ForeignDirectory"
    )
    with pytest.raises(TerminalError):
        await at.controller.act(
            at.context, at.live, ClaimRoot("k", "default/models")
        )
    at.annotate(deletion_timestamp="2026-11-25T01:00:00Z")
    assert (await at.settle()).release
    assert [p.name for p in home.iterdir()] == ["thesis.tex"]


async def test_two_layouts_do_not_share_a_root(world, tmp_path):
    first = world(target={"path": str(tmp_path / "shared")})
    await first.settle()
    second = world(target={"path": str(tmp_path / "shared")})
    second.annotate(name="other")
    await second.settle()
    assert find(second.live.status.conditions, "Stalled").reason == (
        "ForeignDirectory"
    )


async def test_delete_removes_the_data_once_nothing_is_held(world, source):
    at = world(deletionPolicy="Delete")
    await at.settle()
    backend = at.backend()
    backend.commit("docs", "g1", *source("g1"))
    backend.activate("docs", "g1")
    backend.hold("docs", "g1", "promotion")
    at.annotate(deletion_timestamp="2026-11-25T01:00:00Z")
    assert not (await at.settle()).release
    backend.verify("docs", "g1")
    backend.release("docs", "g1", "promotion")
    assert (await at.settle()).release
    assert not backend.root.exists()


async def test_a_layout_of_another_node_is_not_ours(world, tmp_path):
    at = world(target={"node": "elsewhere"})
    result = await at.once()
    assert result.actions == ()
    assert not (tmp_path / "state").exists()


async def test_a_suspended_layout_is_not_looked_at(world, tmp_path):
    at = world(suspend=True)
    await at.settle()
    assert not (tmp_path / "state").exists()
    assert find(at.live.status.conditions, "Ready").reason == "Suspended"


async def test_a_tree_without_its_objects_is_not_rebuilt(world, source, lose):
    at = world()
    await at.settle()
    at.backend().commit("docs", "g1", *source("g1"))
    lose(at.backend().path("docs", "g1"))
    for path in at.backend().objects.root.glob("??/*"):
        path.unlink()
    await at.settle()
    assert is_true(at.live.status.conditions, "Drifted")
    with pytest.raises(TerminalError) as caught:
        await at.controller.act(
            at.context, at.live, RebuildGeneration("k", "docs", "g1")
        )
    assert caught.value.reason == "GenerationDamaged"


async def test_a_hold_that_comes_in_between_stops_a_deletion(world, source):
    at = world(deletionPolicy="Delete")
    await at.settle()
    at.backend().commit("docs", "g1", *source("g1"))
    at.backend().hold("docs", "g1", "late")
    with pytest.raises(TransientError, match="held"):
        await at.controller.act(
            at.context, at.live, DestroyLayout("k", "default/models")
        )
    at.backend().verify("docs", "g1")


async def test_an_action_of_another_kind_is_a_mistake(world):
    at = world()
    with pytest.raises(TypeError, match="no action of a DatasetLayout"):
        await at.controller.act(at.context, at.live, Action("k"))


async def test_an_unreadable_owner_is_transient(world):
    at = world()
    await at.settle()
    (at.backend().root / "owner.json").write_text("[")
    with pytest.raises(TransientError, match=r"owner\.json"):
        await at.once()
