"""From changed objects to keys in the work queue."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from reconciler.engine.controller import Controller, Watch
from reconciler.engine.queue import WorkQueue
from reconciler.engine.resource import ObjectKey, Resource
from reconciler.engine.store import Change, ObjectStore

logger = logging.getLogger(__name__)

Raw = Mapping[str, Any]

_OURS = frozenset({"resourceVersion", "finalizers"})
"""Metadata that our own writes change."""


class Dispatcher:
    """Feeds the store and has whatever is concerned reconciled.

    Args:
        store: the objects in memory.
        queue: keys to reconcile.
        controllers: by kind.
    """

    def __init__(
        self,
        store: ObjectStore,
        queue: WorkQueue[ObjectKey],
        controllers: Mapping[str, Controller[Any, Any]],
    ) -> None:
        self._store, self._queue = store, queue
        self._kinds = frozenset(controllers)
        self._held: dict[ObjectKey, list[tuple[bool, Raw]]] = {}
        self._watches: dict[str, list[Watch]] = {}
        for controller in controllers.values():
            for watch in controller.watches:
                kind = watch.kind.definition.kind
                self._watches.setdefault(kind, []).append(watch)

    def updated(self, raw: Raw) -> None:
        """An object is new or changed; an old version changes nothing."""
        if not self._hold_back(raw, gone=False):
            self._spread(self._store.update(raw))

    def deleted(self, raw: Raw) -> None:
        """An object is gone."""
        if not self._hold_back(raw, gone=True):
            self._spread(self._store.remove(raw))

    def written(self, raw: Raw) -> None:
        """The answer to the engine's own write in a pass over the object.

        The object needs no further pass because of it, unless the answer
        carries an edit that came in between; its watchers do.
        """
        change = self._store.update(raw)
        own = change is not None and not _edited(change)
        self._spread(change, own=own)

    @contextmanager
    def holding(self, key: ObjectKey) -> Iterator[None]:
        """Keep events of an object back while we write it ourselves.

        The event of our write can overtake the answer to it, and would look
        like the write of somebody else.
        """
        self._held[key] = []
        try:
            yield
        finally:
            for gone, raw in self._held.pop(key):
                if gone:
                    self.deleted(raw)
                else:
                    self.updated(raw)

    def known(self, kind: str) -> frozenset[str]:
        """Uids of a kind; ask before a list request, for `listed`."""
        return self._store.uids(kind)

    def listed(
        self, kind: str, raws: Iterable[Raw], known: frozenset[str]
    ) -> None:
        """All objects of a kind, as a list request returned them."""
        for change in self._store.replace(kind, raws, known):
            self._spread(change)

    def seed(self, kind: str, raws: Iterable[Raw]) -> None:
        """The first list of a kind: watchers are not asked yet.

        Planners must see all kinds before the first pass, and every object
        is enqueued by `enqueue_all` anyway.
        """
        self._store.replace(kind, raws)

    def enqueue_all(self) -> None:
        """Reconcile every object that has a controller."""
        for kind in sorted(self._kinds):
            for key in self._store.keys(kind):
                self._queue.add(key)

    def _hold_back(self, raw: Raw, *, gone: bool) -> bool:
        key = self._store.key_of(raw)
        held = None if key is None else self._held.get(key)
        if held is None:
            return False
        held.append((gone, raw))
        return True

    def _spread(self, change: Change | None, *, own: bool = False) -> None:
        if change is None:
            return
        if change.after is None:
            self._queue.discard(change.key)
        keys = set(self._concerned(change))
        if own:
            keys.discard(change.key)
        else:
            keys.add(change.key)
        for key in sorted(keys):
            if key.kind in self._kinds:
                self._queue.add(key)

    def _concerned(self, change: Change) -> Iterable[ObjectKey]:
        """Objects that a watch maps the old or the new version to.

        Both, because an object that is no longer referred to is concerned
        as well.
        """
        keys: set[ObjectKey] = set()
        versions = [
            entry.resource
            for entry in (change.before, change.after)
            if entry is not None and entry.resource is not None
        ]
        for watch in self._watches.get(change.key.kind, ()):
            for version in versions:
                keys.update(self._mapped(watch, version))
        return keys

    def _mapped(self, watch: Watch, version: Resource) -> Iterable[ObjectKey]:
        try:
            return list(watch.map(version, self._store))
        except Exception:
            # A mistake in the map of one controller must not end the stream
            # of events that all controllers live on; the object concerned
            # is looked at again at its next requeue.
            logger.exception("Mapping %s to its watchers failed", version.key)
            return ()


def _edited(change: Change) -> bool:
    """Whether more than what the engine itself writes differs.

    The event of that edit is older than our write, so it will be stale when
    it comes: this is the only moment in which the edit is seen.
    """
    if change.before is None or change.after is None:
        return True
    return _desired(change.before.raw) != _desired(change.after.raw)


def _desired(raw: Raw) -> Raw:
    meta = {k: v for k, v in raw["metadata"].items() if k not in _OURS}
    return {**raw, "metadata": meta, "status": None}
