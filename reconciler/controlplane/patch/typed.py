"""Walks over values with a shape: field sets, comparison, merge, removal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from reconciler.controlplane.patch.fields import FieldSet, Path
from reconciler.controlplane.patch.shapes import Shape, is_granular, parts
from reconciler.controlplane.schema.values import same


def field_set(value: Any, shape: Shape, *, applied: bool = False) -> FieldSet:
    """Return the paths of a value's parts.

    Args:
        value: the value.
        shape: how it merges.
        applied: it is a configuration, and the paths are what its manager
            owns: an empty list that merges by item names no item.
    """
    found: set[Path] = set()
    _own(value, shape, (), found)
    if applied:
        found -= set(_empty_lists(value, shape, ()))
    return frozenset(found)


def _empty_lists(value: Any, shape: Shape, path: Path) -> Iterator[Path]:
    if value == [] and shape.granular_list(value):
        yield path
    for element, item, below in parts(value, shape):
        yield from _empty_lists(item, below, (*path, element))


def _own(value: Any, shape: Shape, path: Path, found: set[Path]) -> None:
    if not is_granular(value, shape):
        if path:
            found.add(path)
        return
    for element, item, below in parts(value, shape):
        here = (*path, element)
        if not (element[0] == "f" and shape.named(element[2:])):
            # A key of a map or of a list exists by being applied; a declared
            # field that holds a map exists through its content.
            found.add(here)
        _own(item, below, here, found)


@dataclass(slots=True)
class Comparison:
    """What differs between two values."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)

    def changed(self) -> FieldSet:
        """Return paths whose value is new or different."""
        return frozenset(self.added | self.modified)


def compare(old: Any, new: Any, shape: Shape) -> Comparison:
    """Compare two values part by part."""
    result = Comparison()
    _compare(old, new, shape, (), result)
    return result


def _compare(
    old: Any, new: Any, shape: Shape, path: Path, out: Comparison
) -> None:
    if not (is_granular(old, shape) and is_granular(new, shape)):
        _compare_ends(old, new, shape, path, out)
        return
    before = {e: (v, s) for e, v, s in parts(old, shape)}
    after = {e: (v, s) for e, v, s in parts(new, shape)}
    for element, (value, below) in before.items():
        if element not in after:
            _all_paths(value, below, (*path, element), out.removed)
    for element, (value, below) in after.items():
        here = (*path, element)
        if element in before:
            _compare(before[element][0], value, below, here, out)
        else:
            _all_paths(value, below, here, out.added)


def _compare_ends(
    old: Any, new: Any, shape: Shape, path: Path, out: Comparison
) -> None:
    """Compare where at least one side does not merge part by part."""
    if same(old, new):
        return
    old_parts = list(parts(old, shape)) if is_granular(old, shape) else []
    new_parts = list(parts(new, shape)) if is_granular(new, shape) else []
    whole = not (old_parts or new_parts) or type(old) is not type(new)
    if whole and path:
        out.modified.add(path)
    for element, value, below in old_parts:
        _all_paths(value, below, (*path, element), out.removed)
    for element, value, below in new_parts:
        _all_paths(value, below, (*path, element), out.added)


def _all_paths(value: Any, shape: Shape, path: Path, out: set[Path]) -> None:
    out.add(path)
    if is_granular(value, shape):
        for element, item, below in parts(value, shape):
            _all_paths(item, below, (*path, element), out)


def merge(live: Any, config: Any, shape: Shape) -> Any:
    """Return `live` with `config` merged in; neither is changed."""
    if shape.granular_map(live) and shape.granular_map(config):
        result = dict(live)
        for name, value in config.items():
            below = shape.field(name)
            known = name in live
            result[name] = (
                merge(live[name], value, below) if known else deepcopy(value)
            )
        return result
    if shape.granular_list(live) and shape.granular_list(config):
        return _merge_lists(live, config, shape)
    return deepcopy(config)


def _merge_lists(live: list[Any], config: list[Any], shape: Shape) -> Any:
    old, new = shape.items(live), shape.items(config)
    below = shape.item()
    result = []
    for element in merge_order(list(old), list(new)):
        if element not in new:
            result.append(old[element])
        elif element in old:
            result.append(merge(old[element], new[element], below))
        else:
            result.append(deepcopy(new[element]))
    return result


def merge_order(live: list[str], config: list[str]) -> list[str]:
    """Return the order of a merged list.

    Applied items keep the order of the configuration; items of others stay
    before the shared item that they preceded.
    """
    applied, known = set(config), set(live)
    shared = [e for e in config if e in known]
    result: list[str] = []
    at = turn = 0
    for element in config:
        awaited = shared[turn] if turn < len(shared) else None
        while at < len(live) and _passes(live[at], applied, awaited):
            if live[at] not in applied:
                result.append(live[at])
            at += 1
        result.append(element)
        if element in known:
            turn += 1
            at += at < len(live) and live[at] == element
    return result + [e for e in live[at:] if e not in applied]


def _passes(element: str, applied: set[str], awaited: str | None) -> bool:
    if element not in applied:
        return True
    return awaited is not None and element != awaited


def remove(value: Any, gone: Iterable[Path], shape: Shape) -> Any:
    """Return `value` without the parts at the paths `gone`."""
    here: set[str] = set()
    below: dict[str, list[Path]] = {}
    for path in gone:
        if len(path) == 1:
            here.add(path[0])
        elif path:
            below.setdefault(path[0], []).append(path[1:])
    if not (here or below) or not is_granular(value, shape):
        return value
    kept = [
        (e, remove(v, below[e], s) if e in below else v)
        for e, v, s in parts(value, shape)
        if e not in here
    ]
    if isinstance(value, list):
        return [item for _, item in kept]
    return {element[2:]: item for element, item in kept}


def with_named(fields: Iterable[Path], shape: Shape) -> FieldSet:
    """Add the declared fields that the paths go through.

    Applying ``a.b`` where both are declared owns only the leaf. Whoever
    owned it and drops it drops ``a`` too, unless others are below it.
    """
    result = set(fields)
    for path in tuple(result):
        here = shape
        for depth, element in enumerate(path[:-1], 1):
            if element[0] == "f" and here.named(element[2:]):
                result.add(path[:depth])
            here = here.along(element)
    return frozenset(result)
