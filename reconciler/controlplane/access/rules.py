"""RBAC rules: what one allows, and what one covers. Pure.

Semantics of rbac.authorization.k8s.io/v1 PolicyRule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

Json = dict[str, Any]
ALL = "*"


@dataclass(frozen=True)
class Request:
    """What somebody wants to do.

    Attributes:
        verb: get, list, watch, create, update, patch, delete,
            deletecollection, or a special verb (bind, escalate,
            impersonate); for paths the HTTP method in lower case.
        path: A path that is no resource; the others are empty then.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def combined(self) -> str:
        """Resource and subresource, as rules write them."""
        if not self.subresource:
            return self.resource
        return f"{self.resource}/{self.subresource}"


@dataclass(frozen=True)
class Rule:
    """One PolicyRule."""

    verbs: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    """Empty means any name, none included."""

    paths: frozenset[str] = frozenset()

    @staticmethod
    def of(rule: Json) -> Rule:
        """A rule as it is stored."""

        def part(name: str) -> frozenset[str]:
            return frozenset(rule.get(name) or ())

        return Rule(
            part("verbs"),
            part("apiGroups"),
            part("resources"),
            part("resourceNames"),
            part("nonResourceURLs"),
        )

    def allows(self, request: Request) -> bool:
        """Whether this rule alone allows a request."""
        if not self.verbs & {request.verb, ALL}:
            return False
        if request.path:
            return any(_matches_path(p, request.path) for p in self.paths)
        return (
            bool(self.groups & {request.group, ALL})
            and self._has_resource(request)
            and (not self.names or request.name in self.names)
        )

    def _has_resource(self, request: Request) -> bool:
        wanted = {ALL, request.combined}
        if request.subresource:
            wanted.add(f"{ALL}/{request.subresource}")
        return bool(self.resources & wanted)

    def stored(self) -> Json:
        """The rule as reviews show it; empty parts left out."""
        parts = {
            "verbs": self.verbs,
            "apiGroups": self.groups,
            "resources": self.resources,
            "resourceNames": self.names,
            "nonResourceURLs": self.paths,
        }
        return {name: sorted(part) for name, part in parts.items() if part}

    def atoms(self) -> Iterator[Rule]:
        """The rule as rules of one verb, one resource, one name each."""
        for verb in sorted(self.verbs):
            one = frozenset((verb,))
            for path in sorted(self.paths):
                yield Rule(one, paths=frozenset((path,)))
            for group in sorted(self.groups):
                for resource in sorted(self.resources):
                    for name in sorted(self.names) or [""]:
                        yield Rule(
                            one,
                            frozenset((group,)),
                            frozenset((resource,)),
                            frozenset((name,)) if name else frozenset(),
                        )

    def covers(self, atom: Rule) -> bool:
        """Whether whoever has this rule has an atom of another, too."""
        if not _has(self.verbs, atom.verbs):
            return False
        if atom.paths:
            (path,) = atom.paths
            return any(_covers_path(p, path) for p in self.paths)
        return (
            _has(self.groups, atom.groups)
            and self._covers_resource(atom)
            and (not self.names or bool(atom.names & self.names))
        )

    def _covers_resource(self, atom: Rule) -> bool:
        (resource,) = atom.resources
        _, slash, subresource = resource.partition("/")
        wanted = {ALL, resource}
        if slash:
            wanted.add(f"{ALL}/{subresource}")
        return bool(self.resources & wanted)


def _has(mine: frozenset[str], wanted: frozenset[str]) -> bool:
    return ALL in mine or wanted <= mine


def _matches_path(pattern: str, path: str) -> bool:
    if pattern == ALL:
        return True
    if pattern.endswith(ALL):
        return path.startswith(pattern[:-1])
    return pattern == path


def _covers_path(pattern: str, other: str) -> bool:
    if pattern == other:
        return True
    return pattern.endswith(ALL) and other.rstrip(ALL).startswith(pattern[:-1])


EVERYTHING = (
    Rule(
        *(frozenset((ALL,)) for _ in ("verbs", "groups", "resources")),
    ),
    Rule(frozenset((ALL,)), paths=frozenset((ALL,))),
)
"""What an administrator of the cluster has."""


def uncovered(mine: Iterable[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """The atoms of the wanted rules that none of mine covers."""
    have = list(mine)
    return [
        atom
        for rule in wanted
        for atom in rule.atoms()
        if not any(rule.covers(atom) for rule in have)
    ]


def compact(atoms: Iterable[Rule]) -> list[Rule]:
    """Atoms, with the verbs on the same resources put together."""
    found: dict[Rule, frozenset[str]] = {}
    for atom in atoms:
        about = replace(atom, verbs=frozenset())
        verbs = frozenset() if atom.paths else found.get(about, frozenset())
        # Verbs on paths are told one by one, as a kube-apiserver does.
        found[atom if atom.paths else about] = verbs | atom.verbs
    return [replace(about, verbs=verbs) for about, verbs in found.items()]
