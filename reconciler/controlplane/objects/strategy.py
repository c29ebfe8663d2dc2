"""How an object becomes what is stored: create and update, step by step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from reconciler.controlplane.errors import (
    ApiError,
    bad_request,
    conflict,
    invalid,
    modified,
)
from reconciler.controlplane.kinds.model import ResourceKind
from reconciler.controlplane.objects import metadata as meta
from reconciler.controlplane.schema.compiled import metadata_node
from reconciler.controlplane.schema.errors import FieldError
from reconciler.controlplane.schema.go_decoding import decoding_fault
from reconciler.controlplane.schema.values import same

Json = dict[str, Any]


@dataclass
class FieldPolicy:
    """What to do about unknown and duplicate fields."""

    mode: str = "Warn"
    """Strict, Warn or Ignore."""

    patch: str | None = None
    """Text of the patched object, if the fields come from a patch."""

    warnings: list[str] = field(default_factory=list)

    def refuse(self, kind: ResourceKind, why: str) -> ApiError:
        """The error for fields that make no object of a kind."""
        if self.patch is None:
            msg = (
                f'{kind.kind} in version "{kind.version}" cannot be handled '
                f"as a {kind.kind}: {why}"
            )
            return bad_request(msg)
        fault = FieldError("patch", "FieldValueInvalid", why, self.patch)
        return invalid("", "", "", [fault])

    def judge(self, kind: ResourceKind, faults: list[str]) -> None:
        """Refuse or note faults such as ``unknown field "spec.x"``.

        Raises:
            ApiError: 400, or 422 for a patch, under Strict.
        """
        if not faults or self.mode == "Ignore":
            return
        if self.mode == "Strict":
            text = "strict decoding error: " + ", ".join(faults)
            raise self.refuse(kind, text)
        self.warnings += faults


def decode(
    kind: ResourceKind,
    body: Any,
    duplicates: Iterable[str],
    policy: FieldPolicy,
) -> Json:
    """Check the type of a body and remove unknown fields.

    Raises:
        ApiError: 400, or 422 for a patch: it is no object of this kind.
    """
    unknown = _typed(kind, body, policy)
    faults = [f'unknown field "{path}"' for path in unknown]
    policy.judge(kind, faults + _duplicate(duplicates))
    decoded: Json = body
    return decoded


def decode_config(
    kind: ResourceKind,
    body: Any,
    duplicates: Iterable[str],
    namespace: str,
    policy: FieldPolicy,
) -> Json:
    """Check a configuration to apply, which must not have unknown fields.

    Raises:
        ApiError: 400, it is no object of this kind.
    """
    unknown = _typed(kind, body, policy)
    if not unknown:
        policy.judge(kind, _duplicate(duplicates))
        config: Json = body
        return config
    faults = [f".{path}: field not declared in schema" for path in unknown]
    name = body["metadata"].get("name", "")
    subject = f"{namespace}/{name}; {kind.group}/{kind.version}"
    listed = "\n  ".join(["errors:", *faults] if faults[1:] else faults)
    msg = (
        f"failed to create typed patch object ({subject}, "
        f"Kind={kind.kind}): {listed}"
    )
    raise bad_request(msg)


def _duplicate(names: Iterable[str]) -> list[str]:
    return [f'duplicate field "{name}"' for name in names]


def _typed(kind: ResourceKind, body: Any, policy: FieldPolicy) -> list[str]:
    """Check the types of a body; drop and return unknown fields."""
    if not isinstance(body, dict):
        raise bad_request("the body must be an object")
    _check_type(kind, body)
    if fault := _decoding_fault(kind, body):
        raise policy.refuse(kind, fault)
    unknown = meta.normalise(body)
    if not kind.custom:
        drop_nulls(body)
    pruned = kind.compiled.prune(body)
    return unknown + [path for path in pruned if path not in unknown]


def _decoding_fault(kind: ResourceKind, body: Json) -> str:
    if kind.custom:
        metadata = body.get("metadata")
        return decoding_fault(metadata, metadata_node(), "ObjectMeta")
    return decoding_fault(body, kind.compiled.root, kind.kind)


def _check_type(kind: ResourceKind, body: Json) -> None:
    if not kind.custom:
        body.setdefault("apiVersion", kind.api_version)
        body.setdefault("kind", kind.kind)
    for field_name, wanted in (
        ("kind", kind.kind),
        ("apiVersion", kind.api_version),
    ):
        given = body.get(field_name)
        if not given or not isinstance(given, str):
            shown = "Kind" if field_name == "kind" else field_name
            msg = f"Object '{shown}' is missing in the body"
            raise bad_request(msg)
        if given != wanted:
            name = "API version" if field_name == "apiVersion" else "kind"
            msg = (
                f"the {name} in the data ({given}) does not match the "
                f"expected {name} ({wanted})"
            )
            raise bad_request(msg)


def drop_nulls(value: Any) -> None:
    """Remove nulls, which mean "not set" in built-in kinds."""
    if isinstance(value, dict):
        for key in [key for key, item in value.items() if item is None]:
            del value[key]
        value = value.values()
    elif not isinstance(value, list):
        return
    for item in value:
        drop_nulls(item)


def check_place(
    obj: Json, namespace: str | None, name: str, kind: ResourceKind
) -> None:
    """Refuse a body whose namespace or name is not the URL's.

    Raises:
        ApiError: 400.
    """
    metadata = obj["metadata"]
    given = metadata.get("namespace", "")
    if kind.namespaced and given and given != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the "
            "namespace sent on the request"
        )
    if not kind.namespaced:
        metadata.pop("namespace", None)
    if name and not metadata.get("name"):
        metadata["name"] = name
    if name and metadata["name"] != name:
        msg = (
            f"the name of the object ({metadata['name']}) does not match "
            f"the name on the URL ({name})"
        )
        raise bad_request(msg)


def create(kind: ResourceKind, obj: Json, namespace: str | None) -> Json:
    """A new object, complete but for its resourceVersion.

    Raises:
        ApiError: 422, it is not valid.
    """
    if obj["metadata"].get("resourceVersion"):
        raise bad_request(
            "resourceVersion should not be set on objects to be created"
        )
    meta.stamp(obj, namespace, counted=kind.counted)
    if kind.status:
        obj.pop("status", None)
    return _complete(kind, obj, None)


def update(
    kind: ResourceKind, new: Json, old: Json, subresource: str = ""
) -> Json:
    """The new state of a live object.

    Args:
        kind: What it is.
        new: What the client wants; changed in place.
        old: The live object.
        subresource: ``status`` changes only the status.

    Raises:
        ApiError: 409, the client has not seen the live object; 422.
    """
    _check_seen(kind, new, old)
    if subresource == "status":
        new = _only_status(new, old)
    elif kind.status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    faults = list(meta.check_update(new, old))
    meta.carry_over(new, old)
    if faults:
        raise _invalid(kind, new, faults)
    new = _complete(kind, new, old)
    if kind.counted and not same(subject(kind, new), subject(kind, old)):
        generation = old["metadata"].get("generation", 0)
        new["metadata"]["generation"] = generation + 1
    return new


def _check_seen(kind: ResourceKind, new: Json, old: Json) -> None:
    name = old["metadata"]["name"]
    wanted, live = new["metadata"], old["metadata"]
    version = wanted.get("resourceVersion", "")
    if not version and not kind.unconditional:
        fault = FieldError(
            "metadata.resourceVersion",
            "FieldValueInvalid",
            "must be specified for an update",
            0,
        )
        raise invalid(kind.kind, kind.group, name, [fault])
    if uid := wanted.get("uid"):
        check_uid(kind, uid, live)
    if version and version != live["resourceVersion"]:
        raise modified(kind, name)


def check_uid(kind: ResourceKind, wanted: str, live: Json) -> None:
    """Refuse an object of the same name that is not the one meant.

    Args:
        kind: What it is.
        wanted: The uid that the client names.
        live: Metadata of the live object.

    Raises:
        ApiError: 409.
    """
    if wanted != live["uid"]:
        raise conflict(
            kind,
            live["name"],
            f"Precondition failed: UID in precondition: {wanted}, UID in "
            f"object meta: {live['uid']}",
        )


def _only_status(new: Json, old: Json) -> Json:
    changed = {key: value for key, value in old.items() if key != "status"}
    changed["metadata"] = dict(old["metadata"])
    if "managedFields" in new["metadata"]:
        changed["metadata"]["managedFields"] = new["metadata"]["managedFields"]
    if "status" in new:
        changed["status"] = new["status"]
    return changed


def _complete(kind: ResourceKind, obj: Json, old: Json | None) -> Json:
    if kind.hooks.prepare is not None:
        kind.hooks.prepare(obj, old)
    obj = kind.compiled.default(obj)
    faults = list(
        meta.check(obj, namespaced=kind.namespaced, rule=kind.name_rule)
    )
    faults += kind.compiled.validate(obj, old)
    if not faults and kind.hooks.check is not None:
        faults += kind.hooks.check(obj, old)
    if faults:
        raise _invalid(kind, obj, faults)
    return obj


def _invalid(
    kind: ResourceKind, obj: Json, faults: list[FieldError]
) -> ApiError:
    name = obj["metadata"].get("name", "")
    return invalid(kind.kind, kind.group, name, faults)


def subject(kind: ResourceKind, obj: Json) -> Json:
    """The part of an object whose changes are counted as generations."""
    ignored = {"metadata", "apiVersion", "kind"}
    if kind.status:
        ignored.add("status")
    return {key: value for key, value in obj.items() if key not in ignored}


def unchanged(new: Json, old: Json) -> bool:
    """Whether a write can be left out: nothing differs but times."""
    return same(_timeless(new), _timeless(old))


def _timeless(obj: Json) -> Json:
    entries = obj["metadata"].get("managedFields") or ()
    metadata = {
        key: value
        for key, value in obj["metadata"].items()
        if key != "resourceVersion"
    }
    metadata["managedFields"] = [
        {key: value for key, value in entry.items() if key != "time"}
        for entry in entries
    ]
    return obj | {"metadata": metadata}
