"""Fields of applied objects that are left to others. Pure.

A field that another manager owns is left out of what is applied. One that
only we own would be removed by that, so it is applied as the server has it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.engine.resource import OBJECT_MANAGER
from reconciler.gitops.manifest import DesiredObject
from reconciler.gitops.resource import ConfigRepositorySpec
from reconciler.gitops.selection import Selection, SelectionError

_ABSENT = object()

Pointer = tuple[str, ...]


@dataclass(frozen=True)
class _Rule:
    pointers: tuple[Pointer, ...]
    target: Selection | None

    def meant(self, item: DesiredObject) -> bool:
        return self.target is None or self.target.matches(item)


@dataclass(frozen=True)
class IgnoreRules:
    """The ``ignore`` of a spec."""

    rules: tuple[_Rule, ...] = ()

    @classmethod
    def of(cls, spec: ConfigRepositorySpec) -> IgnoreRules:
        """Compile the rules.

        Raises:
            SelectionError: names the rule and the field that is wrong.
        """
        rules = []
        for index, rule in enumerate(spec.ignore):
            try:
                target = Selection.of(rule.target) if rule.target else None
            except SelectionError as error:
                msg = f"spec.ignore[{index}].{error}"
                raise SelectionError(msg) from error
            pointers = tuple(_tokens(path) for path in rule.paths)
            rules.append(_Rule(pointers, target))
        return cls(tuple(rules))

    def adjusted(
        self, item: DesiredObject, live: Mapping[str, Any] | None
    ) -> DesiredObject:
        """The object as it is to be applied over the live one.

        One that does not exist is created as it is written.
        """
        if live is None or not self.rules:
            return item
        pointers = [
            pointer
            for rule in self.rules
            if rule.meant(item)
            for pointer in rule.pointers
        ]
        if not pointers:
            return item
        body = copy.deepcopy(item.body)
        for pointer in pointers:
            _leave(body, live, pointer)
        return replace(item, body=body)


def _tokens(pointer: str) -> Pointer:
    """The reference tokens of an RFC 6901 pointer."""
    return tuple(
        part.replace("~1", "/").replace("~0", "~")
        for part in pointer.split("/")[1:]
    )


def _leave(body: Any, live: Mapping[str, Any], pointer: Pointer) -> None:
    """Have `body` change nothing at a place of `live`."""
    *path, last = pointer
    here: Any = body
    there: Any = live
    for part in path:
        here, there = _step(here, part), _step(there, part)
    if _step(here, last) is _ABSENT:
        return
    value = _step(there, last)
    if isinstance(here, list):
        if value is not _ABSENT:
            here[int(last)] = copy.deepcopy(value)
    elif value is _ABSENT or _owned_by_others(live, pointer):
        del here[last]
    else:
        here[last] = copy.deepcopy(value)


def _owned_by_others(live: Mapping[str, Any], pointer: Pointer) -> bool:
    """Whether a field stays if we no longer apply it."""
    managers = (live.get("metadata") or {}).get("managedFields") or []
    return any(
        _owns(entry.get("fieldsV1") or {}, pointer)
        for entry in managers
        if entry.get("manager") != OBJECT_MANAGER
    )


def _owns(fields: Any, pointer: Pointer) -> bool:
    for part in pointer:
        fields = fields.get(f"f:{part}") if isinstance(fields, dict) else None
    # A leaf has no fields below it: who owns only a part of an object would
    # not keep the rest of it.
    return fields is not None and not any(
        key.startswith(("f:", "k:", "v:", "i:")) for key in fields
    )


def _step(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part, _ABSENT)
    if isinstance(value, list) and part.isascii() and part.isdigit():
        index = int(part)
        return value[index] if index < len(value) else _ABSENT
    return _ABSENT
