"""Health of any kind, by the rules of kstatus."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.gitops.kstatus import State, assess

CURRENT, IN_PROGRESS, FAILED = State.CURRENT, State.IN_PROGRESS, State.FAILED


def live(kind: str, status: Any = None, **more: Any) -> dict[str, Any]:
    version, _, name = kind.rpartition("/")
    meta = {"name": "x", "generation": 2, **more.pop("metadata", {})}
    body = {"apiVersion": version, "kind": name, "metadata": meta, **more}
    return body if status is None else {**body, "status": status}


def conditions(**given: str) -> list[dict[str, str]]:
    return [
        {"type": k, "status": v, "message": f"{k} is {v}"}
        for k, v in given.items()
    ]


def counted(**counts: Any) -> dict[str, Any]:
    return {"observedGeneration": 2, **counts}


ALL = {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
THREE: dict[str, Any] = {"replicas": 3}
SET = {"readyReplicas": 3, "updatedReplicas": 3}


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (live("v1/ConfigMap"), CURRENT),
        (live("x.org/v1/Thing", {}), CURRENT),
        (
            live("x.org/v1/T", {"conditions": conditions(Ready="True")}),
            CURRENT,
        ),
        (
            live("x.org/v1/T", {"conditions": conditions(Ready="False")}),
            IN_PROGRESS,
        ),
        (
            live("x.org/v1/T", {"conditions": conditions(Ready="Unknown")}),
            IN_PROGRESS,
        ),
        (
            live(
                "x.org/v1/T",
                {"conditions": conditions(Ready="True", Stalled="True")},
            ),
            FAILED,
        ),
        (
            live(
                "x.org/v1/T",
                {"conditions": conditions(Ready="True", Reconciling="True")},
            ),
            IN_PROGRESS,
        ),
        (
            live(
                "x.org/v1/T",
                {
                    "observedGeneration": 1,
                    "conditions": conditions(Ready="True"),
                },
            ),
            IN_PROGRESS,
        ),
        (
            live(
                "x.org/v1/T",
                {
                    "conditions": [
                        {
                            "type": "Ready",
                            "status": "True",
                            "observedGeneration": 1,
                        }
                    ]
                },
            ),
            IN_PROGRESS,
        ),
        (
            live("v1/ConfigMap", metadata={"deletionTimestamp": "x"}),
            IN_PROGRESS,
        ),
        (live("v1/Namespace", {"phase": "Active"}), CURRENT),
        (live("apps/v1/Deployment", spec=THREE), IN_PROGRESS),
        (live("apps/v1/Deployment", counted(**ALL), spec=THREE), CURRENT),
        (
            live(
                "apps/v1/Deployment",
                counted(**ALL | {"availableReplicas": 2}),
                spec=THREE,
            ),
            IN_PROGRESS,
        ),
        (
            live(
                "apps/v1/Deployment",
                counted(**ALL | {"replicas": 4}),
                spec=THREE,
            ),
            IN_PROGRESS,
        ),
        (
            live(
                "apps/v1/Deployment",
                counted(
                    conditions=[
                        {
                            "type": "Progressing",
                            "status": "False",
                            "reason": "ProgressDeadlineExceeded",
                        }
                    ]
                ),
                spec=THREE,
            ),
            FAILED,
        ),
        (live("apps/v1/StatefulSet", counted(**SET), spec=THREE), CURRENT),
        (
            live(
                "apps/v1/StatefulSet",
                counted(**SET | {"readyReplicas": 1}),
                spec=THREE,
            ),
            IN_PROGRESS,
        ),
        (
            live(
                "apps/v1/StatefulSet",
                counted(**SET, currentRevision="a", updateRevision="b"),
                spec=THREE,
            ),
            IN_PROGRESS,
        ),
        (
            live(
                "apps/v1/StatefulSet",
                counted(
                    **SET | {"updatedReplicas": 1},
                    currentRevision="a",
                    updateRevision="b",
                ),
                spec=THREE
                | {"updateStrategy": {"rollingUpdate": {"partition": 2}}},
            ),
            CURRENT,
        ),
        (live("apps/v1/DaemonSet", counted(), spec={}), IN_PROGRESS),
        (
            live(
                "apps/v1/DaemonSet",
                counted(
                    desiredNumberScheduled=1,
                    currentNumberScheduled=1,
                    updatedNumberScheduled=1,
                    numberAvailable=1,
                    numberReady=1,
                ),
            ),
            CURRENT,
        ),
        (live("batch/v1/Job", {}), IN_PROGRESS),
        (
            live("batch/v1/Job", {"conditions": conditions(Complete="True")}),
            CURRENT,
        ),
        (
            live("batch/v1/Job", {"conditions": conditions(Failed="True")}),
            FAILED,
        ),
        (live("v1/PersistentVolumeClaim"), IN_PROGRESS),
        (live("v1/PersistentVolumeClaim", {"phase": "Bound"}), CURRENT),
        (live("v1/PersistentVolumeClaim", {"phase": "Lost"}), FAILED),
        (live("v1/Pod", {"phase": "Failed"}), FAILED),
        (
            live(
                "v1/Pod",
                {"phase": "Running", "conditions": conditions(Ready="True")},
            ),
            CURRENT,
        ),
        (live("v1/Service", spec={"type": "LoadBalancer"}), IN_PROGRESS),
        (live("v1/Service", spec={"type": "ClusterIP"}), CURRENT),
        (
            live(
                "apiextensions.k8s.io/v1/CustomResourceDefinition",
                {"conditions": conditions(Established="True")},
            ),
            CURRENT,
        ),
        (
            live("apiextensions.k8s.io/v1/CustomResourceDefinition", {}),
            IN_PROGRESS,
        ),
        (
            live(
                "apiextensions.k8s.io/v1/CustomResourceDefinition",
                {"conditions": conditions(NamesAccepted="False")},
            ),
            FAILED,
        ),
    ],
)
def test_states(found: dict[str, Any], state: State) -> None:
    health = assess(found)
    assert health.state is state
    assert bool(health.message) is (state is not CURRENT)


@pytest.mark.parametrize("status", ["text", [], {"conditions": "x"}, None])
def test_a_status_of_another_shape_is_no_crash(status: Any) -> None:
    found = live("x.org/v1/T") | {"status": status}
    assert assess(found).state is CURRENT


def test_what_is_not_there_is_not_healthy() -> None:
    assert assess(None).state is IN_PROGRESS
