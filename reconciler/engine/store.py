"""The watched objects in memory, always the newest version seen.

Versions come from two sides: the watch stream, and the answers to our own
writes. Keeping the newest of both means that a watch event from before our
write cannot make a controller act on a state that it has already left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from reconciler.engine.resource import API_VERSION, ObjectKey, Resource

R = TypeVar("R", bound=Resource)

_GRAVES = 1000
"""Uids of deleted objects that are remembered against late events."""


@dataclass(frozen=True)
class Entry:
    """One object: as the server sent it, and parsed if it could be."""

    raw: Mapping[str, Any]
    resource: Resource | None
    problem: str | None = None
    """Why it could not be parsed; without values, which may be secret."""

    @property
    def uid(self) -> str:
        """metadata.uid."""
        return str(self.raw["metadata"].get("uid", ""))


@dataclass(frozen=True)
class Change:
    """What an update did to the store."""

    key: ObjectKey
    before: Entry | None
    after: Entry | None


class ObjectStore:
    """The objects of some kinds, implementing `Objects`."""

    def __init__(self, kinds: Iterable[type[Resource]]) -> None:
        self._kinds = {kind.definition.kind: kind for kind in kinds}
        self._entries: dict[str, dict[ObjectKey, Entry]] = {
            kind: {} for kind in self._kinds
        }
        self._graves: deque[str] = deque(maxlen=_GRAVES)

    def get(self, kind: type[R], namespace: str, name: str) -> R | None:
        """The object, or None if there is none or it cannot be parsed."""
        key = ObjectKey(kind.definition.kind, namespace, name)
        entry = self.entry(key)
        found = entry.resource if entry is not None else None
        return found if isinstance(found, kind) else None

    def list(self, kind: type[R], namespace: str | None = None) -> Sequence[R]:
        """All parsed objects of the kind, by namespace and name."""
        entries = list(self._entries.get(kind.definition.kind, {}).items())
        return [
            entry.resource
            for key, entry in sorted(entries, key=lambda item: item[0])
            if isinstance(entry.resource, kind)
            and namespace in {None, key.namespace}
        ]

    def entry(self, key: ObjectKey) -> Entry | None:
        """The object with its raw form, or None."""
        return self._entries.get(key.kind, {}).get(key)

    def kinds(self) -> Sequence[str]:
        """Names of the kinds that are kept."""
        return sorted(self._kinds)

    def raws(self) -> Sequence[Mapping[str, Any]]:
        """All objects as the server sent them, parsed or not."""
        return [
            entry.raw
            for entries in self._entries.values()
            for entry in entries.values()
        ]

    def keys(self, kind: str) -> Sequence[ObjectKey]:
        """Keys of all objects of a kind."""
        return sorted(self._entries.get(kind, {}))

    def update(self, raw: Mapping[str, Any]) -> Change | None:
        """Take in a version; None if it is old, foreign or of a dead uid."""
        key = self.key_of(raw)
        if key is None or _uid(raw) in self._graves:
            return None
        before = self.entry(key)
        if before is not None and not _newer(raw, before.raw):
            return None
        after = self._parse(key.kind, raw)
        self._entries[key.kind][key] = after
        return Change(key, before, after)

    def remove(self, raw: Mapping[str, Any]) -> Change | None:
        """The object was deleted; None if it was not known (any more)."""
        key = self.key_of(raw)
        if key is None:
            return None
        uid = _uid(raw)
        if uid:
            self._graves.append(uid)
        before = self.entry(key)
        if before is None or (uid and before.uid != uid):
            return None
        del self._entries[key.kind][key]
        return Change(key, before, None)

    def uids(self, kind: str) -> frozenset[str]:
        """Uids of all objects of a kind."""
        return frozenset(e.uid for e in self._entries[kind].values())

    def replace(
        self,
        kind: str,
        raws: Iterable[Mapping[str, Any]],
        known: frozenset[str] = frozenset(),
    ) -> Sequence[Change]:
        """Take in a whole list.

        Args:
            kind: what was listed.
            raws: all objects of the kind.
            known: uids from before the list was asked for. Those that it
                lacks were deleted unseen; others may be newer than it.
        """
        listed = [self._as_kind(kind, raw) for raw in raws]
        lost = known - {_uid(raw) for raw in listed}
        gone = [
            self.remove(entry.raw)
            for entry in list(self._entries[kind].values())
            if entry.uid in lost
        ]
        changes = gone + [self.update(raw) for raw in listed]
        return [change for change in changes if change is not None]

    def key_of(self, raw: Mapping[str, Any]) -> ObjectKey | None:
        """The key of an object, or None if its kind is not watched."""
        kind, meta = raw.get("kind"), raw.get("metadata") or {}
        if raw.get("apiVersion") != API_VERSION or kind not in self._kinds:
            return None
        return ObjectKey(kind, meta.get("namespace", "default"), meta["name"])

    def _parse(self, kind: str, raw: Mapping[str, Any]) -> Entry:
        meta = dict(raw["metadata"])
        meta.pop("managedFields", None)
        slim = {**raw, "metadata": meta}
        try:
            return Entry(slim, self._kinds[kind].parse(slim))
        except ValidationError as error:
            return Entry(slim, None, explain(error))

    @staticmethod
    def _as_kind(kind: str, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """Items of a list may lack the kind that the list has."""
        return {"apiVersion": API_VERSION, "kind": kind, **raw}


def explain(error: ValidationError, most: int = 3) -> str:
    """Field paths and what is wrong with them, without the values."""
    found = [
        f"{'.'.join(str(part) for part in item['loc']) or '.'}: {item['msg']}"
        for item in error.errors(include_input=False, include_url=False)
    ]
    more = [f"and {len(found) - most} more"] if len(found) > most else []
    return "; ".join(found[:most] + more)


def _uid(raw: Mapping[str, Any]) -> str:
    return str(raw["metadata"].get("uid", ""))


def _newer(raw: Mapping[str, Any], than: Mapping[str, Any]) -> bool:
    """Whether a version supersedes another one of the same name.

    Versions are opaque by contract but integers in fact; where one is not,
    anything different counts as newer, which at worst costs one pass.
    """
    ours = str(raw["metadata"].get("resourceVersion", ""))
    theirs = str(than["metadata"].get("resourceVersion", ""))
    if ours.isdigit() and theirs.isdigit():
        return int(ours) > int(theirs)
    return ours != theirs
