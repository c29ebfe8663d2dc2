"""Frames of a watch: events in the form that the client accepts."""

from __future__ import annotations

from typing import Any

import orjson

from reconciler.controlplane.errors import ApiError
from reconciler.controlplane.kinds.model import ResourceKind
from reconciler.controlplane.objects import form, table
from reconciler.controlplane.objects.selection import Selector
from reconciler.controlplane.storage.record import Event, Stored

Json = dict[str, Any]

INITIAL_END = "k8s.io/initial-events-end"


def error_frame(error: ApiError) -> bytes:
    """The frame that ends a watch with a Status."""
    return _frame(b"ERROR", orjson.dumps(error.status()))


def _frame(kind: bytes, text: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind, text)


class Frames:
    """Turns changes into frames for one watcher.

    Args:
        kind: What is watched, in the watcher's version.
        selector: What the watcher is limited to.
        transform: Table, PartialObjectMetadata, or empty.
        include: How much of an object goes with a table's row.
    """

    def __init__(
        self,
        kind: ResourceKind,
        selector: Selector,
        transform: str,
        include: str,
    ) -> None:
        self._kind = kind
        self._selector = selector
        self._transform = transform
        self._include = include
        self._headed = True

    def added(self, stored: Stored) -> bytes:
        """A frame for an object that is there when the watch begins."""
        return _frame(b"ADDED", self._show(stored))

    def change(self, event: Event) -> bytes:
        """The frame for a change; empty if the watcher must not see it."""
        if not self._selector:
            return _frame(_plain_type(event), self._show(event.stored))
        before = event.previous is not None and self._matches(event.previous)
        after = not event.deleted and self._matches(event.stored)
        if after:
            kind = b"MODIFIED" if before else b"ADDED"
            return _frame(kind, self._show(event.stored))
        if not before or event.previous is None:
            return b""
        if event.deleted:
            return _frame(b"DELETED", self._show(event.stored))
        # It left the selection: its last state in there, at this revision.
        left = event.previous.object()
        left["metadata"]["resourceVersion"] = str(event.number)
        last = Stored(event.stored.key, event.number, orjson.dumps(left))
        return _frame(b"DELETED", self._show(last))

    def _matches(self, stored: Stored) -> bool:
        return self._selector.matches(form.read(self._kind, stored))

    def bookmark(self, revision: int, *, initial_end: bool = False) -> bytes:
        """A frame that only says how far the watch has come."""
        metadata: Json = {"resourceVersion": str(revision)}
        metadata["creationTimestamp"] = None
        if initial_end:
            metadata["annotations"] = {INITIAL_END: "true"}
        obj = {
            "kind": self._kind.kind,
            "apiVersion": self._kind.api_version,
            "metadata": metadata,
        }
        return _frame(b"BOOKMARK", self._form(obj, revision))

    def _show(self, stored: Stored) -> bytes:
        if not self._transform:
            return form.raw(self._kind, stored)
        return self._form(form.read(self._kind, stored), stored.number)

    def _form(self, obj: Json, revision: int) -> bytes:
        if self._transform == "Table":
            headed, self._headed = self._headed, False
            metadata = {"resourceVersion": str(revision)}
            obj = table.table(
                self._kind, [obj], metadata, self._include, headed=headed
            )
        elif self._transform:
            obj = table.partial(obj)
        return orjson.dumps(obj)


def _plain_type(event: Event) -> bytes:
    if event.deleted:
        return b"DELETED"
    return b"ADDED" if event.previous is None else b"MODIFIED"
