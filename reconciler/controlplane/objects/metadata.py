"""``metadata``: shape, stamping, and what an update may change."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any

from reconciler.controlplane.objects.names import (
    NameRule,
    check_labels,
    check_name,
    check_qualified,
    generate,
)
from reconciler.controlplane.schema.errors import FieldError

Json = dict[str, Any]

_STRINGS = (
    "creationTimestamp",
    "deletionTimestamp",
    "generateName",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
)
_INTEGERS = ("deletionGracePeriodSeconds", "generation")
_MAPS = ("annotations", "labels")
_LISTS = ("finalizers", "managedFields", "ownerReferences")
KNOWN = frozenset((*_STRINGS, *_INTEGERS, *_MAPS, *_LISTS))
_OWNER_FIELDS = ("apiVersion", "kind", "name", "uid")
_KEPT = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "uid",
)
ANNOTATION_BYTES = 256 * 1024


def now_text(now: dt.datetime | None = None) -> str:
    """A timestamp as the API writes it: RFC 3339, seconds, UTC."""
    moment = now or dt.datetime.now(dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def normalise(obj: Json) -> list[str]:
    """Bring metadata into shape; unknown fields are dropped and returned.

    The fields have the right types, or are null.
    """
    metadata = obj.get("metadata")
    if metadata is None:
        metadata = obj["metadata"] = {}
    unknown = [key for key in metadata if key not in KNOWN]
    for key in unknown:
        del metadata[key]
    for key in [key for key in metadata if metadata[key] is None]:
        del metadata[key]
    for key in metadata:
        metadata[key] = _zeroed(key, metadata[key])
    metadata.pop("selfLink", None)
    for key in (*_MAPS, *_LISTS):
        if key in metadata and not metadata[key]:
            del metadata[key]
    return [f"metadata.{key}" for key in unknown]


def _zeroed(key: str, value: Any) -> Any:
    """Nulls in a list or a map are the zero of its items, as in Go."""
    if key in _MAPS:
        return {k: "" if v is None else v for k, v in value.items()}
    if key in _LISTS:
        zero = "" if key == "finalizers" else {}
        return [zero if item is None else item for item in value]
    return value


def stamp(obj: Json, namespace: str | None, *, counted: bool) -> None:
    """Give a new object its identity."""
    metadata = obj["metadata"]
    for field in _KEPT:
        metadata.pop(field, None)
    metadata.pop("resourceVersion", None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generate(metadata["generateName"])
    if namespace is not None:
        metadata["namespace"] = namespace
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = now_text()
    if counted:
        metadata["generation"] = 1


def carry_over(new: Json, old: Json) -> None:
    """Keep what no client may change from the live object."""
    fresh, live = new["metadata"], old["metadata"]
    for field in (*_KEPT, "namespace", "name", "generateName"):
        if field in live:
            fresh[field] = live[field]
        else:
            fresh.pop(field, None)


def check(
    obj: Json, *, namespaced: bool, rule: NameRule = "subdomain"
) -> Iterator[FieldError]:
    """Field errors of an object's metadata."""
    metadata = obj["metadata"]
    name = metadata.get("name", "")
    if not name:
        yield FieldError(
            "metadata.name",
            "FieldValueRequired",
            "name or generateName is required",
        )
    else:
        yield from check_name(name, "metadata.name", rule)
    if namespaced and not metadata.get("namespace"):
        yield FieldError("metadata.namespace", "FieldValueRequired")
    yield from check_labels(metadata.get("labels") or {}, "metadata.labels")
    yield from _check_annotations(metadata.get("annotations") or {})
    yield from _check_owners(metadata.get("ownerReferences") or [])
    for finalizer in metadata.get("finalizers") or []:
        yield from check_qualified(finalizer, "metadata.finalizers")


def _check_annotations(annotations: Json) -> Iterator[FieldError]:
    path = "metadata.annotations"
    for key in annotations:
        yield from check_qualified(key.lower(), path)
    size = sum(len(k) + len(v) for k, v in annotations.items())
    if size > ANNOTATION_BYTES:
        yield FieldError(
            path,
            "FieldValueTooLong",
            f"may not be more than {ANNOTATION_BYTES} bytes",
        )


def _check_owners(owners: list[Json]) -> Iterator[FieldError]:
    for index, owner in enumerate(owners):
        for field in _OWNER_FIELDS:
            if not isinstance(owner.get(field), str) or not owner[field]:
                yield FieldError(
                    f"metadata.ownerReferences[{index}].{field}",
                    "FieldValueRequired",
                    "must not be empty",
                )
    controllers = [o for o in owners if o.get("controller") is True]
    if len(controllers) > 1:
        yield FieldError(
            "metadata.ownerReferences",
            "FieldValueInvalid",
            "Only one reference can have Controller set to true",
            [owner.get("name") for owner in controllers],
        )


def check_update(new: Json, old: Json) -> Iterator[FieldError]:
    """Field errors of a change of metadata."""
    if "deletionTimestamp" not in old["metadata"]:
        return
    had = set(old["metadata"].get("finalizers") or ())
    now = new["metadata"].get("finalizers") or ()
    added = [finalizer for finalizer in now if finalizer not in had]
    if added:
        quoted = ", ".join(f'"{finalizer}"' for finalizer in added)
        yield FieldError(
            "metadata.finalizers",
            "FieldValueForbidden",
            "no new finalizers can be added if the object is being deleted, "
            f"found new finalizers []string{{{quoted}}}",
        )
