"""The controller over real Git repositories and an in-memory API."""

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
"""


async def test_a_commit_is_applied_in_stages(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    suite = MODEL.replace("Model", "EvaluationSuite").replace("docs", "suite")
    sha = remote.commit(
        {
            "a.yaml": MODEL,
            "b.yml": suite,
            "z/ns.yaml": "apiVersion: v1\nkind: Namespace\n"
            "metadata: {name: team}\n",
            "z/cm.yaml": make_config_map("c", x="1").replace(
                "name: c", "name: c\n  namespace: team"
            ),
            "README.md": "not configuration",
            ".github/ci.yaml": "on: push",
        }
    )
    plan = await engine.settle()
    assert cluster.writes == [
        "apply Namespace//team",
        "apply ConfigMap/team/c",
        "apply EvaluationSuite/default/suite",
        "apply Model/default/docs",
    ]
    assert engine.status["lastAppliedRevision"] == f"main@sha1:{sha}"
    assert engine.condition()["status"] == "True"
    assert engine.condition("Reconciling") is None
    assert engine.status["observedGeneration"] == 1
    assert plan.requeue_after == pytest.approx(60, abs=1)
    assert [e["id"] for e in engine.status["inventory"]] == [
        "_team__Namespace",
        "default_docs_reconciler.dev_Model",
        "default_suite_reconciler.dev_EvaluationSuite",
        "team_c__ConfigMap",
    ]


async def test_steady_state_writes_nothing_and_dry_runs_nothing(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({f"{i}.yaml": make_config_map(f"m{i}") for i in range(9)})
    await engine.settle()
    writes, reports, dry = (
        len(cluster.writes),
        engine.reports,
        cluster.dry_runs,
    )
    for _ in range(5):
        engine.wait()
        await engine.settle()
    assert len(cluster.writes) == writes
    assert engine.reports == reports
    assert cluster.dry_runs == dry


async def test_restart_compares_again_and_writes_nothing(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    await engine.settle()
    writes, reports = list(cluster.writes), engine.reports
    engine.restart()
    await engine.settle()
    assert (cluster.writes, engine.reports) == (writes, reports)


async def test_drift_is_corrected_and_only_the_drifted_object_written(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": MODEL, "b.yaml": make_config_map("b")})
    await engine.settle()
    cluster.edit("Model", "docs", suiteRef={"name": "other"})
    cluster.writes.clear()
    engine.wait()
    await engine.settle()
    assert cluster.writes == ["apply Model/default/docs"]
    spec = cluster.objects["Model", "default", "docs"]["spec"]
    assert spec == {"suiteRef": {"name": "suite"}}
    assert engine.status["history"][0]["total"] == 2


async def test_fields_of_others_are_no_drift(
    engine: Any, remote: Any, cluster: Any
) -> None:
    remote.commit({"a.yaml": MODEL})
    await engine.settle()
    cluster.edit("Model", "docs", suspend=True)
    cluster.objects["Model", "default", "docs"]["status"] = {"x": 1}
    cluster.writes.clear()
    engine.wait()
    await engine.settle()
    assert cluster.writes == []


async def test_removed_object_is_pruned_and_protected_one_is_kept(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    keep = make_config_map("keep").replace(
        "name: keep",
        "name: keep\n  annotations: {reconciler.dev/prune: disabled}",
    )
    remote.commit({"a.yaml": make_config_map("a"), "keep.yaml": keep})
    await engine.settle()
    remote.commit({"a.yaml": None, "keep.yaml": None, "b.yaml": MODEL})
    engine.wait()
    await engine.settle()
    assert set(cluster.contents()) == {
        "ConfigMap/default/keep",
        "Model/default/docs",
    }
    names = [e["id"] for e in engine.status["inventory"]]
    assert names == ["default_docs_reconciler.dev_Model"]


async def test_object_that_another_owner_took_over_is_not_pruned(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a")})
    await engine.settle()
    found = cluster.objects["ConfigMap", "default", "a"]
    found["metadata"]["labels"]["reconciler.dev/repository"] = "other"
    remote.commit({"a.yaml": None})
    engine.wait()
    await engine.settle()
    assert "ConfigMap/default/a" in cluster.contents()


async def test_survivor_of_a_failed_delete_stays_in_the_inventory(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a"), "b.yaml": MODEL})
    await engine.settle()
    cluster.refuse_delete = {"a"}
    remote.commit({"a.yaml": None})
    engine.wait()
    await engine.settle()
    ready = engine.condition()
    assert ready["reason"] == "PruneFailed"
    assert "configmap/default/a" in ready["message"]
    ids = [e["id"] for e in engine.status["inventory"]]
    assert "default_a__ConfigMap" in ids
    reports = engine.reports
    await engine.settle()
    assert engine.reports == reports
    cluster.refuse_delete = set()
    engine.wait(16)
    await engine.settle()
    assert "ConfigMap/default/a" not in cluster.contents()
    assert engine.condition()["status"] == "True"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\n", "bad.yaml:2:"),
        ("x: 1\n", "bad.yaml:1: is not a Kubernetes object"),
        (b"\xff\xfe", "bad.yaml:1: is not UTF-8"),
    ],
)
async def test_broken_file_leaves_the_last_good_state(
    engine: Any,
    remote: Any,
    cluster: Any,
    make_config_map: Any,
    text: Any,
    said: str,
) -> None:
    good = remote.commit({"a.yaml": make_config_map("a", x="1")})
    await engine.settle()
    cluster.writes.clear()
    bad = remote.commit({"a.yaml": None, "bad.yaml": text, "c.yaml": MODEL})
    engine.wait()
    plan = await engine.settle()
    assert cluster.writes == []
    ready = engine.condition()
    assert (ready["status"], ready["reason"]) == ("False", "BuildFailed")
    assert said in ready["message"]
    assert engine.condition("Reconciling")["reason"] == "ProgressingWithRetry"
    assert engine.status["lastAppliedRevision"] == f"main@sha1:{good}"
    assert engine.status["lastAttemptedRevision"] == f"main@sha1:{bad}"
    assert plan.requeue_after <= 15
    reports = engine.reports
    engine.wait(16)
    await engine.settle()
    assert engine.reports == reports
    assert engine.events.reasons().count("BuildFailed") == 1
    remote.commit({"bad.yaml": None})
    engine.wait(16)
    await engine.settle()
    assert set(cluster.contents()) == {"Model/default/docs"}
    assert engine.condition()["status"] == "True"


async def test_a_failed_prune_and_an_outage_bring_nothing_back(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a"), "b.yaml": MODEL})
    await engine.settle()
    cluster.refuse_delete = {"a"}
    remote.commit({"a.yaml": None, "new.yaml": make_config_map("new")})
    engine.wait()
    await engine.settle()
    assert engine.condition()["reason"] == "PruneFailed"
    remote.commit({"broken.yaml": "a: [\n"})
    engine.restart()
    engine.wait(16)
    await engine.settle()
    assert engine.condition()["reason"] == "BuildFailed"
    assert "ConfigMap/default/new" in cluster.contents()
    assert not [w for w in cluster.writes if w.startswith("delete")]


async def test_last_good_revision_is_enforced_while_the_newest_is_broken(
    engine: Any, remote: Any, cluster: Any
) -> None:
    remote.commit({"a.yaml": MODEL})
    await engine.settle()
    remote.commit({"a.yaml": "a: [\n"})
    engine.restart()
    cluster.edit("Model", "docs", suiteRef={"name": "other"})
    engine.wait()
    await engine.settle()
    spec = cluster.objects["Model", "default", "docs"]["spec"]
    assert spec["suiteRef"] == {"name": "suite"}
    assert engine.condition()["reason"] == "BuildFailed"


async def test_another_path_of_the_same_commit_is_the_last_good_state(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit(
        {
            "staging/a.yaml": make_config_map("staging"),
            "production/b.yaml": make_config_map("production"),
        }
    )
    engine.raw["spec"]["path"] = "staging"
    await engine.settle()
    engine.raw["spec"]["path"] = "production"
    await engine.settle()
    assert list(cluster.contents()) == ["ConfigMap/default/production"]
    remote.commit({"production/c.yaml": "{"})
    engine.wait()
    await engine.settle()
    assert engine.condition()["reason"] == "BuildFailed"
    assert list(cluster.contents()) == ["ConfigMap/default/production"]


async def test_rejected_object_stops_the_whole_revision(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a")})
    await engine.settle()
    cluster.writes.clear()
    cluster.refuse = lambda body, _dry: (
        "spec.suiteRef.name: Invalid value"
        if body["kind"] == "Model"
        else None
    )
    remote.commit(
        {"m/x.yaml": f"---\n{MODEL}", "b.yaml": make_config_map("b")}
    )
    engine.wait()
    await engine.settle()
    ready = engine.condition()
    assert cluster.writes == []
    assert ready["reason"] == "ReconciliationFailed"
    assert (
        "m/x.yaml:2: model/default/docs: spec.suiteRef.name"
        in (ready["message"])
    )
    cluster.refuse = lambda _body, _dry: None
    engine.wait(16)
    await engine.settle()
    assert "Model/default/docs" in cluster.contents()


async def test_refusal_that_only_the_real_apply_meets_is_retried_later(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    cluster.refuse = lambda body, dry: (
        "quota" if body["kind"] == "Model" and not dry else None
    )
    remote.commit({"a.yaml": make_config_map("a"), "b.yaml": MODEL})
    await engine.settle()
    assert engine.condition()["reason"] == "ReconciliationFailed"
    assert (
        "b.yaml:1: model/default/docs: quota"
        in (engine.condition()["message"])
    )
    assert "lastAppliedRevision" not in engine.status
    cluster.refuse = lambda _body, _dry: None
    await engine.settle()
    assert engine.condition()["status"] == "False"
    engine.wait(16)
    await engine.settle()
    assert engine.condition()["status"] == "True"


async def test_definition_and_its_objects_in_one_revision(
    engine: Any, remote: Any, cluster: Any
) -> None:
    remote.commit(
        {
            "a.yaml": "apiVersion: x.org/v1\nkind: Widget\n"
            "metadata: {name: w}\n",
            "b.yaml": "apiVersion: apiextensions.k8s.io/v1\n"
            "kind: CustomResourceDefinition\n"
            "metadata: {name: widgets.x.org}\n"
            "spec: {group: x.org, scope: Cluster, "
            "names: {kind: Widget, plural: widgets}}\n",
        }
    )
    await engine.settle()
    assert cluster.writes == [
        "apply CustomResourceDefinition//widgets.x.org",
        "apply Widget//w",
    ]


async def test_unknown_kind_is_reported_with_its_place(
    engine: Any, remote: Any
) -> None:
    remote.commit(
        {"a.yaml": "apiVersion: x.org/v1\nkind: Widget\nmetadata: {name: w}"}
    )
    await engine.settle()
    message = engine.condition()["message"]
    assert message.startswith("a.yaml:1: widget/default/w:")
    assert "no kind Widget" in message


async def test_suspend_stops_everything_and_resume_goes_on(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a")})
    await engine.settle()
    engine.raw["spec"]["suspend"] = True
    remote.commit({"a.yaml": None, "b.yaml": MODEL})
    engine.wait()
    cluster.writes.clear()
    plan = await engine.settle()
    assert (cluster.writes, plan.requeue_after) == ([], None)
    assert engine.condition("Suspended")["status"] == "True"
    engine.raw["spec"]["suspend"] = False
    await engine.settle()
    assert set(cluster.contents()) == {"Model/default/docs"}
    assert engine.condition("Suspended") is None


async def test_requested_at_reads_the_source_before_the_interval(
    engine: Any,
    remote: Any,
    cluster: Any,
    make_config_map: Any,
    monkeypatch: Any,
) -> None:
    unwatched = "reconciler.gitops.controller.local_path"
    monkeypatch.setattr(unwatched, lambda _spec: None)
    remote.commit({"a.yaml": make_config_map("a")})
    await engine.settle()
    remote.commit({"b.yaml": MODEL})
    await engine.settle()
    assert "Model/default/docs" not in cluster.contents()
    engine.raw["metadata"]["annotations"] = {
        "reconciler.dev/requested-at": "now-1"
    }
    await engine.settle()
    assert "Model/default/docs" in cluster.contents()
    assert engine.status["lastHandledReconcileAt"] == "now-1"


@pytest.mark.parametrize(("prune", "left"), [(True, 0), (False, 1)])
async def test_deleting_the_repository(
    engine: Any,
    remote: Any,
    cluster: Any,
    make_config_map: Any,
    prune: bool,
    left: int,
) -> None:
    engine.raw["spec"]["prune"] = prune
    remote.commit({"a.yaml": make_config_map("a")})
    await engine.settle()
    engine.raw["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    await engine.settle()
    assert engine.released
    assert len(cluster.objects) == left


async def test_deleting_waits_for_what_cannot_be_pruned_yet(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a")})
    await engine.settle()
    cluster.refuse_delete = {"a"}
    engine.raw["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    await engine.settle()
    assert not engine.released
    assert engine.condition()["reason"] == "PruneFailed"
    cluster.refuse_delete = set()
    engine.wait(16)
    await engine.settle()
    assert engine.released


async def test_the_repository_never_prunes_itself(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    own = (
        "apiVersion: reconciler.dev/v1alpha1\nkind: ConfigRepository\n"
        "metadata: {name: fleet}\nspec: {}\n"
    )
    remote.commit({"self.yaml": own, "a.yaml": make_config_map("a")})
    await engine.settle()
    assert cluster.writes[-1] == "apply ConfigRepository/default/fleet"
    remote.commit({"self.yaml": None})
    engine.wait()
    await engine.settle()
    assert "ConfigRepository/default/fleet" in cluster.contents()


async def test_path_out_of_the_source_is_terminal(
    engine: Any, remote: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a")})
    engine.raw["spec"]["path"] = "../.."
    plan = await engine.settle()
    assert engine.condition("Stalled")["reason"] == "InvalidPath"
    assert plan.requeue_after is None
    engine.raw["spec"]["path"] = "."
    await engine.settle()
    assert engine.condition("Stalled") is None


async def test_history_keeps_five_and_counts_equal_ones(
    engine: Any, remote: Any, make_config_map: Any
) -> None:
    for i in range(7):
        remote.commit({"a.yaml": make_config_map("a", n=str(i))})
        engine.wait()
        await engine.settle()
    history = engine.status["history"]
    assert len(history) == 5
    assert history[0]["revision"] == f"main@sha1:{remote.head}"


async def test_one_event_tells_of_a_whole_pass(
    engine: Any, remote: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a"), "b.yaml": MODEL})
    await engine.settle()
    assert [(r, n.split(": ")[1]) for _, r, n in engine.events.told] == [
        ("Applied", "2 created")
    ]
