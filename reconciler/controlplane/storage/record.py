"""What the store keeps: keys, stored objects and their revisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

Json = dict[str, Any]


class Key(NamedTuple):
    """Where an object lives, independent of the API version it is read in."""

    resource: str
    """``<group>/<plural>``; the group is empty for the core API."""

    namespace: str
    """Empty for cluster-scoped objects."""

    name: str


@dataclass(frozen=True, slots=True)
class Stored:
    """One object at one revision, serialised in its storage version."""

    key: Key
    number: int
    """The revision that wrote it: the object's resourceVersion."""

    data: bytes

    def object(self) -> Json:
        """The object as a fresh structure that the caller may change."""
        loaded: Json = orjson.loads(self.data)
        return loaded


@dataclass(frozen=True, slots=True)
class Event:
    """One committed change, as watchers see it."""

    stored: Stored
    deleted: bool
    previous: Stored | None
    """The object before the change; None when it was created."""

    @property
    def number(self) -> int:
        """The revision of the change."""
        return self.stored.number


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list at one revision."""

    revision: int
    items: list[Stored]
    after: Key | None
    """Continue behind this key; None when the list is complete."""

    remaining: int
    """How many objects follow behind the page."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write on its way to the disk."""

    stored: Stored
    deleted: bool
    previous: Stored | None
    terminating: bool
    """The object carries a deletionTimestamp."""

    owners: tuple[str, ...]
    """uids of the objects that own it."""

    at: int
    """Seconds since the epoch."""

    epoch: int
    """Writes of an epoch that had a failure are refused together."""

    def event(self) -> Event:
        """The change as watchers will see it once it is on disk."""
        return Event(self.stored, self.deleted, self.previous)


@dataclass(frozen=True, slots=True)
class Compaction:
    """Forget what only revisions at or below this one can see."""

    revision: int
