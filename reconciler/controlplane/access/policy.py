"""All roles and bindings, compiled: who has which rules where. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.controlplane.access.identity import (
    ACCOUNT_PREFIX,
    MASTERS,
    User,
)
from reconciler.controlplane.access.rules import Request, Rule

Json = dict[str, Any]


@dataclass(frozen=True)
class Binding:
    """Rules for some subjects, in a namespace or everywhere."""

    source: str
    """The binding, for people."""

    subjects: Mapping[tuple[str, str], str]
    """By (kind, name), a ServiceAccount by its name as a user: for people."""

    rules: tuple[Rule, ...]
    role: str

    def concerns(self, user: User) -> str:
        """Which of the subjects the user is, for people; '' if none."""
        asked = [("User", user.name), *(("Group", g) for g in user.groups)]
        found = (self.subjects[one] for one in asked if one in self.subjects)
        return next(found, "")


@dataclass(frozen=True)
class Decision:
    """Whether a request is allowed, and by which binding."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True)
class Policy:
    """What everybody may do."""

    everywhere: tuple[Binding, ...] = ()
    namespaced: Mapping[str, tuple[Binding, ...]] = field(default_factory=dict)
    roles: Mapping[tuple[str, str, str], tuple[Rule, ...]] = field(
        default_factory=dict
    )
    """Rules by (kind, namespace, name)."""

    def decide(self, user: User, request: Request) -> Decision:
        """Whether a user may do something."""
        if MASTERS in user.groups:
            return Decision(allowed=True)
        for binding, subject in self._bindings(user, request.namespace):
            if any(rule.allows(request) for rule in binding.rules):
                reason = (
                    f"RBAC: allowed by {binding.source} of {binding.role} to "
                    f"{subject}"
                )
                return Decision(allowed=True, reason=reason)
        return Decision(allowed=False)

    def rules_of(self, user: User, namespace: str) -> list[Rule]:
        """All rules that a user has in a namespace; '' is the cluster.

        Those of bindings: the group system:masters has none of its own.
        """
        return [
            rule
            for binding, _ in self._bindings(user, namespace)
            for rule in binding.rules
        ]

    def _bindings(
        self, user: User, namespace: str
    ) -> Iterator[tuple[Binding, str]]:
        for bindings in (self.everywhere, self.namespaced.get(namespace, ())):
            for binding in bindings:
                if subject := binding.concerns(user):
                    yield binding, subject


def compile_policy(
    roles: Iterable[Json],
    cluster_roles: Iterable[Json],
    bindings: Iterable[Json],
    cluster_bindings: Iterable[Json],
) -> Policy:
    """A policy from the stored objects.

    A binding whose role does not exist allows nothing.
    """
    known = {
        (
            kind,
            role["metadata"].get("namespace", ""),
            role["metadata"]["name"],
        ): (tuple(Rule.of(rule) for rule in role.get("rules") or ()))
        for kind, some in (("Role", roles), ("ClusterRole", cluster_roles))
        for role in some
    }
    namespaced: dict[str, list[Binding]] = {}
    for binding in bindings:
        namespace = binding["metadata"]["namespace"]
        found = _binding(binding, namespace, known)
        namespaced.setdefault(namespace, []).append(found)
    return Policy(
        tuple(_binding(binding, "", known) for binding in cluster_bindings),
        {name: tuple(found) for name, found in namespaced.items()},
        known,
    )


def _binding(
    binding: Json,
    namespace: str,
    known: Mapping[tuple[str, str, str], tuple[Rule, ...]],
) -> Binding:
    reference = binding["roleRef"]
    kind, name = reference["kind"], reference["name"]
    place = namespace if kind == "Role" else ""
    shown = f"{binding['kind']} {_quoted(binding, namespace)}"
    return Binding(
        shown,
        dict(
            _subject(subject, namespace)
            for subject in binding.get("subjects") or ()
        ),
        known.get((kind, place, name), ()),
        f'{kind} "{name}"',
    )


def _quoted(binding: Json, namespace: str) -> str:
    name = binding["metadata"]["name"]
    return f'"{name}/{namespace}"' if namespace else f'"{name}"'


def _subject(subject: Json, namespace: str) -> tuple[tuple[str, str], str]:
    kind, name = subject["kind"], subject["name"]
    if kind != "ServiceAccount":
        return (kind, name), f'{kind} "{name}"'
    home = subject.get("namespace") or namespace
    key = "User", f"{ACCOUNT_PREFIX}{home}:{name}"
    return key, f'{kind} "{name}/{home}"'
