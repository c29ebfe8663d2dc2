"""Drift that is told and not corrected, and fields that are ignored."""

from __future__ import annotations

from typing import Any

import pytest

MODEL = """\
apiVersion: reconciler.dev/v1alpha1
kind: Model
metadata:
  name: docs
spec:
  suiteRef: {name: suite}
  replicas: 1
"""
SECRET = (
    "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
    "stringData: {password: hunter2}\n"
)


@pytest.fixture
def warned(engine: Any) -> Any:
    engine.raw["spec"]["driftPolicy"] = "Warn"
    return engine


async def test_drift_is_told_once_and_left(
    warned: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": MODEL, "b.yaml": make_config_map("b", x="1")})
    await warned.settle()
    assert warned.condition("Drifted") is None
    cluster.edit("Model", "docs", replicas=3)
    del cluster.objects["ConfigMap", "default", "b"]
    cluster.writes.clear()
    for _ in range(3):
        warned.wait()
        await warned.settle()
    assert cluster.writes == []
    drifted = warned.condition("Drifted")
    assert drifted["reason"] == "DriftDetected"
    assert drifted["message"] == (
        "configmap/default/b is missing; model/default/docs: spec.replicas"
    )
    assert warned.condition()["status"] == "True"
    assert warned.events.reasons().count("DriftDetected") == 1


async def test_drift_that_ends_is_no_longer_told(
    warned: Any, remote: Any, cluster: Any
) -> None:
    remote.commit({"a.yaml": MODEL})
    await warned.settle()
    cluster.edit("Model", "docs", replicas=3)
    warned.wait()
    await warned.settle()
    cluster.edit("Model", "docs", replicas=1)
    warned.wait()
    await warned.settle()
    assert warned.condition("Drifted") is None


async def test_the_next_revision_is_applied_over_drift(
    warned: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": MODEL})
    await warned.settle()
    cluster.edit("Model", "docs", replicas=3)
    sha = remote.commit({"README": "nothing that is built"})
    warned.wait()
    await warned.settle()
    spec = cluster.objects["Model", "default", "docs"]["spec"]
    assert spec["replicas"] == 3  # the objects are the same: still drift
    assert warned.status["lastAppliedRevision"] == f"main@sha1:{sha}"
    remote.commit({"b.yaml": make_config_map("b")})
    warned.wait()
    await warned.settle()
    spec = cluster.objects["Model", "default", "docs"]["spec"]
    assert spec["replicas"] == 1
    assert warned.condition("Drifted") is None


async def test_a_revision_that_is_half_applied_is_no_drift(
    warned: Any, remote: Any, cluster: Any, make_config_map: Any, types: Any
) -> None:
    remote.commit({f"{n}.yaml": make_config_map(n) for n in "abc"})
    with pytest.raises(types["Killed"]):
        await warned.step(kill_after=1)
    await warned.settle()
    assert len(cluster.contents()) == 3


async def test_drift_is_tolerated_by_a_new_process_too(
    warned: Any, remote: Any, cluster: Any
) -> None:
    remote.commit({"a.yaml": MODEL})
    await warned.settle()
    cluster.edit("Model", "docs", replicas=3)
    cluster.writes.clear()
    warned.restart()
    await warned.settle()
    assert cluster.writes == []
    assert warned.condition("Drifted") is not None


async def test_correct_undoes_what_warn_tolerated(
    warned: Any, remote: Any, cluster: Any
) -> None:
    remote.commit({"a.yaml": MODEL})
    await warned.settle()
    cluster.edit("Model", "docs", replicas=3)
    warned.wait()
    await warned.settle()
    warned.raw["spec"]["driftPolicy"] = "Correct"
    await warned.settle()
    spec = cluster.objects["Model", "default", "docs"]["spec"]
    assert spec["replicas"] == 1
    assert warned.condition("Drifted") is None


async def test_no_value_is_told(
    warned: Any, remote: Any, cluster: Any
) -> None:
    remote.commit({"s.yaml": SECRET})
    await warned.settle()
    found = cluster.objects["Secret", "default", "s"]
    found["stringData"] = {"password": "swordfish"}
    found["metadata"]["resourceVersion"] = "99"
    warned.wait()
    await warned.settle()
    text = str((warned.raw, warned.events.told))
    assert "stringData.password" in text
    assert "hunter2" not in text
    assert "swordfish" not in text


async def test_changed_common_metadata_is_no_drift_and_is_taken_back(
    warned: Any, remote: Any, cluster: Any
) -> None:
    remote.commit({"a.yaml": MODEL})
    await warned.settle()
    key = ("Model", "default", "docs")
    warned.raw["spec"]["commonMetadata"] = {"labels": {"owner": "ada"}}
    await warned.settle()
    assert cluster.objects[key]["metadata"]["labels"]["owner"] == "ada"
    del warned.raw["spec"]["commonMetadata"]
    await warned.settle()
    assert "owner" not in cluster.objects[key]["metadata"]["labels"]
    assert warned.condition("Drifted") is None


async def test_an_ignored_field_is_left_and_the_rest_corrected(
    engine: Any, remote: Any, cluster: Any
) -> None:
    engine.raw["spec"]["ignore"] = [
        {"paths": ["/spec/replicas"], "target": {"kind": "Model"}}
    ]
    remote.commit({"a.yaml": MODEL})
    await engine.settle()
    spec = cluster.objects["Model", "default", "docs"]["spec"]
    assert spec["replicas"] == 1
    cluster.edit("Model", "docs", replicas=3)
    cluster.writes.clear()
    engine.wait()
    await engine.settle()
    assert cluster.writes == []
    cluster.edit("Model", "docs", suiteRef={"name": "other"})
    engine.wait()
    await engine.settle()
    spec = cluster.objects["Model", "default", "docs"]["spec"]
    assert spec == {"suiteRef": {"name": "suite"}, "replicas": 3}
    cluster.writes.clear()
    engine.wait()
    await engine.settle()
    assert cluster.writes == []


async def test_a_rule_that_is_wrong_stops_everything_and_says_which(
    engine: Any, remote: Any, cluster: Any
) -> None:
    engine.raw["spec"]["ignore"] = [
        {"paths": ["/spec/a"], "target": {"name": "("}}
    ]
    remote.commit({"a.yaml": MODEL})
    plan = await engine.step()
    assert plan.actions == ()
    assert plan.requeue_after is None
    stalled = engine.condition("Stalled")
    assert stalled["reason"] == "InvalidIgnoreRule"
    assert "spec.ignore[0].target.name" in stalled["message"]
    assert cluster.writes == []
