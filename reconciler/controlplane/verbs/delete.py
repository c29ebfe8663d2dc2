"""delete and deletecollection."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from reconciler.controlplane.errors import (
    bad_request,
    conflict,
    forbidden,
    invalid,
    success,
)
from reconciler.controlplane.objects import form
from reconciler.controlplane.objects.metadata import now_text
from reconciler.controlplane.schema.errors import not_supported
from reconciler.controlplane.storage.record import Key, Stored
from reconciler.controlplane.storage.store import Store
from reconciler.controlplane.verbs import admit
from reconciler.controlplane.verbs.call import Answer, Call
from reconciler.controlplane.verbs.read import collect
from reconciler.controlplane.verbs.update import finished

Json = dict[str, Any]

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
_POLICIES = {
    "Foreground": FOREGROUND,
    "Background": "",
    "Orphan": ORPHAN,
}
PERMANENT = ("default", "kube-system")
"""Namespaces that cannot be deleted."""


@dataclass(frozen=True)
class Options:
    """What a DeleteOptions body or the query asks for."""

    policy: str | None = None
    """Background, Foreground, Orphan, or None."""

    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False


def options_of(call: Call) -> Options:
    """Read the options of a deletion.

    Raises:
        ApiError: 400 or 422.
    """
    body: Any = {}
    if call.body.strip():
        body, _ = call.parsed()
    if not isinstance(body, dict):
        raise bad_request("DeleteOptions must be an object")
    policy = body.get("propagationPolicy") or call.query.get(
        "propagationPolicy"
    )
    if policy is None and "orphanDependents" in body:
        policy = "Orphan" if body["orphanDependents"] else "Background"
    if policy is not None and not isinstance(policy, str):
        raise bad_request("malformed DeleteOptions")
    if policy is not None and policy not in _POLICIES:
        known = [*_POLICIES, "nil"]
        fault = not_supported("propagationPolicy", policy, known)
        raise invalid("DeleteOptions", "meta.k8s.io", "", [fault])
    conditions = body.get("preconditions") or {}
    dry_run = body.get("dryRun") or []
    if not isinstance(conditions, dict) or dry_run not in ([], ["All"]):
        raise bad_request("malformed DeleteOptions")
    return Options(
        policy,
        conditions.get("uid"),
        conditions.get("resourceVersion"),
        bool(dry_run) or call.dry_run,
    )


async def delete(call: Call) -> Answer:
    """Delete an object, or begin to if finalizers hold it.

    Raises:
        ApiError: 400, 403, 404 or 409.
    """
    options = options_of(call)
    live = call.live()
    check_preconditions(call, live, options)
    _check_permanent(call)
    gate = admit.gate(call, "DELETE")
    if gate is not None:
        await gate.deleted(form.read(call.kind, live))
        gate.unchanged(live)
    return await _delete(call, live, options)


def check_preconditions(call: Call, live: Stored, options: Options) -> None:
    """Refuse to delete another object than the caller means.

    Raises:
        ApiError: 409.
    """
    metadata = live.object()["metadata"]
    for name, wanted, field in (
        ("UID", options.uid, "uid"),
        ("ResourceVersion", options.resource_version, "resourceVersion"),
    ):
        if wanted and wanted != metadata[field]:
            raise conflict(
                call.kind,
                metadata["name"],
                f"Precondition failed: {name} in precondition: {wanted}, "
                f"{name} in object meta: {metadata[field]}",
            )


def _check_permanent(call: Call) -> None:
    namespace = call.kind.plural == "namespaces" and not call.kind.custom
    if namespace and call.route.name in PERMANENT:
        raise forbidden(
            call.kind, call.route.name, "this namespace may not be deleted"
        )


async def _delete(call: Call, live: Stored, options: Options) -> Answer:
    kind = call.kind
    if options.dry_run:
        obj = mark(live.object(), options.policy, counted=kind.counted)
        gone, stored = finished(obj), live
    else:
        gone, stored, written = remove(
            call.store, live, options.policy, counted=kind.counted
        )
        await written
    metadata = stored.object()["metadata"]
    namespace = kind.plural == "namespaces" and not kind.custom
    if gone and not namespace:
        return Answer(obj=success(kind, metadata["name"], metadata["uid"]))
    return Answer(raw=form.raw(kind, stored))


def mark(obj: Json, policy: str | None, *, counted: bool) -> Json:
    """An object whose deletion was asked for, in place."""
    metadata = obj["metadata"]
    finalizers = list(metadata.get("finalizers") or ())
    if policy is not None:
        finalizers = [f for f in finalizers if f not in (ORPHAN, FOREGROUND)]
        finalizers += [_POLICIES[policy]] if _POLICIES[policy] else []
    metadata.pop("finalizers", None)
    if finalizers:
        metadata["finalizers"] = finalizers
    if "deletionTimestamp" not in metadata:
        metadata["deletionTimestamp"] = now_text()
        metadata["deletionGracePeriodSeconds"] = 0
        if counted:
            metadata["generation"] = metadata.get("generation", 0) + 1
    if obj.get("kind") == "Namespace" and obj.get("apiVersion") == "v1":
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    return obj


def remove(
    store: Store, live: Stored, policy: str | None, *, counted: bool
) -> tuple[bool, Stored, asyncio.Future[None]]:
    """Stage a deletion.

    Args:
        store: Where the object is.
        live: Its newest state.
        policy: What becomes of its dependents; None leaves that as it is.
        counted: The kind keeps metadata.generation.

    Returns:
        Whether the object is gone, its last state, and when that is on disk.
    """
    before = live.object()
    obj = mark(live.object(), policy, counted=counted)
    if finished(obj):
        for name in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            if name not in before["metadata"]:
                del obj["metadata"][name]
        if counted and "deletionTimestamp" not in before["metadata"]:
            obj["metadata"]["generation"] -= 1
        return True, *store.remove(live.key, obj, live)
    if obj == before:
        done: asyncio.Future[None] = asyncio.ensure_future(
            store.settled(live.key)
        )
        return False, live, done
    return False, *store.put(live.key, obj, live)


async def delete_collection(call: Call) -> Answer:
    """Delete all objects that a selector matches.

    Raises:
        ApiError: 400 or 422.
    """
    options = options_of(call)
    limit = call.number("limit") or None
    page = collect(call, call.selector(), limit)
    gate = admit.gate(call, "DELETE")
    waits = []
    for stored in page.items:
        if gate is not None:
            await gate.deleted(form.read(call.kind, stored))
        live = call.store.current(Key(*stored.key))
        if live is None or options.dry_run:
            continue
        _, _, written = remove(
            call.store, live, options.policy, counted=call.kind.counted
        )
        waits.append(written)
    if waits:
        await asyncio.gather(*waits)
    return Answer(
        items=page.items, metadata={"resourceVersion": str(page.revision)}
    )


async def drop_finalizer(
    store: Store, key: Key, finalizer: str, *, namespace: bool = False
) -> None:
    """Take a finalizer off an object; that may be its end.

    Args:
        store: Where the object is.
        key: The object; nothing happens if it is gone.
        finalizer: The name to take off.
        namespace: Take it off ``spec.finalizers`` of a namespace instead.
    """
    live = store.current(key)
    if live is None:
        return
    obj = live.object()
    holder = obj["spec"] if namespace else obj["metadata"]
    left = [f for f in holder.get("finalizers") or () if f != finalizer]
    if left:
        holder["finalizers"] = left
    else:
        holder.pop("finalizers", None)
    if finished(obj):
        _, written = store.remove(key, obj, live)
    elif obj != live.object():
        _, written = store.put(key, obj, live)
    else:
        return
    await written
