"""What would change: added, changed field by field, pruned. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reconciler.gitops.manifest import DesiredObject, ObjectId

SERVER_FIELDS = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""metadata that the server writes; never a difference."""

Verb = Literal["added", "changed", "pruned"]


@dataclass(frozen=True)
class Change:
    """One field that differs. None stands for an absent field."""

    path: str
    old: Any
    new: Any

    def describe(self) -> str:
        """``path: old -> new``."""
        return f"{self.path}: {_text(self.old)} -> {_text(self.new)}"


@dataclass(frozen=True)
class Difference:
    """One object that differs."""

    verb: Verb
    id: ObjectId
    changes: tuple[Change, ...] = ()
    origin: str = ""

    def lines(self) -> Iterator[str]:
        """Text for a terminal: the object, then its fields."""
        sign = {"added": "+", "changed": "~", "pruned": "-"}[self.verb]
        where = f"  ({self.origin})" if self.origin else ""
        yield f"{sign} {self.id}{where}"
        for change in self.changes:
            yield f"    {change.describe()}"


def comparable(body: Mapping[str, Any]) -> dict[str, Any]:
    """An object without its status and what the server writes."""
    rest = {k: v for k, v in body.items() if k != "status"}
    meta = rest.get("metadata") or {}
    rest["metadata"] = {
        k: v for k, v in meta.items() if k not in SERVER_FIELDS
    }
    return rest


def changes(old: Any, new: Any, path: str = "") -> tuple[Change, ...]:
    """Fields in which two JSON values differ, in the order of paths."""
    return tuple(_changes(old, new, path))


def _changes(old: Any, new: Any, path: str) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _changes(old.get(key), new.get(key), _join(path, key))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _list_changes(old, new, path)
    elif not _same(old, new):
        yield Change(path, old, new)


def _list_changes(
    old: list[Any], new: list[Any], path: str
) -> Iterator[Change]:
    was, now = _keyed(old), _keyed(new)
    if was is None or now is None:
        was = {str(i): v for i, v in enumerate(old)}
        now = {str(i): v for i, v in enumerate(new)}
    for key in [*was, *(k for k in now if k not in was)]:
        yield from _changes(was.get(key), now.get(key), f"{path}[{key}]")


def _keyed(items: list[Any]) -> dict[str, Any] | None:
    """Items by their name, if all of them have a different one."""
    names = [i.get("name") if isinstance(i, dict) else None for i in items]
    if not all(isinstance(n, str) for n in names):
        return None
    if len(set(names)) != len(names):
        return None
    return {str(n): item for n, item in zip(names, items, strict=True)}


def _same(old: Any, new: Any) -> bool:
    """JSON equality: True is not 1."""
    return old == new and isinstance(old, bool) == isinstance(new, bool)


def _join(path: str, key: str) -> str:
    part = key if key.replace("-", "").isalnum() else f'["{key}"]'
    if not path or part.startswith("["):
        return path + part
    return f"{path}.{part}"


def overlay(wanted: Any, live: Any) -> Any:
    """The live value with what is wanted laid over it.

    What an apply would lead to, as far as it can be told without the
    server: defaults and fields of others stay as they are.
    """
    if not isinstance(wanted, dict) or not isinstance(live, dict):
        return wanted
    return live | {k: overlay(v, live.get(k)) for k, v in wanted.items()}


def difference(
    desired: Sequence[DesiredObject],
    live: Mapping[ObjectId, Mapping[str, Any]],
    owned: Iterable[ObjectId] = (),
    *,
    exact: bool = False,
) -> tuple[Difference, ...]:
    """Compare a folder with what is there.

    Args:
        desired: the objects of the folder.
        live: live objects by identity, as far as there are any.
        owned: identities in the repository's inventory: those that the
            folder does not contain would be pruned.
        exact: whether `live` is another folder, so that a field that is
            only there would be removed.
    """
    found = [_one(i, live.get(i.id), exact=exact) for i in desired]
    names = {item.id for item in desired}
    pruned = [
        Difference("pruned", gone)
        for gone in sorted(set(owned) - names, reverse=True)
        if gone in live
    ]
    return (*(d for d in found if d is not None), *pruned)


def _one(
    item: DesiredObject, live: Mapping[str, Any] | None, *, exact: bool
) -> Difference | None:
    if live is None:
        return Difference("added", item.id, origin=item.origin)
    old, new = comparable(live), comparable(item.body)
    found = changes(old, new if exact else overlay(new, old))
    if item.sealed:
        found = tuple(Change(c.path, "***", "***") for c in found)
    elif item.id.kind == "Secret":
        found = tuple(masked(change) for change in found)
    if not found:
        return None
    return Difference("changed", item.id, found, item.origin)


_SECRET_PATHS = (
    "data",
    "stringData",
    'metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]',
)


def masked(change: Change) -> Change:
    """The change of a Secret without its values."""
    if not change.path.startswith(_SECRET_PATHS):
        return change
    return Change(change.path, "***", "*** (changed)")


def render(differences: Iterable[Difference]) -> str:
    """Text for a terminal; empty if there is no difference."""
    return "\n".join(line for found in differences for line in found.lines())


def _text(value: Any) -> str:
    if value is None:
        return "(none)"
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004
