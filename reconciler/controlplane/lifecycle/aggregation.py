"""The rules of ClusterRoles that are made of others.

As on a cluster, they are written into the object, whose own rules they
replace: who reads it sees what it allows. Applied by a manager of that name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.controlplane.access.authorizer import RBAC
from reconciler.controlplane.objects import form
from reconciler.controlplane.objects.labels import matches_label_selector
from reconciler.controlplane.objects.metadata import now_text
from reconciler.controlplane.patch import server_side_apply
from reconciler.controlplane.storage.record import Key
from reconciler.controlplane.verbs.call import Cluster

Json = dict[str, Any]

ROLES = f"{RBAC}/clusterroles"
MANAGER = "clusterrole-aggregation-controller"


def aggregates(cluster: Cluster) -> list[Key]:
    """The ClusterRoles that are made of others."""
    return [
        stored.key
        for stored in cluster.store.read.page(ROLES, None).items
        if b'"aggregationRule"' in stored.data
    ]


async def combine(cluster: Cluster, key: Key) -> None:
    """Write the rules of an aggregated ClusterRole, if they are others.

    Nothing is written if it is gone, or is not made of others.
    """
    store, kind = cluster.store, cluster.registry.stored(ROLES)
    live = store.current(key)
    if live is None or kind is None:
        return
    role = form.read(kind, live)
    if not _selectors(role):
        return
    all_roles = (
        stored.object() for stored in store.read.page(ROLES, None).items
    )
    rules = combined(
        role, {other["metadata"]["name"]: other for other in all_roles}
    )
    if rules == (role.get("rules") or []):
        return
    config = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": key.name},
        "rules": rules,
    }
    merged, _ = server_side_apply(
        role,
        config,
        MANAGER,
        force=True,
        schema=kind.compiled,
        now=now_text(),
        subresource="",
        api_version=kind.api_version,
    )
    await store.put(key, form.to_storage(kind, merged), live)[1]


def combined(role: Json, roles: Mapping[str, Json]) -> list[Json]:
    """The rules of the parts of a role and of their parts, each once. Pure.

    Args:
        role: The aggregated role.
        roles: All ClusterRoles by name, in the order of their names.
    """
    rules: list[Json] = []
    for part in _parts(role, roles, {role["metadata"]["name"]}):
        found = part.get("rules") or ()
        rules += [rule for rule in found if rule not in rules]
    return rules


def _parts(
    role: Json, roles: Mapping[str, Json], seen: set[str]
) -> Iterator[Json]:
    """The roles with rules of their own; those that go in circles once."""
    for selector in _selectors(role):
        for name, other in roles.items():
            labels = other["metadata"].get("labels") or {}
            if name in seen or not matches_label_selector(selector, labels):
                continue
            seen.add(name)
            if _selectors(other):
                yield from _parts(other, roles, seen)
            else:
                yield other


def _selectors(role: Json) -> list[Json]:
    found: list[Json] | None = (role.get("aggregationRule") or {}).get(
        "clusterRoleSelectors"
    )
    return found or []
