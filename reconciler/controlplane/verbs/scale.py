"""The scale subresource: replicas of any kind, in one form."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import orjson

from reconciler.controlplane import media
from reconciler.controlplane.errors import (
    bad_request,
    invalid,
    unsupported_media,
)
from reconciler.controlplane.kinds.model import ScalePaths
from reconciler.controlplane.objects import form
from reconciler.controlplane.schema.errors import FieldError
from reconciler.controlplane.schema.jsonpath import jsonpath
from reconciler.controlplane.verbs import admit
from reconciler.controlplane.verbs.call import Answer, Call
from reconciler.controlplane.verbs.update import patched, replace

Json = dict[str, Any]

_PATCHES = (media.JSON_PATCH, media.MERGE_PATCH)


def get(call: Call) -> Answer:
    """The scale of an object.

    Raises:
        ApiError: 404.
    """
    return Answer(obj=_scale(call, form.read(call.kind, call.live())))


async def update(call: Call) -> Answer:
    """Replace or patch the scale of an object.

    Raises:
        ApiError: 400, 404, 409, 415 or 422.
    """
    live = call.live()
    obj = form.read(call.kind, live)
    before = _scale(call, obj)
    body = _wanted(call, before)
    gate = admit.gate(call, "UPDATE", ("autoscaling", "v1", "Scale"))
    if gate is not None:
        body = await gate.mutated(body, before)
        await gate.validated(before | body, before)
        gate.unchanged(live)
    _set(obj, _paths(call).spec, _replicas(body))
    version = (body.get("metadata") or {}).get("resourceVersion")
    if version:
        obj["metadata"]["resourceVersion"] = version
    plain = copy.copy(call)
    plain.route = dataclasses.replace(call.route, subresource="")
    written = await replace(plain, live, obj, admitted=True)
    stored = written.obj or orjson.loads(written.raw or b"")
    return Answer(obj=_scale(call, stored))


def _wanted(call: Call, scale: Json) -> Json:
    kind = media.parse_range(call.content_type).type
    body, _ = media.load(call.body)
    if kind in _PATCHES:
        return patched(call, scale, body, kind)
    if kind not in media.BODIES:
        raise unsupported_media((*media.BODIES, *_PATCHES))
    if not isinstance(body, dict):
        raise bad_request("the body must be a Scale")
    return body


def _replicas(body: Json) -> int:
    spec = body.get("spec") or {}
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise bad_request("spec.replicas must be an integer")
    if replicas < 0:
        fault = FieldError(
            "spec.replicas",
            "FieldValueInvalid",
            "should be a non-negative integer",
            replicas,
        )
        raise invalid("Scale", "autoscaling", "", [fault])
    return replicas


def _paths(call: Call) -> ScalePaths:
    if call.kind.scale is None:
        raise LookupError("the kind has no scale")
    return call.kind.scale


def _scale(call: Call, obj: Json) -> Json:
    paths, metadata = _paths(call), obj["metadata"]
    status: Json = {"replicas": _number(obj, paths.status)}
    if paths.selector:
        found = jsonpath(paths.selector)(obj)
        status["selector"] = found[0] if found else ""
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": _number(obj, paths.spec)},
        "status": status,
    }


def _number(obj: Json, path: str) -> int:
    found = jsonpath(path)(obj)
    return found[0] if found and isinstance(found[0], int) else 0


def _set(obj: Json, path: str, value: int) -> None:
    *parents, last = path.strip(".").split(".")
    node = obj
    for part in parents:
        child = node.get(part)
        if not isinstance(child, dict):
            child = node[part] = {}
        node = child
    node[last] = value
