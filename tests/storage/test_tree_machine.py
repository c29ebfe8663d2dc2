"""Random sequences of operations against a model of a dataset."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from reconciler.artifacts import digest_of
from reconciler.artifacts.copying import remove_tree
from reconciler.storage.errors import (
    GenerationConflictError,
    MissingGenerationError,
)
from reconciler.storage.tree import TreeBackend

NAMES = st.sampled_from(["g1", "g2", "g3", "g4", "g5"])
TAGS = st.sampled_from(["a", "b"])


class Dataset(RuleBasedStateMachine):
    """What a dataset should be, in plain Python, beside the real one."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="machine-"))
        self.backend = TreeBackend(self.top / "root")
        self.backend.ensure("docs")
        self.digests: dict[str, str] = {}
        self.order: list[str] = []
        self.current: str | None = None
        self.holds: dict[str, set[str]] = {}

    def teardown(self) -> None:
        remove_tree(self.top)

    def source(self, name: str, content: str) -> tuple[Path, str]:
        top = self.top / "sources" / f"{name}-{content}"
        if not top.exists():
            (top / "deep").mkdir(parents=True)
            (top / "deep" / "own").write_text(f"{name} {content}")
            (top / "same").write_text("same for all")
        return top, digest_of(top)

    @rule(name=NAMES, content=st.sampled_from(["x", "y"]))
    def commit(self, name, content):
        top, digest = self.source(name, content)
        if self.digests.get(name, digest) != digest:
            with pytest.raises(GenerationConflictError):
                self.backend.commit("docs", name, top, digest)
            return
        self.backend.commit("docs", name, top, digest)
        if name not in self.digests:
            self.order.append(name)
        self.digests[name] = digest

    @rule(name=NAMES)
    def activate(self, name):
        if name not in self.digests:
            with pytest.raises(MissingGenerationError):
                self.backend.activate("docs", name)
            return
        self.backend.activate("docs", name)
        self.current = name

    @rule(name=NAMES, tag=TAGS)
    def hold(self, name, tag):
        if name not in self.digests:
            with pytest.raises(MissingGenerationError):
                self.backend.hold("docs", name, tag)
            return
        self.backend.hold("docs", name, tag)
        self.holds.setdefault(name, set()).add(tag)

    @rule(name=NAMES, tag=TAGS)
    def release(self, name, tag):
        self.backend.release("docs", name, tag)
        self.holds.get(name, set()).discard(tag)

    @rule(keep=st.integers(1, 3))
    def prune(self, keep):
        free = [
            name
            for name in self.order
            if name != self.current and not self.holds.get(name)
        ]
        gone = free[: max(0, len(free) - keep)]
        assert self.backend.prune("docs", keep) == tuple(gone)
        for name in gone:
            del self.digests[name]
            self.order.remove(name)

    @precondition(lambda self: self.order)
    @rule(data=st.data())
    def lose_and_repair(self, data):
        name = data.draw(st.sampled_from(self.order))
        tree = self.backend.path("docs", name)
        remove_tree(tree)
        self.backend.repair("docs", name)

    @rule()
    def forget(self):
        """Another process goes on."""
        self.backend = TreeBackend(self.top / "root")

    @invariant()
    def the_disk_is_as_the_model_says(self):
        found = self.backend.generations("docs")
        assert [g.name for g in found] == self.order
        for each in found:
            assert each.digest == self.digests[each.name]
            assert each.held == bool(self.holds.get(each.name))
            self.backend.verify("docs", each.name)
        assert self.backend.current("docs") == self.current

    @invariant()
    def no_object_is_kept_twice_or_without_need(self):
        stored = {path.name for path in self.backend.objects.root.glob("??/*")}
        named = {
            file.sha256
            for manifest in self.backend.manifests("docs")
            for file in manifest.files
        }
        assert stored == named


Dataset.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestDataset = Dataset.TestCase
