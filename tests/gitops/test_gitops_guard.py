"""Deletes that wait for a person, and how a repository is deleted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.gitops.guard import (
    APPROVAL_REQUIRED,
    approves,
    guarded,
    holding,
)
from reconciler.gitops.manifest import ObjectId
from reconciler.gitops.observation import Observation, StaleObject
from reconciler.gitops.resource import ConfigRepository

MODEL = """\
apiVersion: reconciler.dev/v1alpha1
kind: Model
metadata:
  name: docs
spec: {suiteRef: {name: suite}}
"""
STORE = MODEL.replace("Model", "FeedbackStore").replace("docs", "votes")
APPROVED = "reconciler.dev/approved"


@pytest.fixture
def guarded_engine(engine: Any) -> Any:
    del engine.raw["spec"]["maxPrunePercent"]
    return engine


def names(cluster: Any) -> set[str]:
    return {"/".join(key) for key in cluster.objects}


async def ten(engine: Any, remote: Any, make: Any) -> None:
    remote.commit({f"{i}.yaml": make(f"m{i}") for i in range(10)})
    await engine.settle()


async def test_thirty_percent_go_and_more_wait(
    guarded_engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    engine = guarded_engine
    await ten(engine, remote, make_config_map)
    remote.commit({f"{i}.yaml": None for i in range(3)})
    engine.wait()
    await engine.settle()
    assert len(cluster.objects) == 7
    more: dict[str, Any] = {f"{i}.yaml": None for i in range(3, 6)}
    more |= {f"new{i}.yaml": make_config_map(f"new{i}") for i in range(20)}
    remote.commit(more)
    engine.wait()
    await engine.settle()
    # The new objects are applied, and do not dilute the share.
    assert len(cluster.objects) == 27
    found = engine.condition()
    assert (found["status"], found["reason"]) == ("False", APPROVAL_REQUIRED)
    assert "configmap/default/m3, configmap/default/m4" in found["message"]
    assert "3 of 7 objects are more than 30 %" in found["message"]
    token = f"main@sha1:{remote.head}"
    assert f"{APPROVED}={token}" in found["message"]
    assert engine.status["pendingPrune"]["count"] == 3
    assert engine.events.reasons().count(APPROVAL_REQUIRED) == 1
    reports, writes = engine.reports, len(cluster.writes)
    for _ in range(3):
        engine.wait()
        await engine.settle()
    engine.restart()
    await engine.settle()
    assert (engine.reports, len(cluster.writes)) == (reports, writes)
    engine.raw["metadata"]["annotations"] = {APPROVED: token}
    await engine.settle()
    assert len(cluster.objects) == 24
    assert engine.condition()["status"] == "True"
    assert "pendingPrune" not in engine.status


@pytest.mark.parametrize("token", ["main@sha1:0", "yes", "", "delete", "abc"])
async def test_another_word_approves_nothing(
    guarded_engine: Any,
    remote: Any,
    cluster: Any,
    make_config_map: Any,
    token: str,
) -> None:
    await ten(guarded_engine, remote, make_config_map)
    old = f"main@sha1:{remote.head}"
    remote.commit({f"{i}.yaml": None for i in range(9)})
    guarded_engine.wait()
    for value in (token, old, remote.head[:6]):
        guarded_engine.raw["metadata"]["annotations"] = {APPROVED: value}
        await guarded_engine.settle()
        assert len(cluster.objects) == 10
    guarded_engine.raw["metadata"]["annotations"] = {
        APPROVED: remote.head[:12]
    }
    await guarded_engine.settle()
    assert len(cluster.objects) == 1


async def test_the_commit_may_approve_its_own_prune(
    guarded_engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    await ten(guarded_engine, remote, make_config_map)
    remote.commit(
        {f"{i}.yaml": None for i in range(9)},
        "Drop nine\n\nReconciler-Approved: prune",
    )
    guarded_engine.wait()
    await guarded_engine.settle()
    assert names(cluster) == {"ConfigMap/default/m9"}


async def test_a_model_in_production_and_a_store_wait(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    files = {f"{i}.yaml": make_config_map(f"m{i}") for i in range(20)}
    idle = MODEL.replace("docs", "idle")
    remote.commit(files | {"a.yaml": MODEL, "b.yaml": idle, "c.yaml": STORE})
    await engine.settle()
    docs = cluster.objects["Model", "default", "docs"]
    docs["status"] = {"production": {"generation": "docs-3"}}
    remote.commit({"b.yaml": None})
    engine.wait()
    await engine.settle()
    assert "Model/default/idle" not in names(cluster)
    remote.commit({"a.yaml": None, "c.yaml": None, "0.yaml": None})
    engine.wait()
    await engine.settle()
    message = engine.condition()["message"]
    assert "model/default/docs is in production" in message
    assert "feedbackstore/default/votes holds data" in message
    assert {"Model/default/docs", "ConfigMap/default/m0"} <= names(cluster)
    remote.git("revert", "--no-edit", "HEAD")
    engine.wait()
    await engine.settle()
    assert engine.condition()["status"] == "True"
    assert "Model/default/docs" in names(cluster)


async def test_deleting_the_repository_waits_for_what_holds_data(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a"), "c.yaml": STORE})
    await engine.settle()
    engine.raw["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    await engine.settle()
    found = engine.condition()
    assert found["reason"] == APPROVAL_REQUIRED
    assert f"{APPROVED}=delete" in found["message"]
    assert not engine.released
    assert len(cluster.objects) == 2
    engine.raw["metadata"]["annotations"] = {APPROVED: "delete"}
    await engine.settle()
    assert engine.released
    assert cluster.objects == {}


@pytest.mark.parametrize(
    ("policy", "prune", "left"),
    [
        ("MirrorPrune", True, 0),
        ("MirrorPrune", False, 1),
        ("Delete", False, 0),
        ("WaitForTermination", False, 0),
        ("Orphan", True, 1),
    ],
)
async def test_deletion_policies(
    engine: Any,
    remote: Any,
    cluster: Any,
    make_config_map: Any,
    policy: str,
    prune: bool,
    left: int,
) -> None:
    engine.raw["spec"] |= {"deletionPolicy": policy, "prune": prune}
    remote.commit({"a.yaml": make_config_map("a")})
    await engine.settle()
    engine.raw["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    await engine.settle()
    assert engine.released
    assert len(cluster.objects) == left


@pytest.mark.parametrize("policy", ["Delete", "WaitForTermination"])
async def test_only_one_policy_waits_for_the_end(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any, policy: str
) -> None:
    engine.raw["spec"]["deletionPolicy"] = policy
    remote.commit({"a.yaml": make_config_map("a")})
    await engine.settle()
    meta = cluster.objects["ConfigMap", "default", "a"]["metadata"]
    meta["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    engine.raw["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    await engine.settle()
    assert engine.released == (policy == "Delete")
    del cluster.objects["ConfigMap", "default", "a"]
    await engine.settle()
    assert engine.released


async def test_survivors_of_failed_deletes_stay_in_the_inventory(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({n: make_config_map(n[0]) for n in ("a.yaml", "b.yaml")})
    await engine.settle()
    cluster.refuse_delete.add("a")
    remote.commit({"a.yaml": None, "b.yaml": None})
    engine.wait()
    for _ in range(3):
        await engine.step()
    owned = [e["id"] for e in engine.status["inventory"]]
    assert owned == ["default_a__ConfigMap"]
    assert engine.condition()["reason"] == "PruneFailed"
    cluster.refuse_delete.clear()
    engine.wait()
    await engine.settle()
    assert engine.status["inventory"] == []
    assert cluster.objects == {}


def test_what_holds_something() -> None:
    model = ObjectId("d", "m", "reconciler.dev", "Model")
    assert holding(model, {"status": {"production": {"generation": "g"}}})
    assert not holding(model, {"status": {"production": None}})
    assert not holding(model, {})
    assert not holding(ObjectId("d", "c", "", "ConfigMap"), {})
    assert holding(ObjectId("", "team", "", "Namespace"), {})


def test_the_trailer_is_a_line_of_its_own() -> None:
    assert approves("Drop\n\nReconciler-Approved: prune\n")
    assert not approves("say Reconciler-Approved: prune to agree")
    assert not approves("Reconciler-Approved: pruned")


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 100))
def test_the_share_is_of_what_was_owned(
    gone: int, kept: int, limit: int
) -> None:
    items = [ObjectId("d", f"m{i}", "", "ConfigMap") for i in range(gone)]
    entries = [{"id": i.entry("v1").id, "v": "v1"} for i in items] + [
        {"id": f"d_k{i}__ConfigMap", "v": "v1"} for i in range(kept)
    ]
    desired = ConfigRepository.parse(
        {
            "metadata": {"name": "fleet"},
            "spec": {
                "directory": {"path": "/x"},
                "maxPrunePercent": limit,
            },
            "status": {"inventory": entries},
        }
    )
    stale = tuple(StaleObject(i, "v1", "u") for i in items)
    found = guarded(desired, Observation("r", "r", (), stale))
    assert found.withheld == (gone * 100 > limit * (gone + kept))
