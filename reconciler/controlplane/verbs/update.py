"""update, patch and apply, on the object and on its status."""

from __future__ import annotations

from dataclasses import replace as replace_fields
from typing import Any

import orjson

from reconciler.controlplane import media
from reconciler.controlplane.access import escalation
from reconciler.controlplane.errors import (
    ApiError,
    bad_request,
    conflict,
    invalid,
    modified,
    not_found,
    unsupported_media,
)
from reconciler.controlplane.objects import form, strategy
from reconciler.controlplane.objects.metadata import normalise, now_text
from reconciler.controlplane.patch import (
    PatchError,
    conflict_message,
    json_patch,
    merge_patch,
    server_side_apply,
    strategic_merge,
)
from reconciler.controlplane.schema.errors import FieldError
from reconciler.controlplane.schema.go_decoding import cannot_unmarshal
from reconciler.controlplane.storage.record import Stored
from reconciler.controlplane.verbs import admit, ownership
from reconciler.controlplane.verbs.call import Answer, Call
from reconciler.controlplane.verbs.create import store_new

Json = dict[str, Any]

PATCHES = (media.JSON_PATCH, media.MERGE_PATCH, media.APPLY_PATCH)


async def update(call: Call) -> Answer:
    """Replace an object, or its status.

    Raises:
        ApiError: 400, 404, 409 or 422.
    """
    body, duplicates = call.parsed()
    if call.kind.creates and call.store.current(call.key) is None:
        may_create(call)
        obj = strategy.decode(call.kind, body, duplicates, call.policy)
        return await store_new(call, obj, managed=False)
    live = call.live()
    obj = strategy.decode(call.kind, body, duplicates, call.policy)
    strategy.check_place(obj, call.route.namespace, call.route.name, call.kind)
    return await replace(call, live, obj)


def may_create(call: Call) -> None:
    """Who may change an object may not for that reason create it.

    Raises:
        ApiError: 403.
    """
    asked = replace_fields(call.request, verb="create")
    call.cluster.authorizer.require(call.user, asked)


async def replace(
    call: Call,
    live: Stored,
    new: Json,
    *,
    managed: bool = False,
    admitted: bool = False,
) -> Answer:
    """Store the new state of a live object, unless nothing changes.

    Args:
        call: The request.
        live: The newest state.
        new: The wanted state, decoded; changed in place.
        managed: Its managedFields are up to date (server-side apply).
        admitted: Webhooks were asked already.

    Raises:
        OvertakenError: The object changed while webhooks were asked.
    """
    kind = call.kind
    old = form.read(kind, live)
    if (
        "managedFields" not in new["metadata"]
        and "managedFields" in (old["metadata"])
    ):
        new["metadata"]["managedFields"] = old["metadata"]["managedFields"]
    gate = None if admitted else admit.gate(call, "UPDATE")
    if gate is not None:
        new = await gate.mutated(new, old)
    new = strategy.update(kind, new, old, call.route.subresource)
    if gate is not None:
        await gate.validated(new, old)
        gate.unchanged(live)
    escalation.check(
        call.cluster.authorizer, call.user, kind, new, old, call.route.name
    )
    if not managed:
        new = ownership.record(call, old, new)
    if call.dry_run:
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        return Answer(obj=new)
    return await _write(call, live, new, old)


async def _write(call: Call, live: Stored, new: Json, old: Json) -> Answer:
    kind, store = call.kind, call.store
    if finished(new):
        stored, written = store.remove(
            live.key, form.to_storage(kind, new), live
        )
        await written
    elif strategy.unchanged(new, old) and not form.outdated(kind, live):
        await store.settled(live.key)
        stored = live
    else:
        stored, written = store.put(
            live.key, form.to_storage(kind, new), live, limit=media.BODY_BYTES
        )
        await written
    return Answer(raw=form.raw(kind, stored))


def finished(obj: Json) -> bool:
    """Whether a deleted object has nothing left to wait for."""
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    held = obj.get("kind") == "Namespace" and obj.get("apiVersion") == "v1"
    return not (held and (obj.get("spec") or {}).get("finalizers"))


async def patch(call: Call) -> Answer:
    """Change a part of an object.

    Raises:
        ApiError: 400, 404, 409, 415 or 422.
    """
    kind = media.parse_range(call.content_type).type
    offered = (*PATCHES, *(() if call.kind.custom else _STRATEGIC))
    if kind not in offered:
        raise unsupported_media(offered)
    body, duplicates = media.load(call.body)
    if kind == media.APPLY_PATCH:
        return await apply(call, body, duplicates)
    if call.flag("force"):
        fault = FieldError(
            "force",
            "FieldValueForbidden",
            "may not be specified for non-apply patch",
        )
        raise invalid("PatchOptions", "meta.k8s.io", "", [fault])
    live = call.live()
    new = patched(call, form.read(call.kind, live), body, kind)
    new = _decode_patched(call, new, duplicates)
    return await replace(call, live, new)


_STRATEGIC = (media.STRATEGIC_PATCH,)


def patched(call: Call, live: Json, body: Any, kind: str) -> Json:
    """A live object with a patch applied, not yet checked.

    Raises:
        ApiError: 400 or 422.
    """
    if kind != media.JSON_PATCH and not isinstance(body, dict):
        raise _no_object(body, kind)
    try:
        if kind == media.JSON_PATCH:
            new = json_patch(live, body)
        elif kind == media.MERGE_PATCH:
            new = merge_patch(live, body)
        else:
            new = strategic_merge(live, body, call.kind.kind)
    except PatchError as error:
        raise _refused(error) from error
    if not isinstance(new, dict):
        raise bad_request("the patched body is no object")
    return new


def _no_object(body: Any, kind: str) -> ApiError:
    msg = cannot_unmarshal(body, "map[string]interface {}")
    if kind == media.MERGE_PATCH:
        msg = f"error decoding patch: {msg}"
    return bad_request(msg)


def _refused(error: PatchError) -> ApiError:
    return ApiError(error.code, error.reason, error.message)


def _decode_patched(call: Call, new: Json, duplicates: list[str]) -> Json:
    # The result shares structure with the live object, which stays as it is.
    media.check_depth(new, "patched object")
    text = orjson.dumps(new)
    fresh = orjson.loads(text)
    call.policy.patch = text.decode()
    obj = strategy.decode(call.kind, fresh, duplicates, call.policy)
    metadata = obj["metadata"]
    metadata.setdefault("name", call.route.name)
    strategy.check_place(obj, call.route.namespace, call.route.name, call.kind)
    if not metadata.get("resourceVersion"):
        raise invalid(
            call.kind.kind,
            call.kind.group,
            call.route.name,
            [
                FieldError(
                    "metadata.resourceVersion",
                    "FieldValueInvalid",
                    "must be specified for an update",
                    0,
                )
            ],
        )
    return obj


async def apply(call: Call, body: Any, duplicates: list[str]) -> Answer:
    """Server-side apply: the body is what the manager wants.

    Raises:
        ApiError: 400, 404, 409 (conflicts with other managers) or 422.
    """
    manager = call.manager(required=True)
    config = strategy.decode_config(
        call.kind, body, duplicates, call.route.namespace or "", call.policy
    )
    strategy.check_place(
        config, call.route.namespace, call.route.name, call.kind
    )
    live = call.store.current(call.key)
    if live is None and call.route.subresource:
        raise not_found(call.kind, call.route.name)
    _check_identity(call, config, live)
    merged = _applied(call, live, config, manager)
    normalise(merged)
    if live is None:
        may_create(call)
        return await store_new(call, merged, managed=True)
    merged["metadata"].setdefault(
        "resourceVersion",
        form.read(call.kind, live)["metadata"]["resourceVersion"],
    )
    return await replace(call, live, merged, managed=True)


def _check_identity(call: Call, config: Json, live: Stored | None) -> None:
    """Refuse to apply to another object, or version of it, than was meant."""
    metadata = config["metadata"]
    wanted, uid = metadata.pop("resourceVersion", None), metadata.get("uid")
    if live is None:
        if uid:
            raise conflict(
                call.kind,
                call.route.name,
                f"uid mismatch: the provided object specified uid {uid}, and "
                "no existing object was found",
            )
        if wanted:
            raise not_found(call.kind, call.route.name)
        return
    if uid:
        strategy.check_uid(call.kind, uid, live.object()["metadata"])
    if wanted and wanted != str(live.number):
        raise modified(call.kind, call.route.name)


def _applied(
    call: Call, live: Stored | None, config: Json, manager: str
) -> Json:
    kind, subresource = call.kind, call.route.subresource
    reset = ("status",) if kind.status and not subresource else ()
    try:
        merged, conflicts = server_side_apply(
            form.read(kind, live) if live else None,
            config,
            manager,
            call.flag("force"),
            kind.compiled,
            now_text(),
            subresource,
            kind.api_version,
            reset,
        )
    except PatchError as error:
        raise _refused(error) from error
    if conflicts:
        raise ApiError(
            409,
            "Conflict",
            conflict_message(conflicts),
            {"causes": [conflict.cause() for conflict in conflicts]},
        )
    copy: Json = orjson.loads(orjson.dumps(merged))
    return copy
