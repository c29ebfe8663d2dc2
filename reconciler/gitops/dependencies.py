"""dependsOn: repositories that have to be ready before a new revision. Pure.

While one is not, the newest revision waits and what is in force stays in
force. A circle never ends by itself: it is reported to a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.engine.conditions import READY, find, is_true
from reconciler.engine.controller import Objects
from reconciler.engine.resource import ObjectKey
from reconciler.gitops.expression import (
    INVALID,
    InvalidExpressionError,
    UndecidedError,
    holds,
)
from reconciler.gitops.observation import Problem
from reconciler.gitops.resource import ConfigRepository, Dependency
from reconciler.gitops.source import Look
from reconciler.gitops.tree import commit_of

NOT_READY = "DependencyNotReady"
CYCLE = "DependencyCycle"

Repositories = Mapping[ObjectKey, ConfigRepository]


def dependents(changed: ConfigRepository, objects: Objects) -> list[ObjectKey]:
    """Repositories to look at when another changes: for a `Watch`."""
    key = changed.key
    return [
        repository.key
        for repository in objects.list(ConfigRepository)
        if key in _wanted(repository)
    ]


def held_back(objects: Objects, desired: ConfigRepository, look: Look) -> Look:
    """The look, without its tree if that has to wait for a dependency."""
    if look.tree is None or not desired.spec.depends_on:
        return look
    known = {r.key: r for r in objects.list(ConfigRepository)}
    problem = unready(desired, known, look.tree.revision)
    if problem is None:
        return look
    return replace(look, tree=None, problem=problem)


def unready(
    desired: ConfigRepository, known: Repositories, revision: str
) -> Problem | None:
    """The first reason to wait, if any.

    Args:
        desired: the repository that depends on others.
        known: all repositories.
        revision: what it would apply.
    """
    circle = cycle(desired, known)
    if circle:
        names = " -> ".join(f"{k.namespace}/{k.name}" for k in circle)
        text = f"dependsOn goes round in a circle: {names}"
        return Problem(CYCLE, text, terminal=True)
    for dependency in desired.spec.depends_on:
        key = _key(desired, dependency)
        name = f"{key.namespace}/{key.name}"
        other = known.get(key)
        if other is None:
            text = f"dependency {name} does not exist"
            return Problem(NOT_READY, text)
        try:
            why = _waits(desired, dependency, other, revision)
        except InvalidExpressionError as error:
            text = f"spec.dependsOn of {name}: readyExpr: {error}"
            return Problem(INVALID, text, terminal=True)
        if why:
            return Problem(NOT_READY, f"dependency {name} {why}")
    return None


def cycle(
    desired: ConfigRepository, known: Repositories
) -> tuple[ObjectKey, ...]:
    """The shortest circle through a repository; empty if there is none."""
    start = desired.key
    paths: list[tuple[ObjectKey, ...]] = [(start,)]
    seen: set[ObjectKey] = set()
    for path in paths:
        here = desired if path[-1] == start else known.get(path[-1])
        for following in _wanted(here) if here else ():
            if following == start:
                return (*path, start)
            if following not in seen:
                seen.add(following)
                paths.append((*path, following))
    return ()


def _waits(
    desired: ConfigRepository,
    dependency: Dependency,
    other: ConfigRepository,
    revision: str,
) -> str:
    """Why a dependency is not ready; empty if it is."""
    if dependency.ready_expr is not None:
        return _by_expression(desired, dependency.ready_expr, other)
    status, generation = other.status, other.metadata.generation
    if not is_true(status.conditions, READY, generation):
        ready = find(status.conditions, READY)
        return f"is not ready: {ready.reason if ready else 'not seen yet'}"
    applied = status.last_applied_revision or ""
    commit = commit_of(revision)
    if _same_source(desired, other) and commit != commit_of(applied):
        return f"has not applied {revision}"
    return ""


def _by_expression(
    desired: ConfigRepository, text: str, other: ConfigRepository
) -> str:
    values = {"dep": _json(other), "self": _json(desired)}
    try:
        ready = holds(text, values)
    except UndecidedError as error:
        return f"is not ready: {error}"
    return "" if ready else f"is not ready: {text}"


def _same_source(one: ConfigRepository, other: ConfigRepository) -> bool:
    """Whether both follow the same reference of the same Git repository."""
    first, second = one.spec.git, other.spec.git
    if first is None or second is None:
        return False
    return (first.url, first.ref) == (second.url, second.ref)


def _key(desired: ConfigRepository, dependency: Dependency) -> ObjectKey:
    namespace = dependency.namespace or desired.metadata.namespace
    return replace(desired.key, namespace=namespace, name=dependency.name)


def _wanted(repository: ConfigRepository) -> Iterable[ObjectKey]:
    return [_key(repository, d) for d in repository.spec.depends_on]


def _json(repository: ConfigRepository) -> dict[str, Any]:
    return repository.model_dump(mode="json", by_alias=True, exclude_none=True)
