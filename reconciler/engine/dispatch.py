"""From changed objects to keys in the work queue."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.engine.controller import Controller, Watch
from reconciler.engine.queue import WorkQueue
from reconciler.engine.resource import ObjectKey, Resource
from reconciler.engine.store import Change, ObjectStore

logger = logging.getLogger(__name__)


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
        self._watches: dict[str, list[Watch]] = {}
        for controller in controllers.values():
            for watch in controller.watches:
                kind = watch.kind.definition.kind
                self._watches.setdefault(kind, []).append(watch)

    def updated(self, raw: Mapping[str, Any], *, own: bool = False) -> None:
        """An object is new or changed; an old version changes nothing.

        Args:
            raw: the object.
            own: the engine's own write in a pass over this object, which
                therefore needs no further pass; its watchers do.
        """
        change = self._store.update(raw)
        if change is not None:
            self._spread(change, own=own)

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object is gone."""
        change = self._store.remove(raw)
        if change is not None:
            self._spread(change, own=False)

    def listed(self, kind: str, raws: Iterable[Mapping[str, Any]]) -> None:
        """All objects of a kind, as a list request returned them."""
        for change in self._store.replace(kind, raws):
            self._spread(change, own=False)

    def seed(self, kind: str, raws: Iterable[Mapping[str, Any]]) -> None:
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

    def _spread(self, change: Change, *, own: bool) -> None:
        if change.after is None:
            self._queue.discard(change.key)
        if change.key.kind in self._kinds and not own:
            self._queue.add(change.key)
        for key in self._concerned(change):
            if key.kind in self._kinds and not (own and key == change.key):
                self._queue.add(key)

    def _concerned(self, change: Change) -> Sequence[ObjectKey]:
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
        return sorted(keys)

    def _mapped(self, watch: Watch, version: Resource) -> Iterable[ObjectKey]:
        try:
            return list(watch.map(version, self._store))
        except Exception:
            # A mistake in the map of one controller must not end the stream
            # of events that all controllers live on; the object concerned
            # is looked at again at its next requeue.
            logger.exception("Mapping %s to its watchers failed", version.key)
            return ()
