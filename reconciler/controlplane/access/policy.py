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
from reconciler.controlplane.objects import labels

Json = dict[str, Any]


@dataclass(frozen=True)
class Binding:
    """Rules for some subjects, in a namespace or everywhere."""

    source: str
    """The binding, for people."""

    subjects: frozenset[tuple[str, str]]
    """(kind, name); a ServiceAccount by its name as a user."""

    rules: tuple[Rule, ...]
    role: str

    def concerns(self, user: User) -> bool:
        """Whether the user is one of the subjects."""
        if ("User", user.name) in self.subjects:
            return True
        return any(("Group", group) in self.subjects for group in user.groups)


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
            return Decision(allowed=True, reason=f"{MASTERS} may everything")
        for binding in self._bindings(user, request.namespace):
            if any(rule.allows(request) for rule in binding.rules):
                reason = (
                    f"RBAC: allowed by {binding.source} of {binding.role} to "
                    f'"{user.name}"'
                )
                return Decision(allowed=True, reason=reason)
        return Decision(allowed=False)

    def rules_of(self, user: User, namespace: str) -> list[Rule]:
        """All rules that a user has in a namespace; '' is the cluster."""
        if MASTERS in user.groups:
            everything = frozenset("*")
            return [
                Rule(everything, everything, everything),
                Rule(everything, paths=everything),
            ]
        return [
            rule
            for binding in self._bindings(user, namespace)
            for rule in binding.rules
        ]

    def _bindings(self, user: User, namespace: str) -> Iterator[Binding]:
        for binding in self.everywhere:
            if binding.concerns(user):
                yield binding
        for binding in self.namespaced.get(namespace, ()):
            if binding.concerns(user):
                yield binding


def compile_policy(
    roles: Iterable[Json],
    cluster_roles: Iterable[Json],
    bindings: Iterable[Json],
    cluster_bindings: Iterable[Json],
) -> Policy:
    """A policy from the stored objects.

    A binding whose role does not exist allows nothing. The rules of an
    aggregated ClusterRole are those of the roles that its selectors match.
    """
    known = {
        ("Role", role["metadata"]["namespace"], role["metadata"]["name"]): (
            _rules(role)
        )
        for role in roles
    }
    all_cluster_roles = list(cluster_roles)
    for role in all_cluster_roles:
        name = role["metadata"]["name"]
        known["ClusterRole", "", name] = tuple(
            aggregated(role, all_cluster_roles)
        )
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


def _rules(role: Json) -> tuple[Rule, ...]:
    return tuple(Rule.of(rule) for rule in role.get("rules") or ())


def aggregated(role: Json, cluster_roles: list[Json]) -> Iterator[Rule]:
    """The rules of a ClusterRole, those it is made of included."""
    rule = role.get("aggregationRule") or {}
    selectors = rule.get("clusterRoleSelectors") or ()
    if not selectors:
        yield from _rules(role)
        return
    for other in cluster_roles:
        marks = other["metadata"].get("labels") or {}
        if other is not role and any(
            labels.matches_label_selector(selector, marks)
            for selector in selectors
        ):
            yield from _rules(other)


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
        frozenset(
            _subject(subject, namespace)
            for subject in binding.get("subjects") or ()
        ),
        known.get((kind, place, name), ()),
        f'{kind} "{name}"',
    )


def _quoted(binding: Json, namespace: str) -> str:
    name = binding["metadata"]["name"]
    return f'"{name}/{namespace}"' if namespace else f'"{name}"'


def _subject(subject: Json, namespace: str) -> tuple[str, str]:
    if subject["kind"] != "ServiceAccount":
        return subject["kind"], subject["name"]
    home = subject.get("namespace") or namespace
    return "User", f"{ACCOUNT_PREFIX}{home}:{subject['name']}"
