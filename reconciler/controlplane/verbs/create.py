"""create."""

from __future__ import annotations

from typing import Any

from reconciler.controlplane import media
from reconciler.controlplane.access import escalation
from reconciler.controlplane.errors import (
    already_exists,
    no_such_path,
    not_allowed,
)
from reconciler.controlplane.kinds.builtin import DEFINITIONS
from reconciler.controlplane.objects import form, strategy
from reconciler.controlplane.storage.record import Key
from reconciler.controlplane.verbs import admit, ownership
from reconciler.controlplane.verbs.call import Answer, Call, check_namespace

Json = dict[str, Any]


async def create(call: Call) -> Answer:
    """Store a new object.

    Raises:
        ApiError: 400, 403, 404, 409 or 422.
    """
    body, duplicates = call.parsed()
    obj = strategy.decode(call.kind, body, duplicates, call.policy)
    return await store_new(call, obj, managed=False)


async def store_new(call: Call, obj: Json, *, managed: bool) -> Answer:
    """Complete and store a decoded object.

    Args:
        call: The request.
        obj: The object.
        managed: Its managedFields are there (server-side apply).
    """
    kind, namespace = call.kind, call.route.namespace
    if kind.namespaced and namespace is None:
        raise no_such_path() if kind.custom else not_allowed(kind)
    strategy.check_place(obj, namespace, call.route.name, kind)
    gate = admit.gate(call, "CREATE")
    if gate is not None:
        check_namespace(call, obj["metadata"].get("name", ""))
        obj = await gate.mutated(obj, None)
        strategy.check_place(obj, namespace, call.route.name, kind)
    obj = strategy.create(kind, obj, namespace)
    if gate is not None:
        await gate.validated(obj, None)
    name = obj["metadata"]["name"]
    check_namespace(call, name)
    _check_definition(call)
    escalation.check(
        call.cluster.authorizer, call.user, kind, obj, None, call.route.name
    )
    key = Key(kind.resource, namespace or "", name)
    if call.store.current(key) is not None:
        raise already_exists(kind, name)
    if not managed:
        obj = ownership.record(call, None, obj)
    if call.dry_run:
        return Answer(201, obj=obj)
    stored, written = call.store.put(
        key, form.to_storage(kind, obj), None, limit=media.BODY_BYTES
    )
    await written
    return Answer(201, raw=form.raw(kind, stored))


def _check_definition(call: Call) -> None:
    """Refuse new objects of a kind whose CRD is being deleted."""
    if not call.kind.custom:
        return
    stored = call.store.current(Key(DEFINITIONS, "", call.kind.qualified))
    if stored is None or "deletionTimestamp" in stored.object()["metadata"]:
        raise not_allowed(
            call.kind,
            "create not allowed while custom resource definition is "
            "terminating",
        )
