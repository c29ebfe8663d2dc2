"""dependsOn: what waits for what, circles, and CEL."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.gitops.dependencies import cycle, dependents, unready
from reconciler.gitops.resource import ConfigRepository

URL = "https://git.example/x.git"
REVISION = "main@sha1:" + "a" * 40


def repository(
    name: str, *depends: Any, namespace: str = "default", **more: Any
) -> ConfigRepository:
    wanted = [{"name": d} if isinstance(d, str) else d for d in depends]
    source = more.pop("source", {"git": {"url": URL}})
    return ConfigRepository.parse(
        {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "generation": 2,
                "uid": name,
            },
            "spec": {**source, "dependsOn": wanted},
            "status": more.get("status", {}),
        }
    )


def status(
    truth: str = "True", generation: int = 2, applied: str = REVISION
) -> dict[str, Any]:
    return {
        "lastAppliedRevision": applied,
        "conditions": [
            {
                "type": "Ready",
                "status": truth,
                "observedGeneration": generation,
                "lastTransitionTime": "2026-11-25T00:00:00Z",
                "reason": "BuildFailed",
                "message": "m",
            }
        ],
    }


def known(*found: ConfigRepository) -> dict[Any, ConfigRepository]:
    return {r.key: r for r in found}


def why(desired: ConfigRepository, *others: ConfigRepository) -> Any:
    return unready(desired, known(desired, *others), REVISION)


@pytest.mark.parametrize(
    ("live", "text"),
    [
        ({}, "dependency default/base is not ready: not seen yet"),
        (status("False"), "dependency default/base is not ready: BuildFailed"),
        (
            status(generation=1),
            "dependency default/base is not ready: BuildFailed",
        ),
        (
            status(applied="main@sha1:" + "b" * 40),
            f"dependency default/base has not applied {REVISION}",
        ),
        (status(), None),
    ],
)
def test_ready_means_this_generation_and_the_same_commit(
    live: dict[str, Any], text: str | None
) -> None:
    problem = why(repository("apps", "base"), repository("base", status=live))
    assert (problem.message if problem else None) == text
    assert problem is None or problem.reason == "DependencyNotReady"
    assert problem is None or not problem.terminal


def test_another_source_has_its_own_revisions() -> None:
    other = repository(
        "base",
        source={"git": {"url": "https://git.example/y.git"}},
        status=status(applied="main@sha1:" + "c" * 40),
    )
    assert why(repository("apps", "base"), other) is None


def test_other_namespaces_and_what_is_missing() -> None:
    desired = repository("apps", {"name": "base", "namespace": "infra"})
    problem = why(desired, repository("base", status=status()))
    assert problem.message == "dependency infra/base does not exist"
    other = repository("base", namespace="infra", status=status())
    assert why(desired, other) is None


@pytest.mark.parametrize(
    ("text", "reason", "part"),
    [
        ("dep.metadata.name == 'base'", None, ""),
        ("dep.spec.path == self.spec.path", None, ""),
        (
            "dep.metadata.name == 'x'",
            "DependencyNotReady",
            "is not ready: dep",
        ),
        ("dep.status.nothing == 'x'", "DependencyNotReady", "no such key"),
        ("dep.metadata.name", "InvalidCELExpression", "true or false"),
        ("dep.metadata. ==", "InvalidCELExpression", "Syntax error"),
        ("other.x == 1", "InvalidCELExpression", "other"),
    ],
)
def test_ready_by_an_expression(
    text: str, reason: str | None, part: str
) -> None:
    desired = repository("apps", {"name": "base", "readyExpr": text})
    problem = why(desired, repository("base", status=status("False")))
    assert (problem.reason if problem else None) == reason
    if problem is not None:
        assert part in problem.message
        assert problem.terminal is (reason == "InvalidCELExpression")


def test_a_circle_is_named_and_stalls() -> None:
    a, b, c = (
        repository("a", "b"),
        repository("b", "c"),
        repository("c", "a", status=status()),
    )
    problem = why(a, b, c)
    assert (problem.reason, problem.terminal) == ("DependencyCycle", True)
    assert "default/a -> default/b -> default/c -> default/a" in (
        problem.message
    )
    assert len(cycle(repository("a", "a"), {})) == 2


def test_a_circle_elsewhere_and_a_diamond_are_no_circle() -> None:
    b, c = repository("b", "c"), repository("c", "b")
    assert cycle(repository("a", "b"), known(b, c)) == ()
    diamond = known(repository("l", "base"), repository("r", "base"))
    assert cycle(repository("top", "l", "r"), diamond) == ()


def test_a_change_wakes_those_that_depend_on_it(types: Any) -> None:
    elsewhere = repository("x", {"name": "base", "namespace": "infra"})
    found = [repository("apps", "base"), repository("z"), elsewhere]
    objects = types["Others"](found)
    base = repository("base")
    assert dependents(base, objects) == [found[0].key]
    infra = repository("base", namespace="infra")
    assert dependents(infra, objects) == [elsewhere.key]


async def test_a_new_revision_waits_and_the_old_one_stays_in_force(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    elsewhere = {"git": {"url": "https://git.example/y.git"}}
    base = repository("base", source=elsewhere, status=status())
    engine.raw["spec"]["dependsOn"] = [{"name": "base"}]
    engine.others = [base]
    first = remote.commit({"a.yaml": make_config_map("a", x="1")})
    await engine.settle()
    assert engine.condition()["status"] == "True"

    engine.others = [
        repository("base", source=elsewhere, status=status("False"))
    ]
    second = remote.commit({"b.yaml": make_config_map("b")})
    cluster.objects["ConfigMap", "default", "a"]["data"] = {"x": "drift"}
    engine.wait()
    plan = await engine.settle()
    assert engine.condition()["reason"] == "DependencyNotReady"
    assert plan.requeue_after == 15
    assert engine.status["lastAttemptedRevision"] == f"main@sha1:{second}"
    assert engine.status["lastAppliedRevision"] == f"main@sha1:{first}"
    assert cluster.contents() == {"ConfigMap/default/a": {"data": {"x": "1"}}}

    engine.others = [base]
    engine.wait(15)
    await engine.settle()
    assert engine.status["lastAppliedRevision"] == f"main@sha1:{second}"
    assert ("ConfigMap", "default", "b") in cluster.objects
