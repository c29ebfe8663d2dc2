"""The planner alone: state in, plan out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.conditions import find
from reconciler.gitops.manifest import DesiredObject, ObjectId, ordered
from reconciler.gitops.observation import (
    ObjectState,
    Observation,
    Problem,
    StaleObject,
    Verdict,
    WriteBackState,
)
from reconciler.gitops.plan import Apply, Commit, Prune, plan
from reconciler.gitops.promotion import Promotion
from reconciler.gitops.resource import (
    ConfigRepository,
    ConfigRepositoryStatus,
)

NOW = datetime(2026, 11, 25, tzinfo=UTC)
KINDS = [
    ("", "Namespace"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("reconciler.dev", "ConfigRepository"),
    ("reconciler.dev", "Model"),
    ("reconciler.dev", "EvaluationSuite"),
    ("reconciler.dev", "TrainingSchedule"),
    ("reconciler.dev", "VectorIndex"),
    ("", "ConfigMap"),
    ("apps", "Deployment"),
]


def repository(
    status: ConfigRepositoryStatus | None = None, **spec: Any
) -> ConfigRepository:
    found = ConfigRepository.parse(
        {
            "metadata": {
                "name": "fleet",
                "namespace": "default",
                "uid": "u",
                "generation": 3,
            },
            "spec": {"git": {"url": "https://git.example/x.git"}, **spec},
        }
    )
    return found.model_copy(update={"status": status or found.status})


def thing(group: str, kind: str, name: str) -> DesiredObject:
    where = ObjectId("default", name, group, kind)
    body = {"kind": kind, "metadata": {"name": name}}
    return DesiredObject(where, "v1", body)


ids = st.builds(
    lambda gk, name: ObjectId("default", name, *gk),
    st.sampled_from(KINDS),
    st.sampled_from(["a", "b", "c"]),
)


@dataclass
class Model:
    """A server and an inventory: what the plan's actions lead to."""

    wanted: set[ObjectId]
    there: dict[ObjectId, bool]
    """Whether the object is as wanted."""

    served: set[ObjectId] = field(default_factory=set)

    def observe(self, status: ConfigRepositoryStatus) -> Observation:
        deferred = bool(
            {w for w in self.wanted if w.stage <= -2} - set(self.there)
        )
        states = tuple(
            ObjectState(
                thing(w.group, w.kind, w.name),
                self.verdict(w, deferred=deferred),
                exists=w in self.there,
            )
            for w in sorted(self.wanted)
        )
        stale = tuple(
            StaleObject(i, "v1", uid="u" if i in self.there else "")
            for i in map(ObjectId.parse, (e.id for e in status.inventory))
            if i not in self.wanted
        )
        return Observation("main@sha1:2", "main@sha1:2", states, stale)

    def verdict(self, item: ObjectId, *, deferred: bool) -> Verdict:
        if self.there.get(item):
            return Verdict.IN_SYNC
        if deferred and item.kind == "ConfigMap":
            return Verdict.DEFERRED
        return Verdict.DRIFTED

    def act(self, action: Any) -> None:
        if isinstance(action, Apply):
            self.there[action.object.id] = True
        if isinstance(action, Prune):
            del self.there[action.object.id]


@given(
    st.sets(ids, max_size=8),
    st.dictionaries(ids, st.booleans(), max_size=8),
    st.sets(ids, max_size=6),
)
def test_actions_lead_to_an_empty_plan(
    wanted: set[ObjectId], there: dict[ObjectId, bool], owned: set[ObjectId]
) -> None:
    model = Model(wanted, dict(there))
    foreign = {i for i in there if i not in wanted | owned}
    own = ObjectId("default", "fleet", "reconciler.dev", "ConfigRepository")
    entries = tuple(i.entry("v1") for i in sorted(owned | {own}))
    status = ConfigRepositoryStatus(inventory=entries)
    model.there[own] = True
    for _ in range(4):
        found = plan(repository(status), model.observe(status), NOW)
        status = found.status
        kept = {ObjectId.parse(e.id) for e in status.inventory}
        for action in found.actions:
            model.act(action)
            live = {i for i in model.there if i in owned | wanted} - {own}
            assert live <= kept
        if not found.actions:
            break
    assert not found.actions
    assert {i for i in model.there if model.there[i]} >= wanted
    assert set(model.there) == wanted | foreign | {own}
    assert {ObjectId.parse(e.id) for e in status.inventory} == wanted
    again = plan(repository(status), model.observe(status), NOW)
    assert (again.status, again.actions) == (status, ())
    assert status.last_applied_revision == "main@sha1:2"


def observed(*states: tuple[DesiredObject, Verdict], **more: Any) -> Any:
    made = tuple(ObjectState(d, v) for d, v in states)
    return Observation("r2", "r2", made, **more)


def test_stages_of_applies_and_the_reverse_for_prunes() -> None:
    things = ordered(tuple(thing(g, k, "a") for g, k in KINDS))
    drifted = observed(*((t, Verdict.DRIFTED) for t in things))
    applies = plan(repository(), drifted, NOW).actions[:-1]
    kinds = [a.object.id.kind for a in applies if isinstance(a, Apply)]
    assert kinds == [
        "Namespace",
        "CustomResourceDefinition",
        "ConfigMap",
        "EvaluationSuite",
        "Model",
        "TrainingSchedule",
        "VectorIndex",
        "Deployment",
        "ConfigRepository",
    ]
    gone = tuple(StaleObject(t.id, "v1", "u") for t in things)
    found = plan(repository(), Observation("r", "r", (), gone), NOW)
    names = [a.object.id.kind for a in found.actions if isinstance(a, Prune)]
    assert names[0] == "ConfigRepository"
    assert set(names[-2:]) == {"Namespace", "CustomResourceDefinition"}
    assert names.index("TrainingSchedule") < names.index("Model")
    assert names.index("Model") < names.index("EvaluationSuite")


@pytest.mark.parametrize(
    "change",
    [{"protected": True}, {"uid": ""}],
)
def test_what_is_not_pruned_leaves_the_inventory(change: Any) -> None:
    item = StaleObject(ObjectId("d", "a", "", "ConfigMap"), "v1", "u")
    found = observed(stale=(replace(item, **change),))
    made = plan(repository(), found, NOW)
    assert made.actions == ()
    assert made.status.inventory == ()


def test_what_is_being_deleted_is_owned_until_it_is_gone() -> None:
    where = ObjectId("d", "a", "", "ConfigMap")
    item = StaleObject(where, "v1", "u", terminating=True)
    made = plan(repository(), observed(stale=(item,)), NOW)
    assert made.actions == ()
    assert made.status.inventory == (where.entry("v1"),)
    assert made.requeue_after == 15


def test_prune_off_deletes_nothing() -> None:
    item = StaleObject(ObjectId("d", "a", "", "ConfigMap"), "v1", "u")
    made = plan(repository(prune=False), observed(stale=(item,)), NOW)
    assert made.actions == ()


def test_deferred_objects_hold_back_prunes_and_readiness() -> None:
    item = StaleObject(ObjectId("d", "a", "", "ConfigMap"), "v1", "u")
    states = [
        (thing("", "Namespace", "n"), Verdict.DRIFTED),
        (thing("", "ConfigMap", "m"), Verdict.DEFERRED),
        (thing("reconciler.dev", "Model", "m"), Verdict.DRIFTED),
    ]
    made = plan(repository(), observed(*states, stale=(item,)), NOW)
    applies = [a for a in made.actions if isinstance(a, Apply)]
    assert [a.object.id.kind for a in applies] == ["Namespace"]
    assert not [a for a in made.actions if isinstance(a, Prune)]
    waiting = plan(repository(), observed(*states[1:2]), NOW)
    assert waiting.actions == ()
    assert waiting.requeue_after == 1.0
    ready = find(waiting.status.conditions, "Ready")
    assert ready is not None
    assert ready.status == "False"


@pytest.mark.parametrize("blocked", [False, True])
def test_a_problem_never_reports_ready(blocked: bool) -> None:
    state = (thing("", "ConfigMap", "m"), Verdict.DRIFTED)
    problem = Problem("BuildFailed", "f.yaml:1: x" + "y" * 5000)
    made = plan(
        repository(), observed(state, problem=problem, blocked=blocked), NOW
    )
    ready = find(made.status.conditions, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", "BuildFailed")
    assert len(ready.message) == 2000
    assert bool(made.actions) is not blocked
    assert made.status.last_applied_revision is None
    assert made.status.observed_generation == -1
    assert made.requeue_after == 15


def test_unknown_source_keeps_the_inventory() -> None:
    entry = ObjectId("d", "a", "", "ConfigMap").entry("v1")
    status = ConfigRepositoryStatus(inventory=(entry,))
    problem = Problem("ArtifactFailed", "gone")
    made = plan(repository(status), Observation(problem=problem), NOW)
    assert made.status.inventory == (entry,)
    assert made.actions == ()


def test_promotions_are_committed_only_when_settled() -> None:
    promotion = Promotion("default", "docs", "docs-2")
    state = WriteBackState((promotion,))
    drifted = (thing("", "ConfigMap", "m"), Verdict.DRIFTED)
    fine = (thing("", "ConfigMap", "m"), Verdict.IN_SYNC)
    asks = repository(writeBack={"enabled": True})
    busy = plan(asks, observed(drifted, write_back=state), NOW)
    assert not [a for a in busy.actions if isinstance(a, Commit)]
    idle = plan(asks, observed(fine, write_back=state), NOW)
    assert [a.describe() for a in idle.actions] == [
        "commit default/docs/docs-2"
    ]
    ready = find(idle.status.conditions, "Ready")
    assert ready is not None
    assert ready.status == "True"


def test_keys_of_actions_are_deterministic_and_differ() -> None:
    states = [(thing("", "ConfigMap", n), Verdict.DRIFTED) for n in ("a", "b")]
    first = plan(repository(), observed(*states), NOW)
    second = plan(repository(), observed(*states), NOW)
    keys = [a.key for a in first.actions]
    assert keys == [a.key for a in second.actions]
    assert len(set(keys)) == len(keys)


def test_the_next_look_is_when_the_source_is_due() -> None:
    made = plan(repository(interval="5m"), observed(due=12.5), NOW)
    assert made.requeue_after == 12.5
    made = plan(repository(interval="5m"), observed(due=-1), NOW)
    assert made.requeue_after == 0.05
