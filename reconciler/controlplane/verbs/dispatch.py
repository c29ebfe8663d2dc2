"""Which verb a method and a path mean."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from reconciler.controlplane.errors import (
    ApiError,
    modified,
    no_such_path,
    not_allowed,
)
from reconciler.controlplane.kinds.model import ResourceKind
from reconciler.controlplane.route import Route
from reconciler.controlplane.verbs import (
    create,
    delete,
    read,
    reviews,
    scale,
    token,
    update,
)
from reconciler.controlplane.verbs.admit import OvertakenError
from reconciler.controlplane.verbs.call import Answer, Call

Verb = Callable[[Call], Answer] | Callable[[Call], Awaitable[Answer]]

ATTEMPTS = 5
"""Times that a request is carried out while others write its object."""

_COLLECTION: dict[str, tuple[str, Verb]] = {
    "GET": ("list", read.listing),
    "POST": ("create", create.create),
    "DELETE": ("deletecollection", delete.delete_collection),
}
_OBJECT: dict[str, tuple[str, Verb]] = {
    "GET": ("get", read.get),
    "PUT": ("update", update.update),
    "PATCH": ("patch", update.patch),
    "DELETE": ("delete", delete.delete),
}
_STATUS: dict[str, tuple[str, Verb]] = {
    "GET": ("get", read.get),
    "PUT": ("update", update.update),
    "PATCH": ("patch", update.patch),
}
_SCALE: dict[str, tuple[str, Verb]] = {
    "GET": ("get", scale.get),
    "PUT": ("update", scale.update),
    "PATCH": ("patch", scale.update),
}
_REVIEWS = ("authentication.k8s.io", "authorization.k8s.io")


def choose(method: str, kind: ResourceKind, route: Route) -> tuple[str, Verb]:
    """The name of the verb and its function.

    Raises:
        ApiError: 404 or 405.
    """
    table = _table(kind, route)
    found = table.get("GET" if method == "HEAD" else method)
    if found is None or found[0] not in kind.verbs:
        raise not_allowed(kind)
    scoped = route.namespace is not None
    everywhere = kind.namespaced and not scoped
    if everywhere and (
        route.name or found[0] in ("create", "deletecollection")
    ):
        raise _misplaced(route, kind)
    if scoped and not kind.namespaced:
        raise no_such_path()
    return found


def _misplaced(route: Route, kind: ResourceKind) -> ApiError:
    nowhere = route.name or kind.custom
    return no_such_path() if nowhere else not_allowed(kind)


def _table(kind: ResourceKind, route: Route) -> dict[str, tuple[str, Verb]]:
    if not kind.custom and kind.group in _REVIEWS:
        return {} if route.name else {"POST": ("create", reviews.review)}
    if not route.name:
        return _COLLECTION
    if not route.subresource:
        return _OBJECT
    if route.subresource == "status" and kind.status:
        return _STATUS
    if route.subresource == "token" and kind.token:
        return {"POST": ("create", token.create)}
    if route.subresource == "scale" and kind.scale is not None:
        return _SCALE
    raise no_such_path()


async def run(call: Call, verb: Verb) -> Answer:
    """Run a verb; its failures are told after what they are based on.

    A failure may follow from a write that is not on disk yet. What webhooks
    were asked about may be outdated by the time they answer; then the verb
    is run again, and finds a conflict if the client named a version.

    Raises:
        ApiError: Whatever the verb refuses.
    """
    try:
        for _ in range(ATTEMPTS):
            try:
                outcome = verb(call)
                if isinstance(outcome, Answer):
                    return outcome
                return await outcome
            except OvertakenError:
                call.policy.warnings.clear()
        raise modified(call.kind, call.route.name)
    except ApiError:
        await call.store.settled()
        raise
