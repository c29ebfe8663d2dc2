"""How the server's answers become verdicts."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.engine.errors import (
    AccessDeniedError,
    ConflictError,
    InvalidError,
    UnavailableError,
)
from reconciler.gitops.build import Builder, Ownership
from reconciler.gitops.live import Inspector, refusal, stale
from reconciler.gitops.live import apply as apply_one
from reconciler.gitops.manifest import DesiredObject, ObjectId
from reconciler.gitops.observation import Verdict
from reconciler.gitops.resource import InventoryEntry

OWNER = Ownership("default", "fleet")
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n"
CRD = (
    "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
    "metadata: {name: ws.x.org}\n"
    "spec: {group: x.org, scope: Namespaced, names: {kind: W}, v: %d}\n"
)
WIDGET = "apiVersion: x.org/v1\nkind: W\nmetadata: {name: w}\n"


def objects(*texts: str) -> tuple[DesiredObject, ...]:
    return Builder("default", OWNER).build(
        {f"{i}.yaml": t.encode() for i, t in enumerate(texts)}
    )


async def verdicts(
    inspector: Inspector, cluster: Any, wanted: tuple[DesiredObject, ...]
) -> dict[str, Verdict]:
    states = await inspector.inspect(cluster, wanted)
    assert [s.desired for s in states] == list(wanted)
    return {s.desired.id.kind: s.verdict for s in states}


async def apply(cluster: Any, wanted: tuple[DesiredObject, ...]) -> None:
    for item in wanted:
        await cluster.apply(item.body)


async def test_missing_drifted_and_in_sync(
    cluster: Any, make_config_map: Any
) -> None:
    inspector = Inspector()
    wanted = objects(*(make_config_map(n, x="1") for n in "abcdef"))
    await apply(cluster, wanted[:5])
    cluster.objects["ConfigMap", "default", "b"]["data"]["x"] = "9"
    states = await inspector.inspect(cluster, wanted)
    names = {s.desired.id.name: s for s in states}
    assert names["a"].verdict is Verdict.IN_SYNC
    assert names["b"].verdict is Verdict.DRIFTED
    assert [c.path for c in names["b"].changes] == ["data.x"]
    assert (names["f"].verdict, names["f"].exists) == (Verdict.DRIFTED, False)


async def test_dry_run_is_repeated_only_for_what_changed(
    cluster: Any, make_config_map: Any
) -> None:
    inspector = Inspector()
    wanted = objects(*(make_config_map(n, x="1") for n in "abcdef"))
    for item in wanted:
        inspector.applied(item, await cluster.apply(item.body))
    await inspector.inspect(cluster, wanted)
    assert cluster.dry_runs == 0
    found = cluster.objects["ConfigMap", "default", "c"]
    found["metadata"]["annotations"] = {"mine": "1"}
    await inspector.inspect(cluster, wanted)
    assert cluster.dry_runs == 1
    found["metadata"]["uid"] = "another"
    await inspector.inspect(cluster, wanted)
    assert cluster.dry_runs == 2
    await inspector.inspect(cluster, wanted)
    assert cluster.dry_runs == 2


async def test_namespace_of_the_same_revision_defers(
    cluster: Any, make_config_map: Any
) -> None:
    text = make_config_map("a").replace(
        "name: a", "name: a\n  namespace: team"
    )
    wanted = objects(NAMESPACE, text)
    assert await verdicts(Inspector(), cluster, wanted) == {
        "Namespace": Verdict.DRIFTED,
        "ConfigMap": Verdict.DEFERRED,
    }
    assert await verdicts(Inspector(), cluster, wanted[1:]) == {
        "ConfigMap": Verdict.REJECTED
    }


async def test_definition_of_the_same_revision_defers(cluster: Any) -> None:
    wanted = objects(CRD % 1, WIDGET)
    both = {
        "CustomResourceDefinition": Verdict.DRIFTED,
        "W": Verdict.DEFERRED,
    }
    assert await verdicts(Inspector(), cluster, wanted) == both
    await apply(cluster, wanted[:1])
    cluster.kinds.discard("W")  # accepted but not served yet
    both["CustomResourceDefinition"] = Verdict.IN_SYNC
    assert await verdicts(Inspector(), cluster, wanted) == both


async def test_object_is_judged_by_the_definition_to_come(
    cluster: Any,
) -> None:
    await apply(cluster, objects(CRD % 1))
    cluster.refuse = lambda body, _: (
        "spec.v: old schema" if body["kind"] == "W" else None
    )
    changed = await verdicts(Inspector(), cluster, objects(CRD % 2, WIDGET))
    assert changed["W"] is Verdict.DEFERRED
    same = await verdicts(Inspector(), cluster, objects(CRD % 1, WIDGET))
    assert same["W"] is Verdict.REJECTED


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (InvalidError("Invalid", "spec.x"), Verdict.REJECTED),
        (AccessDeniedError("forbidden"), Verdict.REJECTED),
        (UnavailableError("429"), None),
        (ConflictError("409"), None),
    ],
)
async def test_refusals_are_verdicts_and_outages_are_raised(
    cluster: Any,
    make_config_map: Any,
    monkeypatch: Any,
    error: Exception,
    verdict: Verdict | None,
) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(cluster, "apply", refuse)
    wanted = objects(make_config_map("a"))
    if verdict is None:
        where = f"0.yaml:1: configmap/default/a: {error}"
        with pytest.raises(UnavailableError, match=where):
            await Inspector().inspect(cluster, wanted)
        return
    (state,) = await Inspector().inspect(cluster, wanted)
    assert state.verdict is verdict
    assert state.message == f"0.yaml:1: configmap/default/a: {error}"


async def test_a_comparison_that_is_cut_short_goes_on_where_it_was(
    cluster: Any, make_config_map: Any
) -> None:
    wanted = objects(*(make_config_map(f"m{n}") for n in range(40)))
    inspector = Inspector()
    for limit in (15, 30):

        def refuse(_: Any, __: bool, limit: int = limit) -> None:
            if cluster.dry_runs >= limit:
                msg = "no answer"
                raise UnavailableError(msg)

        cluster.refuse = refuse
        with pytest.raises(UnavailableError, match=r"yaml:1: .*no answer"):
            await inspector.inspect(cluster, wanted)
        assert cluster.dry_runs == limit
    cluster.refuse = lambda _, __: None
    found = await inspector.inspect(cluster, wanted)
    assert {s.verdict for s in found} == {Verdict.DRIFTED}
    assert cluster.dry_runs == len(wanted)
    await inspector.inspect(cluster, wanted)  # a whole one is not kept
    assert cluster.dry_runs == 2 * len(wanted)


async def test_stale_objects(cluster: Any, make_config_map: Any) -> None:
    wanted = objects(*(make_config_map(n) for n in "abcd"))
    await apply(cluster, wanted)
    live = cluster.objects
    live["ConfigMap", "default", "b"]["metadata"]["annotations"] = {
        "reconciler.dev/prune": "disabled"
    }
    live["ConfigMap", "default", "c"]["metadata"]["deletionTimestamp"] = "x"
    entries = [
        *(item.entry() for item in wanted),
        InventoryEntry(id="default_gone__ConfigMap", v="v1"),
        InventoryEntry(id="default_w_x.org_Unknown", v="v1"),
    ]
    keep = frozenset({ObjectId("default", "d", "", "ConfigMap")})
    found = await stale(cluster, entries, keep, OWNER)
    assert [(s.id.name, s.prunable) for s in found] == [
        ("a", True),
        ("b", False),
        ("c", False),
        ("gone", False),
        ("w", False),
    ]


SECRET = (
    "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
    "stringData: {key: hunter22}\n"
)


@pytest.mark.parametrize("error", [UnavailableError, ConflictError])
async def test_what_a_failing_server_repeats_of_a_secret_is_withheld(
    cluster: Any, make_config_map: Any, monkeypatch: Any, error: Any
) -> None:
    """An admission webhook that crashes may answer 500 with the object."""
    plain, secret = objects(SECRET, make_config_map("a"))

    async def fails(*_: Any, **__: Any) -> None:
        msg = "Internal error: cannot take hunter22"
        raise error(msg)

    monkeypatch.setattr(cluster, "apply", fails)
    with pytest.raises(error) as told:
        await apply_one(cluster, secret)
    withheld = f"{error.__name__} (withheld: values from a Secret)"
    assert str(told.value) == withheld
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__
    with pytest.raises(error, match="hunter22"):
        await apply_one(cluster, plain)
    with pytest.raises(UnavailableError) as told:
        await Inspector().inspect(cluster, (secret,))
    assert str(told.value) == f"0.yaml:1: secret/default/s: {withheld}"


def test_a_denial_shows_rights_and_no_values() -> None:
    (secret,) = objects(SECRET)
    rights = (
        'secrets "s" is forbidden: User "x" cannot patch resource "secrets" '
        'in API group "" in the namespace "default"'
    )
    assert rights in refusal(secret, AccessDeniedError(rights))
    denied = 'admission webhook "w" denied the request: hunter22 is weak'
    told = refusal(secret, AccessDeniedError(denied))
    assert told.endswith("denied (withheld: values from a Secret)")
