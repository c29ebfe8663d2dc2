"""Nobody gives away what they do not have. RBAC's escalation check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.controlplane.access.authorizer import RBAC, Authorizer
from reconciler.controlplane.access.identity import User
from reconciler.controlplane.access.policy import Policy
from reconciler.controlplane.access.rules import Request, Rule, uncovered
from reconciler.controlplane.errors import ApiError, forbidden
from reconciler.controlplane.kinds.model import ResourceKind

Json = dict[str, Any]

_PARTS = {
    "roles": ("rules",),
    "clusterroles": ("rules", "aggregationRule"),
    "rolebindings": ("roleRef", "subjects"),
    "clusterrolebindings": ("roleRef", "subjects"),
}
"""What gives rights away, by kind."""


def check(
    authorizer: Authorizer,
    user: User,
    kind: ResourceKind,
    new: Json,
    old: Json | None,
) -> None:
    """Refuse roles and bindings that give more than the user has.

    A change that leaves the rules, or the role and the subjects, alone is
    none: labels may be changed by anybody who may update.

    Raises:
        ApiError: 403; 404, the role of a binding does not exist.
    """
    parts = _PARTS.get(kind.plural)
    if kind.group != RBAC or kind.custom or parts is None:
        return
    if old is not None and all(new.get(p) == old.get(p) for p in parts):
        return
    policy, namespace = authorizer.policy, new["metadata"].get("namespace", "")
    if policy.decide(user, _verb(kind, new, namespace)).allowed:
        return
    given = (
        _rules_of_binding(policy, new, namespace)
        if "roleRef" in new
        else _rules_of_role(new)
    )
    missing = uncovered(policy.rules_of(user, namespace), given)
    if missing:
        raise _escalation(user, kind, new["metadata"]["name"], missing)


def _verb(kind: ResourceKind, new: Json, namespace: str) -> Request:
    """What allows it without the rules being compared."""
    if "roleRef" in new:
        reference = new["roleRef"]
        plural, name = f"{reference['kind'].lower()}s", reference["name"]
        return Request("bind", RBAC, plural, "", namespace, name)
    name = new["metadata"]["name"]
    return Request("escalate", RBAC, kind.plural, "", namespace, name)


def _rules_of_role(role: Json) -> list[Rule]:
    rules = [Rule.of(rule) for rule in role.get("rules") or ()]
    if role.get("aggregationRule"):
        # Whatever is labelled later becomes part of it.
        everything = frozenset("*")
        rules.append(Rule(everything, everything, everything))
    return rules


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
    lines = "\n".join(_compact(rule) for rule in missing)
    groups = " ".join(f'"{group}"' for group in user.groups)
    why = (
        f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC '
        f"permissions not currently held:\n{lines}"
    )
    return forbidden(kind, name, why)


_SHOWN = (
    ("paths", "NonResourceURLs"),
    ("groups", "APIGroups"),
    ("resources", "Resources"),
    ("names", "ResourceNames"),
    ("verbs", "Verbs"),
)


def _compact(rule: Rule) -> str:
    parts = []
    for name, shown in _SHOWN:
        values = getattr(rule, name)
        if values:
            texts = " ".join(f'"{value}"' for value in sorted(values))
            parts.append(f"{shown}:[{texts}]")
    return "{" + ", ".join(parts) + "}"
