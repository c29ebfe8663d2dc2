"""Random commits, drift and kills end at the last good revision."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAMES = ["a", "b", "c", "d"]
BROKEN = "a: [\n"
REFUSED = "refused"

contents = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from(["1", "2", REFUSED]), max_size=4
)
commit = st.tuples(st.just("commit"), st.one_of(contents, st.just(None)))
drift = st.tuples(st.just("drift"), st.sampled_from([*NAMES, "theirs"]))
gone = st.tuples(st.just("remove"), st.sampled_from(NAMES))
kill = st.tuples(st.just("kill"), st.integers(0, 5))
settle = st.tuples(st.just("settle"), st.none())
steps = st.lists(st.one_of(commit, drift, gone, kill, settle), max_size=14)


class World:
    """A directory source, a cluster with somebody else's object, a model."""

    def __init__(self, folder: Path, types: dict[str, Any], cm: Any) -> None:
        self.source = folder / "source"
        self.source.mkdir()
        self.cm = cm
        self.killed = types["Killed"]
        self.cluster = types["Cluster"]()
        self.cluster.refuse = lambda body, _dry: (
            "data: refused" if REFUSED in str(body.get("data")) else None
        )
        spec = {"directory": {"path": str(self.source)}}
        self.engine = types["Engine"](self.cluster, folder / "state", spec)
        self.wanted: dict[str, dict[str, Any]] = {}
        self.now: dict[str, str] | None = {}

    async def foreign(self) -> None:
        await self.cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "theirs", "namespace": "default"},
                "data": {"x": "theirs"},
            }
        )
        self.cluster.writes.clear()

    def commit(self, what: dict[str, str] | None) -> None:
        for old in self.source.iterdir():
            old.unlink()
        files = {"broken": BROKEN} if what is None else {
            n: self.cm(n, x=v) for n, v in what.items()
        }  # fmt: skip
        for name, text in files.items():
            (self.source / f"{name}.yaml").write_text(text)
        self.now = what

    def drift(self, name: str) -> None:
        found = self.cluster.objects.get(("ConfigMap", "default", name))
        if found is not None and name != "theirs":
            found["data"] = {"x": "drifted"}

    async def kill(self, after: int) -> None:
        try:
            await self.engine.step(kill_after=after)
        except self.killed:
            return
        self.engine.restart()

    async def play(self, step: tuple[str, Any]) -> None:
        kind, value = step
        if kind == "commit":
            self.commit(value)
        elif kind == "drift":
            self.drift(value)
        elif kind == "remove":
            self.cluster.objects.pop(("ConfigMap", "default", value), None)
        elif kind == "kill":
            await self.kill(value)
        else:
            self.engine.wait()
            await self.engine.settle()
        self._remember()

    def _remember(self) -> None:
        status = self.engine.status
        revision = status.get("lastAppliedRevision")
        if revision is not None and revision not in self.wanted:
            assert self.now is not None
            assert REFUSED not in self.now.values()
            self.wanted[revision] = {
                f"ConfigMap/default/{n}": {"data": {"x": v}}
                for n, v in self.now.items()
            }

    async def finish(self) -> None:
        self.engine.wait()
        await self.engine.settle()
        self._remember()
        revision = self.engine.status.get("lastAppliedRevision")
        wanted = dict(self.wanted.get(revision, {}))
        found = self.cluster.contents()
        assert found.pop("ConfigMap/default/theirs") == {
            "data": {"x": "theirs"}
        }
        if revision is not None:
            assert found == wanted
        valid = self.now is not None and REFUSED not in self.now.values()
        ready = self.engine.condition()["status"]
        assert ready == ("True" if valid else "False")
        if valid:
            assert wanted == {
                f"ConfigMap/default/{n}": {"data": {"x": v}}
                for n, v in (self.now or {}).items()
            }
        assert not [w for w in self.cluster.writes if w.endswith("theirs")]


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(script=steps)
def test_ends_at_the_last_good_revision(
    script: list[tuple[str, Any]], types: Any, make_config_map: Any
) -> None:
    async def run(folder: Path) -> None:
        world = World(folder, types, make_config_map)
        await world.foreign()
        for step in script:
            await world.play(step)
        await world.finish()
        writes, reports = len(world.cluster.writes), world.engine.reports
        world.engine.wait()
        await world.engine.settle()
        assert len(world.cluster.writes) == writes
        assert world.engine.reports == reports
        await world.engine.controller.stop()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


@pytest.mark.parametrize("after", range(6))
async def test_kill_at_each_action_of_an_apply_and_a_prune(
    types: Any, make_config_map: Any, tmp_path: Path, after: int
) -> None:
    world = World(tmp_path, types, make_config_map)
    await world.foreign()
    world.commit({"a": "1", "b": "1"})
    await world.engine.settle()
    world.commit({"b": "2", "c": "1", "d": "1"})
    await world.kill(after)
    ids = {e["id"] for e in world.engine.status["inventory"]}
    live = {
        f"{n}_{name}__{k}"
        for k, n, name in world.cluster.objects
        if name != "theirs"
    }
    assert live <= ids
    await world.finish()
