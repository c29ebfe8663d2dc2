"""Drift that is told or ignored, objects made anew, what is added to all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.gitops.manifest import DesiredObject, ObjectId
from reconciler.gitops.resource import IgnoreRule, Target
from reconciler.gitops.rules import ApplyRules, matches

MODEL = """\
apiVersion: reconciler.dev/v1alpha1
kind: Model
metadata:
  name: docs
  labels: {app: web}
spec: {suiteRef: {name: suite}, replicas: 1}
"""
DOCS = ("Model", "default", "docs")


def ignore(*paths: str, **target: str) -> dict[str, Any]:
    return {"paths": list(paths), "target": target or None}


async def test_a_warning_and_no_correction(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    engine.raw["spec"]["driftPolicy"] = "Warn"
    remote.commit({"a.yaml": MODEL, "b.yaml": make_config_map("b")})
    await engine.settle()
    cluster.edit("Model", "docs", replicas=5)
    del cluster.objects["ConfigMap", "default", "b"]
    cluster.writes.clear()
    for _ in range(3):
        engine.wait()
        await engine.settle()
    assert cluster.writes == []
    drifted = engine.condition("Drifted")
    assert drifted["status"] == "True"
    assert "model/default/docs: spec.replicas: 5 -> 1" in drifted["message"]
    assert "configmap/default/b is missing" in drifted["message"]
    assert engine.condition()["status"] == "True"
    assert engine.events.reasons().count("DriftDetected") == 1
    reports = engine.reports
    engine.wait()
    await engine.settle()
    assert engine.reports == reports
    # A commit says what is wanted, and is applied whole.
    remote.commit({"c.yaml": make_config_map("c")})
    engine.wait()
    await engine.settle()
    assert cluster.objects[DOCS]["spec"]["replicas"] == 1
    assert engine.condition("Drifted") is None


async def test_a_secret_that_drifted_is_not_shown(
    engine: Any, remote: Any, cluster: Any
) -> None:
    engine.raw["spec"]["driftPolicy"] = "Warn"
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
    remote.commit({"a.yaml": text + "stringData: {k: hunter2}\n"})
    await engine.settle()
    found = cluster.objects["Secret", "default", "s"]
    found["stringData"] = {"k": "pa55word"}
    engine.wait()
    await engine.settle()
    assert engine.condition("Drifted")["status"] == "True"
    shown = repr(engine.raw) + repr(engine.events.told)
    assert "hunter2" not in shown
    assert "pa55word" not in shown


async def test_an_ignored_field_is_nobodys_drift(
    engine: Any, remote: Any, cluster: Any
) -> None:
    engine.raw["spec"]["ignore"] = [ignore("/spec/replicas", kind="Model")]
    remote.commit({"a.yaml": MODEL})
    await engine.settle()
    assert cluster.objects[DOCS]["spec"]["replicas"] == 1
    cluster.edit("Model", "docs", replicas=7)
    cluster.writes.clear()
    engine.wait()
    await engine.settle()
    assert cluster.writes == []
    # Another field is corrected, and the ignored one survives that.
    cluster.edit("Model", "docs", suiteRef={"name": "other"})
    engine.wait()
    await engine.settle()
    assert cluster.writes == ["apply Model/default/docs"]
    spec = cluster.objects[DOCS]["spec"]
    assert spec == {"suiteRef": {"name": "suite"}, "replicas": 7}


@pytest.mark.parametrize(
    ("target", "met"),
    [
        ({}, True),
        ({"kind": "Model"}, True),
        ({"kind": "Mod"}, False),
        ({"kind": "Mod.*", "name": "d.+s"}, True),
        ({"group": "reconciler.dev", "version": "v1alpha1"}, True),
        ({"group": "apps"}, False),
        ({"namespace": "default"}, True),
        ({"name": "["}, False),
        ({"labelSelector": "app=web"}, True),
        ({"labelSelector": "app==web,!tier"}, True),
        ({"labelSelector": "app!=web"}, False),
        ({"labelSelector": "app"}, True),
        ({"labelSelector": "!app"}, False),
        ({"labelSelector": "tier!=x"}, True),
        ({"labelSelector": "app in (web)"}, False),
        ({"annotationSelector": "team=x"}, False),
    ],
)
def test_which_objects_are_meant(target: dict[str, str], met: bool) -> None:
    where = ObjectId("default", "docs", "reconciler.dev", "Model")
    body = {"metadata": {"name": "docs", "labels": {"app": "web"}}}
    item = DesiredObject(where, "v1alpha1", body)
    assert matches(Target.model_validate(target), item) == met


@pytest.mark.parametrize(
    ("pointer", "live", "wanted"),
    [
        ("/spec/a", {"spec": {"a": 9, "c": 1}}, {"a": 9, "l": [{"x": 1}]}),
        ("/spec/a", {"spec": {}}, {"l": [{"x": 1}]}),
        (
            "/spec/l/0/x",
            {"spec": {"l": [{"x": 5}]}},
            {"a": 1, "l": [{"x": 5}]},
        ),
        ("/spec/l/3/x", {"spec": {}}, {"a": 1, "l": [{"x": 1}]}),
        ("/spec/l/0", {"spec": {"l": [7]}}, {"a": 1, "l": [7]}),
        ("/spec/none", {"spec": {"none": 3}}, {"a": 1, "l": [{"x": 1}]}),
        ("/a~1b", {"a/b": 2}, {"a": 1, "l": [{"x": 1}]}),
    ],
)
def test_pointers(pointer: str, live: Any, wanted: Any) -> None:
    where = ObjectId("d", "a", "", "X")
    body = {"metadata": {"name": "a"}, "spec": {"a": 1, "l": [{"x": 1}]}}
    item = DesiredObject(where, "v1", body)
    rules = ApplyRules((IgnoreRule(paths=(pointer,)),))
    assert rules.adjusted(item, live).body["spec"] == wanted
    assert rules.adjusted(item, None) is item
    assert body["spec"] == {"a": 1, "l": [{"x": 1}]}


values = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from("abc"), values),
    st.dictionaries(st.sampled_from("abc"), values),
    st.lists(st.sampled_from(["a", "b", "0", "1"]), min_size=1, max_size=3),
)
def test_adjusting_twice_is_adjusting_once(
    body: Any, live: Any, parts: list[str]
) -> None:
    body["metadata"] = {"name": "a"}
    item = DesiredObject(ObjectId("d", "a", "", "X"), "v1", body)
    rules = ApplyRules((IgnoreRule(paths=("/" + "/".join(parts),)),))
    once = rules.adjusted(item, live)
    assert rules.adjusted(once, live).body == once.body


IMMUTABLE = "spec.suiteRef: Invalid value: field is immutable"


def refuse_changes(cluster: Any, text: str = IMMUTABLE) -> None:
    def refuse(body: dict[str, Any], _dry: bool) -> str | None:
        live = cluster.objects.get(cluster.key(body))
        changed = live and live.get("spec") != body.get("spec")
        return text if changed else None

    cluster.refuse = refuse


@pytest.mark.parametrize("how", ["spec", "annotation"])
async def test_an_immutable_object_is_made_anew_where_asked(
    engine: Any, remote: Any, cluster: Any, how: str
) -> None:
    text = MODEL
    if how == "spec":
        engine.raw["spec"]["force"] = True
    else:
        note = "  annotations: {reconciler.dev/force: enabled}\nspec:"
        text = MODEL.replace("spec:", note)
    remote.commit({"a.yaml": text})
    await engine.settle()
    uid = cluster.objects[DOCS]["metadata"]["uid"]
    refuse_changes(cluster)
    remote.commit({"a.yaml": text.replace("suite}", "other}")})
    engine.wait()
    cluster.writes.clear()
    await engine.settle()
    assert cluster.writes == [
        "delete Model/default/docs",
        "apply Model/default/docs",
    ]
    assert cluster.objects[DOCS]["metadata"]["uid"] != uid
    assert engine.condition()["status"] == "True"


async def test_a_kill_after_the_delete_creates_it_at_the_restart(
    engine: Any, remote: Any, cluster: Any, types: Any
) -> None:
    engine.raw["spec"]["force"] = True
    remote.commit({"a.yaml": MODEL})
    await engine.settle()
    refuse_changes(cluster)
    remote.commit({"a.yaml": MODEL.replace("suite}", "other}")})
    engine.wait()
    with pytest.raises(types["Killed"]):
        await engine.step(kill_after=1)
    assert cluster.objects == {}
    await engine.settle()
    assert cluster.objects[DOCS]["spec"]["suiteRef"]["name"] == "other"


@pytest.mark.parametrize("why", ["not asked", "in production", "invalid"])
async def test_it_is_not_made_anew_otherwise(
    engine: Any, remote: Any, cluster: Any, why: str
) -> None:
    engine.raw["spec"]["force"] = why != "not asked"
    remote.commit({"a.yaml": MODEL})
    await engine.settle()
    if why == "in production":
        cluster.objects[DOCS]["status"] = {"production": {"generation": "g"}}
    refuse_changes(cluster, "spec: bad" if why == "invalid" else IMMUTABLE)
    remote.commit({"a.yaml": MODEL.replace("suite}", "other}")})
    engine.wait()
    cluster.writes.clear()
    await engine.settle()
    assert cluster.writes == []
    assert engine.condition()["reason"] == "ReconciliationFailed"


async def test_target_namespace_and_common_metadata(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    engine.raw["spec"] |= {
        "targetNamespace": "team",
        "commonMetadata": {
            "labels": {"team": "a", "app": "all"},
            "annotations": {"contact": "ada"},
        },
    }
    cluster.namespaces |= {"team", "other"}
    other = make_config_map("o").replace("name: o", "name: o\n  namespace: x")
    crd = (
        "apiVersion: v1\nkind: Namespace\n"
        "metadata: {name: other, labels: {app: ns}}\n"
    )
    remote.commit({"a.yaml": MODEL, "b.yaml": other, "n.yaml": crd})
    await engine.settle()
    assert set(cluster.objects) == {
        ("Model", "team", "docs"),
        ("ConfigMap", "team", "o"),
        ("Namespace", "", "other"),
    }
    for found in cluster.objects.values():
        meta = found["metadata"]
        assert meta["labels"]["team"] == "a"
        assert meta["labels"]["app"] == "all"
        assert meta["labels"]["reconciler.dev/repository"] == "fleet"
        assert meta["annotations"] == {"contact": "ada"}
