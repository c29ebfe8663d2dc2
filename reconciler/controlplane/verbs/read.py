"""get and list."""

from __future__ import annotations

from typing import Any

from reconciler.controlplane.errors import (
    expired,
    invalid,
    not_found,
    version_too_large,
)
from reconciler.controlplane.objects import form, paging
from reconciler.controlplane.objects.list_options import EXACT, list_faults
from reconciler.controlplane.objects.selection import Selector
from reconciler.controlplane.storage.record import Key, Page, Stored
from reconciler.controlplane.verbs.call import Answer, Call

CHUNK = 500
"""Rows read at once when a selector filters a limited list."""

_STALE = (
    "The provided continue parameter is too old to display a consistent list "
    "result. You can start a new list without the continue parameter."
)


def get(call: Call) -> Answer:
    """One object as it is on disk.

    Raises:
        ApiError: 404.
    """
    stored = call.store.read.get(call.key)
    if stored is None:
        raise not_found(call.kind, call.route.name)
    return Answer(raw=form.raw(call.kind, stored))


def listing(call: Call) -> Answer:
    """Objects of a kind, all from one revision, perhaps in chunks.

    Raises:
        ApiError: 400, 410, 422 or 504.
    """
    selector = call.selector()
    limit = call.number("limit") or None
    after, revision = _start(call)
    page = collect(call, selector, limit, after, revision)
    metadata: dict[str, Any] = {"resourceVersion": str(page.revision)}
    if page.after is not None:
        token = paging.Token(
            page.revision, page.after.namespace, page.after.name
        )
        metadata["continue"] = token.encode()
        if not selector:
            metadata["remainingItemCount"] = page.remaining
    return Answer(items=page.items, metadata=metadata)


def _start(call: Call) -> tuple[Key | None, int | None]:
    """Where the list begins, and at which revision; None is the newest."""
    if faults := list(list_faults(call.query)):
        raise invalid("ListOptions", "meta.k8s.io", "", faults)
    match, wanted = call.query.get("resourceVersionMatch"), call.revision()
    if text := call.query.get("continue", ""):
        token = paging.decode(text)
        _retained(call, token.revision, _STALE)
        key = Key(call.kind.resource, token.namespace, token.name)
        return key, token.revision
    if wanted and wanted > call.store.published:
        raise version_too_large(wanted, call.store.published)
    if match == EXACT and wanted:
        _retained(call, wanted, "The resourceVersion is too old.")
        return None, wanted
    return None, None


def _retained(call: Call, revision: int, message: str) -> None:
    if revision < call.store.compacted:
        raise expired(message)


def collect(
    call: Call,
    selector: Selector,
    limit: int | None = None,
    after: Key | None = None,
    revision: int | None = None,
) -> Page:
    """The objects that a selector matches, up to a limit."""
    namespace = call.route.namespace
    resource = call.kind.resource
    read = call.store.read
    if (name := selector.only_name()) and namespace and revision is None:
        return _single(call, selector, Key(resource, namespace, name))
    if not selector:
        return read.page(
            resource, namespace, limit=limit, after=after, revision=revision
        )
    found: list[Stored] = []
    traces = selector.traces()
    chunk = CHUNK if limit else None
    while True:
        page = read.page(
            resource,
            namespace,
            limit=chunk,
            after=after,
            revision=revision,
            counted=False,
        )
        revision, after = page.revision, page.after
        for stored in page.items:
            if not all(trace in stored.data for trace in traces):
                continue
            if not _matches(call, selector, stored):
                continue
            if limit and len(found) == limit:
                return Page(revision, found, found[-1].key, 1)
            found.append(stored)
        if after is None:
            return Page(revision, found, None, 0)


def _single(call: Call, selector: Selector, key: Key) -> Page:
    revision = call.store.read.revision()
    stored = call.store.read.get(key)
    hit = stored is not None and _matches(call, selector, stored)
    return Page(revision, [stored] if stored and hit else [], None, 0)


def _matches(call: Call, selector: Selector, stored: Stored) -> bool:
    return selector.matches(form.read(call.kind, stored))
