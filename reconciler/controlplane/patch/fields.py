"""Paths of fields, sets of paths, and FieldsV1, their form on the wire.

A path is a tuple of elements as FieldsV1 writes them: ``f:name`` for a
field, ``k:{"name":"a"}`` for an item of a map list, ``v:"a"`` for a member
of a set, ``i:0`` for an index.
"""

from __future__ import annotations

import json
from typing import Any, Final

Path = tuple[str, ...]
FieldSet = frozenset[Path]

EMPTY: Final[FieldSet] = frozenset()
_SELF: Final = "."
_COMPACT: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True
)


def compact(value: Any) -> str:
    """Return JSON without spaces and with sorted keys."""
    return _COMPACT.encode(value)


def field_element(name: str) -> str:
    """Return the element of a map's field."""
    return f"f:{name}"


def key_element(keys: dict[str, Any]) -> str:
    """Return the element of a map list's item."""
    return f"k:{compact(keys)}"


def value_element(value: Any) -> str:
    """Return the element of a set's member."""
    return f"v:{compact(value)}"


def path_text(path: Path) -> str:
    """Return a path as conflicts show it: ``.spec.ports[name="a"].port``."""
    return "".join(map(_element_text, path))


def _element_text(element: str) -> str:
    kind, rest = element[:1], element[2:]
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        keys = json.loads(rest)
        inner = ",".join(f"{k}={compact(v)}" for k, v in keys.items())
        return f"[{inner}]"
    return f"[={rest}]" if kind == "v" else f"[{rest}]"


def encode(fields: FieldSet) -> dict[str, Any]:
    """Return a set of paths as FieldsV1."""
    root: dict[str, Any] = {}
    for path in sorted(fields):
        here = root
        for element in path:
            here = here.setdefault(element, {})
        here[_SELF] = {}
    _drop_lone_marks(root)
    return root


def _drop_lone_marks(tree: dict[str, Any]) -> None:
    for below in tree.values():
        if list(below) == [_SELF]:
            del below[_SELF]
        else:
            _drop_lone_marks(below)


def decode(tree: Any) -> FieldSet:
    """Read FieldsV1.

    Raises:
        ValueError: it is malformed.
    """
    paths: set[Path] = set()
    _collect(tree, (), paths)
    return frozenset(paths)


def _collect(tree: Any, prefix: Path, paths: set[Path]) -> None:
    if not isinstance(tree, dict):
        msg = f"FieldsV1 at {path_text(prefix) or '.'} is not an object"
        raise ValueError(msg)  # noqa: TRY004 - data, not a wrong argument
    if prefix and (not tree or _SELF in tree):
        paths.add(prefix)
    for element, below in tree.items():
        if element == _SELF:
            continue
        checked = _checked(element)
        checked.encode()  # JSON can escape half a character; nobody can own it
        _collect(below, (*prefix, checked), paths)


def _checked(element: str) -> str:
    kind, rest = element[:2], element[2:]
    if kind == "f:":
        return element
    if kind == "k:" and isinstance(keys := json.loads(rest), dict):
        return key_element(keys)
    if kind == "v:":
        return value_element(json.loads(rest))
    if kind == "i:":
        return f"i:{int(rest)}"
    msg = f"{element!r} is not a FieldsV1 path element"
    raise ValueError(msg)
