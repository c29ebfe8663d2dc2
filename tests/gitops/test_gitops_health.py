"""wait and healthChecks: applied is not yet ready."""

from __future__ import annotations

from typing import Any

import pytest

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 1}
"""
KEY = ("Deployment", "default", "web")
CHECK = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def working(cluster: Any, available: int = 1, **more: Any) -> None:
    live = cluster.objects[KEY]
    live["metadata"]["generation"] = 1
    live["status"] = {
        "observedGeneration": 1,
        "replicas": 1,
        "updatedReplicas": 1,
        "availableReplicas": available,
        **more,
    }


@pytest.fixture
def waiting(engine: Any) -> Any:
    engine.raw["spec"] |= {"wait": True, "timeout": "30s"}
    return engine


async def test_wait_is_ready_only_when_all_is_healthy(
    waiting: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    sha = remote.commit({"d.yaml": DEPLOYMENT, "c.yaml": make_config_map("c")})
    plan = await waiting.settle()
    ready = waiting.condition()
    assert (ready["status"], ready["reason"]) == ("False", "Progressing")
    assert ready["message"] == (
        "waiting for deployment/default/web: "
        "is not observed by a controller yet"
    )
    assert plan.requeue_after == 2
    assert waiting.status["lastAttemptedRevision"] == f"main@sha1:{sha}"
    assert "lastAppliedRevision" not in waiting.status
    assert waiting.status["observedGeneration"] == -1

    working(cluster)
    waiting.wait(2)
    await waiting.settle()
    assert waiting.condition()["status"] == "True"
    assert waiting.status["lastAppliedRevision"] == f"main@sha1:{sha}"


async def test_the_wait_ends_and_is_retried_at_the_retry_interval(
    waiting: Any, remote: Any, cluster: Any
) -> None:
    sha = remote.commit({"d.yaml": DEPLOYMENT})
    await waiting.settle()
    waiting.wait(29)
    plan = await waiting.settle()
    assert waiting.condition()["reason"] == "Progressing"
    assert plan.requeue_after == 1
    waiting.wait(1)
    plan = await waiting.settle()
    ready = waiting.condition()
    assert ready["reason"] == "HealthCheckFailed"
    assert ready["message"].startswith(
        "not healthy: timeout after 30s, deployment/default/web: "
    )
    assert plan.requeue_after == 15
    assert waiting.status["history"][0]["status"] == "HealthCheckFailed"
    writes, reports = list(cluster.writes), waiting.reports
    waiting.wait(15)
    await waiting.settle()
    assert (cluster.writes, waiting.reports) == (writes, reports)
    assert waiting.events.reasons().count("HealthCheckFailed") == 1
    working(cluster)
    waiting.wait(15)
    await waiting.settle()
    assert waiting.status["lastAppliedRevision"] == f"main@sha1:{sha}"


async def test_a_failure_is_told_at_once_and_the_applied_revision_stays(
    waiting: Any, remote: Any, cluster: Any
) -> None:
    first = remote.commit({"d.yaml": DEPLOYMENT})
    await waiting.settle()
    working(cluster)
    waiting.wait(2)
    await waiting.settle()
    second = remote.commit(
        {"d.yaml": DEPLOYMENT.replace("replicas: 1", "replicas: 2")}
    )
    waiting.wait()
    late = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "no image",
    }
    await waiting.step()
    working(cluster, 0, conditions=[late])
    await waiting.settle()
    ready = waiting.condition()
    assert ready["reason"] == "HealthCheckFailed"
    assert ready["message"] == (
        "not healthy: deployment/default/web: no image"
    )
    assert waiting.status["lastAppliedRevision"] == f"main@sha1:{first}"
    assert waiting.status["lastAttemptedRevision"] == f"main@sha1:{second}"


async def test_what_was_ready_stays_so_until_the_wait_is_over(
    waiting: Any, remote: Any, cluster: Any
) -> None:
    remote.commit({"d.yaml": DEPLOYMENT})
    await waiting.settle()
    working(cluster)
    waiting.wait(2)
    await waiting.settle()
    working(cluster, available=0)
    waiting.wait()
    await waiting.settle()
    assert waiting.condition()["status"] == "True"
    assert (
        "availableReplicas is 0 of 1"
        in (waiting.condition("Reconciling")["message"])
    )
    waiting.wait(30)
    await waiting.settle()
    assert waiting.condition()["reason"] == "HealthCheckFailed"


async def test_health_checks_look_at_what_is_named_also_of_others(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    engine.raw["spec"]["healthChecks"] = [CHECK]
    remote.commit({"c.yaml": make_config_map("c")})
    await engine.settle()
    ready = engine.condition()
    assert ready["message"] == (
        "waiting for deployment/default/web: does not exist"
    )
    cluster.objects[KEY] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
    }
    working(cluster)
    engine.wait(2)
    await engine.settle()
    assert engine.condition()["status"] == "True"


async def test_nothing_is_waited_for_unless_asked(
    engine: Any, remote: Any
) -> None:
    remote.commit({"d.yaml": DEPLOYMENT})
    await engine.settle()
    assert engine.condition()["status"] == "True"


@pytest.mark.parametrize(
    ("rule", "reason", "part"),
    [
        ({"current": "data.x == '1'"}, "ReconciliationSucceeded", ""),
        ({"current": "data.x == '2'"}, "Progressing", "not yet: data.x"),
        ({"current": "data.y == '2'"}, "Progressing", "no such key"),
        (
            {"current": "true", "inProgress": "data.x == '1'"},
            "Progressing",
            "is so: data.x",
        ),
        (
            {"current": "true", "failed": "data.x == '1'"},
            "HealthCheckFailed",
            "is so: data.x",
        ),
        ({"current": "data.x =="}, "InvalidCELExpression", "Syntax error"),
    ],
)
async def test_health_by_expression(
    waiting: Any,
    remote: Any,
    make_config_map: Any,
    rule: dict[str, str],
    reason: str,
    part: str,
) -> None:
    about = {"apiVersion": "v1", "kind": "ConfigMap"}
    waiting.raw["spec"]["healthCheckExprs"] = [about | rule]
    remote.commit({"c.yaml": make_config_map("c", x="1")})
    await waiting.settle()
    ready = waiting.condition()
    assert ready["reason"] == reason
    assert part in ready["message"]


async def test_a_repository_does_not_wait_for_itself(
    waiting: Any, remote: Any, cluster: Any
) -> None:
    itself = (
        "apiVersion: reconciler.dev/v1alpha1\nkind: ConfigRepository\n"
        f"metadata: {{name: fleet}}\nspec: {{git: {{url: {remote.url!r}}}}}\n"
    )
    remote.commit({"fleet.yaml": itself})
    await waiting.settle()
    live = cluster.objects["ConfigRepository", "default", "fleet"]
    live["metadata"]["generation"] = 2
    live["status"] = {"observedGeneration": -1}
    waiting.wait(2)
    await waiting.settle()
    assert waiting.condition()["status"] == "True"
    assert waiting.condition("Reconciling") is None
