"""Random commits, drift, faults and kills end at the last good revision.

A kill is at the n-th request to the API server, before or after that has
its effect. What the repository never owned is never touched, and at no
moment is there an object of ours that the inventory does not name.
"""

from __future__ import annotations

import asyncio
import copy
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from reconciler.engine.errors import UnavailableError
from reconciler.gitops.directory import read_directory

NAMES = ["a", "b", "c", "d"]
BROKEN = "a: [\n"
REFUSED = "refused"

contents = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from(["1", "2", REFUSED]), max_size=4
)
commit = st.tuples(st.just("commit"), st.one_of(contents, st.just(None)))
drift = st.tuples(st.just("drift"), st.sampled_from([*NAMES, "theirs"]))
gone = st.tuples(st.just("remove"), st.sampled_from(NAMES))
crash = st.tuples(
    st.just("crash"),
    st.tuples(
        st.integers(1, 24), st.sampled_from(["before", "after", "fault"])
    ),
)
stuck = st.tuples(st.just("stuck"), st.sampled_from(NAMES))
settle = st.tuples(st.just("settle"), st.none())
calm = st.one_of(drift, gone, stuck, settle)
turns = st.tuples(commit, st.one_of(crash, settle), calm)
scripts = st.lists(turns, min_size=2, max_size=5).map(
    lambda found: [step for turn in found for step in turn]
)


class World:
    """A directory source, a cluster with somebody else's object, a model."""

    def __init__(self, folder: Path, types: dict[str, Any], cm: Any) -> None:
        self.source = folder / "source"
        self.source.mkdir()
        self.cm = cm
        self.killed, self.crash = types["Killed"], types["Crash"]
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
        self.theirs = copy.deepcopy(self.cluster.objects)

    def commit(self, what: dict[str, str] | None) -> None:
        for old in self.source.iterdir():
            old.unlink()
        files = {"broken": BROKEN} if what is None else {
            n: self.cm(n, x=v) for n, v in what.items()
        }  # fmt: skip
        for name, text in files.items():
            (self.source / f"{name}.yaml").write_text(text)
        self.now = what
        if self.valid:
            revision = read_directory(str(self.source), ".").revision
            self.wanted[revision] = {
                f"ConfigMap/default/{n}": {"data": {"x": v}}
                for n, v in (what or {}).items()
            }

    @property
    def valid(self) -> bool:
        return self.now is not None and REFUSED not in self.now.values()

    def drift(self, name: str) -> None:
        found = self.cluster.objects.get(("ConfigMap", "default", name))
        if found is not None and name != "theirs":
            found["data"] = {"x": "drifted"}

    async def crashed(self, call: int, kind: str) -> bool:
        """Pass after pass until it happens; whether it did."""
        self.engine.wait()
        self.cluster.calls = 0
        self.cluster.crash = self.crash(call, kind)
        try:
            await self.engine.settle()
        except (self.killed, UnavailableError):
            return True
        finally:
            self.cluster.crash = None
            if kind != "fault":
                await self.engine.controller.stop()
                self.engine.restart()
        return False

    async def play(self, step: tuple[str, Any]) -> None:
        kind, value = step
        if kind == "commit":
            self.commit(value)
        elif kind == "drift":
            self.drift(value)
        elif kind == "remove":
            self.cluster.objects.pop(("ConfigMap", "default", value), None)
        elif kind == "crash":
            await self.crashed(*value)
        elif kind == "stuck":
            self.cluster.refuse_delete ^= {value}
        else:
            self.engine.wait()
            await self.engine.settle()
        self.check()

    def check(self) -> None:
        """What holds at every moment."""
        inventory = self.engine.status.get("inventory", [])
        named = {entry["id"] for entry in inventory}
        for key, body in self.cluster.objects.items():
            if key in self.theirs:
                assert body == self.theirs[key]
            else:
                kind, namespace, name = key
                assert f"{namespace}_{name}__{kind}" in named

    def _good(self) -> str | None:
        """The revision in force: it may be newer than the last whole one."""
        status = self.engine.status
        newest = status.get("revisionInForce")
        found = newest or status.get("lastAppliedRevision")
        assert found is None or found in self.wanted
        return found

    async def finish(self) -> None:
        self.cluster.refuse_delete.clear()
        self.engine.wait()
        await self.engine.settle()
        revision = self._good()
        wanted = self.wanted.get(revision or "", {})
        found = self.cluster.contents()
        assert found.pop("ConfigMap/default/theirs") == {
            "data": {"x": "theirs"}
        }
        if revision is not None:
            assert found == wanted
        ready = self.engine.condition()["status"]
        assert ready == ("True" if self.valid else "False")
        if self.valid:
            assert wanted == {
                f"ConfigMap/default/{n}": {"data": {"x": v}}
                for n, v in (self.now or {}).items()
            }
        assert not [w for w in self.cluster.writes if w.endswith("theirs")]


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    # Shrinking would take minutes; the scripts are short as they are.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(script=scripts)
def test_ends_at_the_last_good_revision(
    script: list[tuple[str, Any]], types: Any, make_config_map: Any
) -> None:
    note(str(script))

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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["before", "after", "fault"])
async def test_a_crash_at_each_request_of_an_apply_and_a_prune(
    types: Any, make_config_map: Any, tmp_path: Path, kind: str
) -> None:
    for call in range(1, 100):
        (tmp_path / str(call)).mkdir()
        world = World(tmp_path / str(call), types, make_config_map)
        await world.foreign()
        world.commit({"a": "1", "b": "1"})
        await world.play(("settle", None))
        world.commit({"b": "2", "c": "1", "d": "1"})
        happened = await world.crashed(call, kind)
        world.check()
        await world.finish()
        await world.engine.controller.stop()
        if not happened:
            break
    assert 10 < call < 50
