"""Two controller processes with one Lease: killed, suspended, woken again."""

from __future__ import annotations

import json
import signal
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from cluster import NAMESPACE, Cluster, until

from reconciler.controlplane.access.policy import Policy
from reconciler.engine.lease import LeaseTerms

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
API = "reconciler.dev/v1alpha1"
BOTH = ("--roles", "controller,node", "--leader-elect")
LEASE = ("--lease-namespace", NAMESPACE)
RUN_STEPS = 150


def body(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": API, "kind": kind, "metadata": meta, "spec": spec}


def loop() -> list[dict[str, Any]]:
    """A model so small that it learns in seconds."""
    training = {
        "steps": RUN_STEPS,
        "batchSize": 8,
        "learningRate": "0.01",
        "checkpointSteps": 10,
        "threads": 1,
    }
    return [
        body("DatasetLayout", "models", {"datasets": [{"name": "tiny"}]}),
        body(
            "EvaluationSuite",
            "suite",
            {
                "data": {"corpus": "python-docstrings", "samples": 60},
                "decoding": {"maxNewTokens": 12},
                "primary": {"name": "house-style"},
                "gate": {"minSamples": 40, "resamples": 1000},
            },
        ),
        body(
            "Model",
            "tiny",
            {
                "architecture": {
                    "vocabularySize": 512,
                    "hiddenSize": 32,
                    "layers": 1,
                    "heads": 2,
                    "contextLength": 96,
                },
                "suiteRef": {"name": "suite"},
                "storage": {
                    "layoutRef": {"name": "models"},
                    "dataset": "tiny",
                },
                "serving": {
                    "minTop1Agreement": "0.5",
                    "maxPerplexityChange": "0.5",
                },
            },
        ),
        body("FeedbackStore", "opinions", {}),
        body(
            "TrainingSchedule",
            "tiny",
            {
                "modelRef": {"name": "tiny"},
                "learnFrom": {"storeRef": {"name": "opinions"}, "minRows": 99},
                "bootstrap": {
                    "algorithm": "SFT",
                    "data": {"corpus": {"name": "python-docstrings"}},
                    "training": training,
                },
                "template": {
                    "algorithm": "DPO",
                    "data": {"feedback": {"storeRef": {"name": "opinions"}}},
                },
            },
        ),
    ]


def runs(state: Path) -> dict[str, dict[str, Any]]:
    """Status of each run directory by name."""
    return {
        path.parent.name: json.loads(path.read_text())
        for path in (state / "runs").glob("*/status.json")
    }


def lease(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.objects("leases")[0]["spec"]
    return found


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_killed_leader_is_followed_by_the_other_and_nothing_runs_twice(
    cluster, operators, tmp_path
):
    cluster.install()
    state = tmp_path / "state"
    first = operators(cluster.kubeconfig, state, *BOTH, *LEASE).ready()
    until(first.leading, "leader")
    second = operators(cluster.kubeconfig, state, *BOTH, *LEASE).ready()
    cluster.apply(*loop())
    until(
        lambda: any(run.get("step") for run in runs(state).values()),
        "a step of training",
    )
    assert not second.leading()
    before = lease(cluster)
    first.child.kill()
    first.child.wait()
    until(second.leading, "successor")
    after = lease(cluster)
    assert after["leaseTransitions"] == before["leaseTransitions"] + 1
    # Nobody may lead before the silence has lasted as long as was promised.
    silence = moment(after["acquireTime"]) - moment(before["renewTime"])
    assert silence >= LeaseTerms().duration
    until(lambda: serves(cluster), "a model in production", 120)
    done = runs(state)
    assert {run["attempt"] for run in done.values()} == {1}
    assert {run["phase"] for run in done.values()} == {"Succeeded"}
    stages = sorted(name.rpartition(".")[2] for name in done)
    assert stages == ["convert", "data", "evaluate", "train"]


def serves(cluster: Cluster) -> bool:
    """Whether the model was promoted; there is one generation at most."""
    assert len(cluster.objects("modelgenerations")) <= 1
    (model,) = cluster.objects("models")
    return bool(model.get("status", {}).get("production"))


@pytest.fixture
def writers(monkeypatch):
    """Who wrote what, in the order in which it was judged."""
    judge, lock, seen = Policy.decide, Lock(), []

    def decide(policy, user, request):
        if request.verb in {"create", "patch", "delete"}:
            with lock:
                seen.append((user.name.rpartition(":")[2], request.resource))
        return judge(policy, user, request)

    monkeypatch.setattr(Policy, "decide", decide)
    return seen


def test_a_leader_that_wakes_up_too_late_writes_nothing_more(
    cluster, operators, tmp_path, writers
):
    cluster.install()
    first = operators(
        cluster.account("reconciler-controller"),
        tmp_path / "one",
        *("--roles", "controller", "--leader-elect", *LEASE),
    ).ready()
    until(first.leading, "leader")
    second = operators(
        cluster.kubeconfig,  # as admin, so that the two can be told apart
        tmp_path / "two",
        *("--roles", "controller", "--leader-elect", *LEASE),
    ).ready()
    suite = body(
        "EvaluationSuite",
        "suite",
        {
            "data": {"corpus": "python-docstrings", "samples": 60},
            "primary": {"name": "house-style"},
        },
    )
    cluster.apply(suite)
    until(
        lambda: ("reconciler-controller", "evaluationsuites") in writers,
        "the first one's report",
    )
    first.signal(signal.SIGSTOP)
    until(second.leading, "successor")
    began = len(writers)
    suite["spec"]["data"]["samples"] = 300
    cluster.apply(suite)
    until(lambda: observed(cluster) == 2, "the second one's report")
    first.signal(signal.SIGCONT)
    assert first.child.wait(60) == 1
    assert "no longer leading" in first.tail().lower()
    late = [w for w in writers[began:] if w[0] == "reconciler-controller"]
    # An event only tells of what it did before it was stopped.
    harmless = {"leases", "events"}
    assert [resource for _, resource in late if resource not in harmless] == []
    assert second.leading()


def observed(cluster: Cluster) -> int:
    (suite,) = cluster.objects("evaluationsuites")
    return int(suite["status"]["observedGeneration"])
