"""Nobody gives away what they do not have. RBAC's escalation check."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.controlplane.access.authorizer import RBAC, Authorizer
from reconciler.controlplane.access.identity import User
from reconciler.controlplane.access.rules import Request, Rule, uncovered
from reconciler.controlplane.errors import ApiError, forbidden
from reconciler.controlplane.kinds.model import ResourceKind

Json = dict[str, Any]

_ROLES = ("roles", "clusterroles")
_BINDINGS = ("rolebindings", "clusterrolebindings")


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
        ApiError: 403.
    """
    if kind.group != RBAC or kind.custom:
        return
    if kind.plural in _ROLES:
        _check_role(authorizer, user, kind, new, old)
    elif kind.plural in _BINDINGS:
        _check_binding(authorizer, user, kind, new, old)


def _check_role(
    authorizer: Authorizer,
    user: User,
    kind: ResourceKind,
    new: Json,
    old: Json | None,
) -> None:
    parts = ("rules", "aggregationRule")
    if old is not None and all(new.get(p) == old.get(p) for p in parts):
        return
    policy, metadata = authorizer.policy, new["metadata"]
    namespace = metadata.get("namespace", "")
    verb = Request(
        "escalate", RBAC, kind.plural, "", namespace, metadata["name"]
    )
    if policy.decide(user, verb).allowed:
        return
    wanted = [Rule.of(rule) for rule in new.get("rules") or ()]
    if new.get("aggregationRule"):
        everything = frozenset("*")
        wanted.append(Rule(everything, everything, everything))
    missing = uncovered(policy.rules_of(user, namespace), wanted)
    if missing:
        raise _escalation(user, kind, metadata["name"], missing)


def _check_binding(
    authorizer: Authorizer,
    user: User,
    kind: ResourceKind,
    new: Json,
    old: Json | None,
) -> None:
    parts = ("roleRef", "subjects")
    if old is not None and all(new.get(p) == old.get(p) for p in parts):
        return
    policy, metadata = authorizer.policy, new["metadata"]
    namespace, reference = metadata.get("namespace", ""), new["roleRef"]
    plural = f"{reference['kind'].lower()}s"
    place = namespace if plural == "roles" else ""
    verb = Request("bind", RBAC, plural, "", namespace, reference["name"])
    if policy.decide(user, verb).allowed:
        return
    rules = policy.roles.get((reference["kind"], place, reference["name"]))
    if rules is None:
        name = f'{plural}.{RBAC} "{reference["name"]}"'
        raise ApiError(404, "NotFound", f"{name} not found", {})
    missing = uncovered(policy.rules_of(user, namespace), rules)
    if missing:
        raise _escalation(user, kind, metadata["name"], missing)


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
