"""Nobody gives away what they do not have. RBAC's escalation check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.controlplane.access.authorizer import RBAC, Authorizer
from reconciler.controlplane.access.identity import User
from reconciler.controlplane.access.policy import Policy
from reconciler.controlplane.access.rules import (
    EVERYTHING,
    Request,
    Rule,
    compact,
    uncovered,
)
from reconciler.controlplane.errors import ApiError, forbidden
from reconciler.controlplane.kinds.model import ResourceKind

Json = dict[str, Any]

_KINDS = ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
_COLLECTORS = (
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
)
"""Metadata that garbage collection changes, or every write."""


def check(
    authorizer: Authorizer,
    user: User,
    kind: ResourceKind,
    new: Json,
    old: Json | None,
    name: str,
) -> None:
    """Refuse roles and bindings that give more than the user has.

    Labels count: they can make a ClusterRole part of an aggregated one. Only
    what garbage collection needs may be changed by anybody who may update.

    Args:
        authorizer: Who may do what.
        user: Who writes.
        kind: Of the object; nothing is checked if it gives no rights.
        new: What is to be stored.
        old: What is stored.
        name: The name in the URL; '' for a create.

    Raises:
        ApiError: 403; 404, the role of a binding does not exist.
    """
    if kind.group != RBAC or kind.custom or kind.plural not in _KINDS:
        return
    if old is not None and _essence(old) == _essence(new):
        return
    policy, namespace = authorizer.policy, new["metadata"].get("namespace", "")
    if policy.decide(user, _verb(kind, new, namespace, name)).allowed:
        return
    mine = policy.rules_of(user, namespace)
    given = (
        _rules_of_binding(policy, new, namespace)
        if "roleRef" in new
        else [Rule.of(rule) for rule in new.get("rules") or ()]
    )
    if missing := uncovered(mine, given):
        raise _escalation(user, kind, new["metadata"]["name"], missing)
    if new.get("aggregationRule") and uncovered(mine, EVERYTHING):
        # Whatever is labelled later becomes part of it.
        why = "must have cluster-admin privileges to use the aggregationRule"
        raise forbidden(kind, new["metadata"]["name"], why)


def _essence(obj: Json) -> Json:
    metadata = obj["metadata"].items()
    kept = {name: part for name, part in metadata if name not in _COLLECTORS}
    return obj | {"metadata": kept}


def _verb(kind: ResourceKind, new: Json, namespace: str, name: str) -> Request:
    """What allows it without the rules being compared."""
    if "roleRef" in new:
        reference = new["roleRef"]
        plural = f"{reference['kind'].lower()}s"
        return Request("bind", RBAC, plural, "", namespace, reference["name"])
    # Rules for single names say nothing of roles that are yet to be made.
    return Request("escalate", RBAC, kind.plural, "", namespace, name)


def _rules_of_binding(
    policy: Policy, binding: Json, namespace: str
) -> Sequence[Rule]:
    kind, name = binding["roleRef"]["kind"], binding["roleRef"]["name"]
    place = namespace if kind == "Role" else ""
    rules = policy.roles.get((kind, place, name))
    if rules is None:
        text = f'{kind.lower()}s.{RBAC} "{name}" not found'
        raise ApiError(404, "NotFound", text, {})
    return rules


def _escalation(
    user: User, kind: ResourceKind, name: str, missing: Iterable[Rule]
) -> ApiError:
    lines = "\n".join(sorted(map(_shown, compact(missing))))
    groups = " ".join(f'"{group}"' for group in user.groups)
    why = (
        f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC '
        f"permissions not currently held:\n{lines}"
    )
    return forbidden(kind, name, why)


_PARTS = (
    ("groups", "APIGroups"),
    ("resources", "Resources"),
    ("paths", "NonResourceURLs"),
    ("names", "ResourceNames"),
    ("verbs", "Verbs"),
)


def _shown(rule: Rule) -> str:
    parts = []
    for name, shown in _PARTS:
        values = getattr(rule, name)
        if values:
            texts = " ".join(f'"{value}"' for value in sorted(values))
            parts.append(f"{shown}:[{texts}]")
    return "{" + ", ".join(parts) + "}"
