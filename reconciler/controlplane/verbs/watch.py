"""watch: changes from a revision on, as they are committed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from reconciler.controlplane.errors import (
    ApiError,
    expired,
    invalid,
    version_too_large,
)
from reconciler.controlplane.objects.list_options import watch_faults
from reconciler.controlplane.objects.selection import Selector
from reconciler.controlplane.storage.store import Store
from reconciler.controlplane.storage.subscription import Subscription
from reconciler.controlplane.verbs.call import Call
from reconciler.controlplane.verbs.frames import Frames, error_frame
from reconciler.controlplane.verbs.read import collect

BOOKMARK_SECONDS = 60.0
LONGEST_SECONDS = 3600
"""A watch ends by then at the latest; the client resumes."""

_SHORTEST_DEFAULT = 1800


@dataclass(frozen=True)
class Terms:
    """What a watcher asked for."""

    selector: Selector
    revision: int | None
    """Changes behind this one; None starts with what is there."""

    initial: bool
    """Begin with what is there, and say when that is complete."""

    bookmarks: bool
    seconds: float


def terms_of(call: Call) -> Terms:
    """Read and check the options of a watch.

    Raises:
        ApiError: 400, 422 or 504.
    """
    selector = call.selector()
    revision = call.revision()
    initial = _initial(call)
    if revision is not None and revision > call.store.published:
        raise version_too_large(revision, call.store.published)
    given = call.number("timeoutSeconds")
    seconds = random.uniform(_SHORTEST_DEFAULT, LONGEST_SECONDS)  # noqa: S311 - spreads the reconnects
    return Terms(
        selector,
        None if initial or not revision else revision,
        initial,
        call.flag("allowWatchBookmarks"),
        min(given, LONGEST_SECONDS) if given else seconds,
    )


def _initial(call: Call) -> bool:
    if faults := list(watch_faults(call.query)):
        raise invalid("ListOptions", "meta.k8s.io", "", faults)
    return call.flag("sendInitialEvents")


async def watch(
    call: Call, terms: Terms, frames: Frames
) -> AsyncIterator[bytes]:
    """Chunks of frames until the time is up or the server stops."""
    hub = call.store.hub
    subscription = hub.subscribe(call.kind.resource, call.route.namespace)
    try:
        try:
            chunk, position = _begin(call, terms, frames)
        except ApiError as error:
            yield error_frame(error)
            return
        if chunk:
            yield chunk
        following = _follow(call.store, subscription, terms, frames, position)
        async for chunk in following:
            yield chunk
    finally:
        hub.unsubscribe(subscription)


def _begin(call: Call, terms: Terms, frames: Frames) -> tuple[bytes, int]:
    """Everything up to now, and the revision that now is."""
    store = call.store
    if terms.revision is None:
        wanted = call.query.get("sendInitialEvents", "").lower()
        if wanted in ("0", "false", "f"):
            return b"", store.published
        page = collect(call, terms.selector)
        parts = [frames.added(stored) for stored in page.items]
        if terms.initial and terms.bookmarks:
            parts.append(frames.bookmark(page.revision, initial_end=True))
        return b"".join(parts), page.revision
    if terms.revision < store.compacted:
        msg = f"too old resource version: {terms.revision} ({store.compacted})"
        raise expired(msg)
    through = store.published
    resource, namespace = call.kind.resource, call.route.namespace
    parts = [
        frames.change(event)
        for event in store.read.history(terms.revision, through, resource)
        if namespace is None or event.stored.key.namespace == namespace
    ]
    return b"".join(parts), through


async def _follow(
    store: Store,
    subscription: Subscription,
    terms: Terms,
    frames: Frames,
    position: int,
) -> AsyncIterator[bytes]:
    end = time.monotonic() + terms.seconds
    bookmark_at = time.monotonic() + BOOKMARK_SECONDS
    while not subscription.closed:
        now = time.monotonic()
        if now >= end:
            return
        wait = min(end, bookmark_at) - now if terms.bookmarks else end - now
        events = await subscription.next(max(wait, 0.0))
        chunk = b"".join(
            frames.change(event) for event in events if event.number > position
        )
        if events:
            position = max(position, events[-1].number)
        if terms.bookmarks and time.monotonic() >= min(bookmark_at, end):
            if subscription.idle:
                # What was written meanwhile was nothing that it wants.
                position = max(position, store.published)
            chunk += frames.bookmark(position)
            bookmark_at = time.monotonic() + BOOKMARK_SECONDS
        if chunk:
            yield chunk
        await asyncio.sleep(0)
