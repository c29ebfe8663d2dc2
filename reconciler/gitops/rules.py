"""How objects are applied: fields left to others, objects made anew. Pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.engine.resource import GROUP
from reconciler.gitops.guard import holding
from reconciler.gitops.manifest import DesiredObject
from reconciler.gitops.resource import ConfigRepositorySpec, IgnoreRule, Target

FORCE = f"{GROUP}/force"
_IMMUTABLE = re.compile(r"immutable|may not change once set", re.IGNORECASE)
_REQUIREMENT = re.compile(
    r"^\s*(!?)\s*([A-Za-z0-9./_-]+)\s*(?:(==|=|!=)\s*([A-Za-z0-9._-]*))?\s*$"
)
_ABSENT = object()


@dataclass(frozen=True)
class ApplyRules:
    """The part of a spec that says how single objects are applied."""

    ignore: tuple[IgnoreRule, ...] = ()
    force: bool = False

    @classmethod
    def of(cls, spec: ConfigRepositorySpec) -> ApplyRules:
        """The rules of a repository."""
        return cls(spec.ignore, spec.force)

    def adjusted(
        self, item: DesiredObject, live: Mapping[str, Any] | None
    ) -> DesiredObject:
        """The object with ignored fields as the server has them.

        An object that does not exist is created as it is written.
        """
        if live is None:
            return item
        pointers = [
            pointer
            for rule in self.ignore
            if rule.target is None or matches(rule.target, item)
            for pointer in rule.paths
        ]
        if not pointers:
            return item
        body = copy.deepcopy(item.body)
        for pointer in pointers:
            _take_over(body, live, _parts(pointer))
        return replace(item, body=body)

    def recreates(
        self, item: DesiredObject, live: Mapping[str, Any], error: Exception
    ) -> bool:
        """Whether a refusal is overcome by deleting the object first.

        Never for what holds data or money.
        """
        given = item.body["metadata"].get("annotations") or {}
        wanted = self.force or given.get(FORCE) in ("enabled", "true")
        if not wanted or not _IMMUTABLE.search(str(error)):
            return False
        return not holding(item.id, live)


def matches(target: Target, item: DesiredObject) -> bool:
    """Whether an object is meant; an empty field means any."""
    where = item.id
    pairs = (
        (target.group, where.group),
        (target.version, item.version),
        (target.kind, where.kind),
        (target.namespace, where.namespace),
        (target.name, where.name),
    )
    if not all(_fits(pattern, value) for pattern, value in pairs):
        return False
    meta = item.body.get("metadata") or {}
    return _selects(
        target.label_selector, meta.get("labels") or {}
    ) and _selects(target.annotation_selector, meta.get("annotations") or {})


def _fits(pattern: str | None, value: str) -> bool:
    if not pattern:
        return True
    try:
        return bool(re.fullmatch(pattern, value))
    except re.error:
        return pattern == value


def _selects(selector: str | None, values: Mapping[str, str]) -> bool:
    """Equality-based selection: ``a=b,c!=d,e,!f``."""
    for part in (selector or "").split(","):
        if not part.strip():
            continue
        found = _REQUIREMENT.match(part)
        if found is None:
            return False
        absent, key, operator, value = found.groups()
        met = values.get(key) == value if operator else key in values
        if met == (bool(absent) or operator == "!="):
            return False
    return True


def _parts(pointer: str) -> list[str]:
    """The reference tokens of an RFC 6901 pointer."""
    return [
        part.replace("~1", "/").replace("~0", "~")
        for part in pointer.split("/")[1:]
    ]


def _take_over(body: Any, live: Any, parts: list[str]) -> None:
    """Have `body` say at a place what `live` says there."""
    for part in parts[:-1]:
        live = _step(live, part)
        if _step(body, part) is _ABSENT:
            return
        body = _step(body, part)
    last, value = parts[-1], _step(live, parts[-1])
    if _step(body, last) is _ABSENT:
        return
    if isinstance(body, dict):
        body.pop(last)
        if value is not _ABSENT:
            body[last] = value
    elif value is not _ABSENT:
        body[int(last)] = value


def _step(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part, _ABSENT)
    if isinstance(value, list) and part.isdigit() and int(part) < len(value):
        return value[int(part)]
    return _ABSENT
