"""Deletes that wait for a person, and how a repository is deleted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.gitops.guard import (
    APPROVAL_REQUIRED,
    SMALL,
    approvals,
    guarded,
    holding,
    token,
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


def waiting(engine: Any) -> str:
    """The token that the condition asks for."""
    found = engine.condition()
    assert (found["status"], found["reason"]) == ("False", APPROVAL_REQUIRED)
    asked = str(engine.status["pendingPrune"]["token"])
    assert f"{APPROVED}={asked};" in found["message"]
    return asked


def approve(engine: Any, given: str) -> None:
    engine.raw["metadata"]["annotations"] = {APPROVED: given}


def names(cluster: Any) -> set[str]:
    return {"/".join(key) for key in cluster.objects}


async def twelve(engine: Any, remote: Any, make: Any) -> None:
    remote.commit({f"{i}.yaml": make(f"m{i}") for i in range(12)})
    await engine.settle()


async def next_commit(engine: Any, remote: Any, *args: Any) -> None:
    remote.commit(*args)
    engine.wait()
    await engine.settle()


async def test_thirty_percent_go_and_more_wait(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({f"{i}.yaml": make_config_map(f"m{i}") for i in range(20)})
    await engine.settle()
    await next_commit(engine, remote, {f"{i}.yaml": None for i in range(6)})
    assert len(cluster.objects) == 14
    more: dict[str, Any] = {f"{i}.yaml": None for i in range(6, 11)}
    more |= {f"new{i}.yaml": make_config_map(f"new{i}") for i in range(20)}
    await next_commit(engine, remote, more)
    # The new objects are applied, and do not dilute the share.
    assert len(cluster.objects) == 34
    asked = waiting(engine)
    message = engine.condition()["message"]
    assert "configmap/default/m6, configmap/default/m7" in message
    assert "5 of 14 objects are more than 30 %" in message
    assert engine.status["pendingPrune"]["count"] == 5
    assert engine.events.reasons().count(APPROVAL_REQUIRED) == 1
    reports, writes = engine.reports, len(cluster.writes)
    for _ in range(3):
        engine.wait()
        await engine.settle()
    engine.restart()
    await engine.settle()
    assert (engine.reports, len(cluster.writes)) == (reports, writes)
    # Nor does a later commit.
    await next_commit(engine, remote, {"z.yaml": make_config_map("z")})
    assert waiting(engine) == asked
    assert len(cluster.objects) == 35
    approve(engine, asked)
    await engine.settle()
    assert len(cluster.objects) == 30
    assert engine.condition()["status"] == "True"
    assert "pendingPrune" not in engine.status


async def test_a_small_repository_loses_what_can_be_made_anew(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    files = {f"{i}.yaml": make_config_map(f"m{i}") for i in range(SMALL)}
    remote.commit(files)
    await engine.settle()
    gone: dict[str, Any] = dict.fromkeys(list(files)[1:])
    await next_commit(engine, remote, gone)
    assert names(cluster) == {"ConfigMap/default/m0"}


async def test_approval_of_one_set_approves_no_other(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    await twelve(engine, remote, make_config_map)
    await next_commit(engine, remote, {f"{i}.yaml": None for i in range(8)})
    first = waiting(engine)
    await next_commit(engine, remote, {"8.yaml": None})
    head = f"main@sha1:{remote.head}"
    for given_word in (first, head, remote.head, "yes", "", "delete"):
        approve(engine, given_word)
        await engine.settle()
        assert len(cluster.objects) == 12
    assert waiting(engine) != first
    approve(engine, waiting(engine))
    await engine.settle()
    assert len(cluster.objects) == 3


async def test_a_commit_may_approve_the_set_that_it_names(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    await twelve(engine, remote, make_config_map)
    await next_commit(engine, remote, {f"{i}.yaml": None for i in range(11)})
    line = f"Approve\n\nReconciler-Approved: {waiting(engine)}"
    other = {"n.yaml": make_config_map("n")}
    await next_commit(engine, remote, other, line)
    expected = {"ConfigMap/default/m11", "ConfigMap/default/n"}
    assert names(cluster) == expected


async def test_an_approved_prune_that_was_cut_short_goes_on(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({f"{i}.yaml": make_config_map(f"m{i}") for i in range(20)})
    await engine.settle()
    await next_commit(engine, remote, {f"{i}.yaml": None for i in range(19)})
    cluster.refuse_delete |= {f"m{i}" for i in range(15)}
    approve(engine, waiting(engine))
    for _ in range(3):
        await engine.step()
    # What is left is still more than the share that needs no approval.
    assert len(cluster.objects) == 16
    assert engine.condition()["reason"] == "PruneFailed"
    engine.raw["metadata"]["annotations"] = {}
    cluster.refuse_delete.clear()
    engine.restart()
    engine.wait()
    await engine.settle()
    assert names(cluster) == {"ConfigMap/default/m19"}
    assert engine.condition()["status"] == "True"


async def test_an_outage_brings_nothing_back_while_a_prune_waits(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    await twelve(engine, remote, make_config_map)
    changes: dict[str, Any] = {f"{i}.yaml": None for i in range(8)}
    changes["11.yaml"] = make_config_map("m11", color="blue")
    await next_commit(engine, remote, changes)
    asked = waiting(engine)
    away = remote.home.with_name("away")
    remote.home.rename(away)
    engine.restart()
    engine.wait()
    await engine.settle()
    live = cluster.objects["ConfigMap", "default", "m11"]
    assert live["data"] == {"color": "blue"}
    assert len(cluster.objects) == 12
    away.rename(remote.home)
    engine.wait()
    await engine.settle()
    assert waiting(engine) == asked


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
    for given_word in ("", "delete", "prune-0123456789abcdef"):
        approve(engine, given_word)
        await engine.settle()
        assert not engine.released
        assert len(cluster.objects) == 2
    approve(engine, waiting(engine))
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
    name = "prune-0123456789abcdef"
    assert approvals(f"Drop\n\nReconciler-Approved: {name}\n") == {name}
    assert not approvals(f"say Reconciler-Approved: {name} to agree")
    assert not approvals(f"Reconciler-Approved: {name}0")
    assert not approvals("Reconciler-Approved: prune")


stale_objects = st.builds(
    lambda name, uid, holds: StaleObject(
        ObjectId("d", name, "", "ConfigMap"), "v1", uid, holds=holds
    ),
    st.sampled_from("abc"),
    st.sampled_from("uv"),
    st.sampled_from(["", "holds data"]),
)
sets = st.lists(stale_objects, max_size=4, unique_by=lambda s: s.id)


@given(sets, sets)
def test_a_token_names_one_set(
    first: list[StaleObject], second: list[StaleObject]
) -> None:
    same = set(first) == set(second)
    assert (token(first) == token(second)) == same
    assert token(first) == token(reversed(first))


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 100))
def test_the_share_is_of_what_was_owned(
    gone: int, kept: int, limit: int
) -> None:
    items = [ObjectId("d", f"m{i}", "", "ConfigMap") for i in range(gone)]
    entries = [{"id": i.entry("v1").id, "v": "v1"} for i in items] + [
        {"id": f"d_k{i}__ConfigMap", "v": "v1"} for i in range(kept)
    ]
    spec = {"directory": {"path": "/x"}, "maxPrunePercent": limit}
    desired = ConfigRepository.parse(
        {
            "metadata": {"name": "fleet"},
            "spec": spec,
            "status": {"inventory": entries},
        }
    )
    stale = tuple(StaleObject(i, "v1", "u") for i in items)
    found = guarded(desired, Observation("r", "r", (), stale))
    total = gone + kept
    many = total > SMALL and gone * 100 > limit * total
    assert len(found.withheld) == (gone if many else 0)
