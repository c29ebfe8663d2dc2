"""TokenRequest: the token subresource of ServiceAccounts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from reconciler.controlplane.access.authenticator import BOUND_KINDS
from reconciler.controlplane.access.tokens import ISSUER, Subject
from reconciler.controlplane.errors import (
    bad_request,
    conflict,
    invalid,
    not_found,
)
from reconciler.controlplane.schema.errors import FieldError
from reconciler.controlplane.storage.record import Key
from reconciler.controlplane.verbs.call import Answer, Call

Json = dict[str, Any]

DEFAULT_SECONDS = 3600
SHORTEST_SECONDS = 600
LONGEST_SECONDS = 1 << 32
_CORE = (None, "", "v1")
_BINDABLE = " or ".join(BOUND_KINDS)


def create(call: Call) -> Answer:
    """Issue a token for a ServiceAccount.

    Raises:
        ApiError: 400, 404, 409 or 422.
    """
    body, _ = call.parsed()
    spec = (body.get("spec") or {}) if isinstance(body, dict) else None
    if not isinstance(spec, dict):
        raise bad_request("the body must be a TokenRequest")
    account = call.live().object()
    seconds = _seconds(call, spec)
    audiences = spec.get("audiences") or [ISSUER]
    if not isinstance(audiences, list) or not all(
        isinstance(a, str) and a for a in audiences
    ):
        raise bad_request("spec.audiences must be a list of strings")
    metadata = account["metadata"]
    subject = Subject(
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        tuple(audiences),
        _bound(call, spec),
    )
    token, end = call.cluster.tokens.issue(subject, seconds)
    expiry = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "creationTimestamp": datetime.now(UTC).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            ),
        },
        "spec": {
            "audiences": audiences,
            "expirationSeconds": seconds,
            "boundObjectRef": spec.get("boundObjectRef"),
        },
        "status": {"token": token, "expirationTimestamp": expiry},
    }
    return Answer(201, obj=request)


def _seconds(call: Call, spec: Json) -> int:
    seconds = spec.get("expirationSeconds")
    if seconds is None:
        return DEFAULT_SECONDS
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise bad_request("spec.expirationSeconds must be an integer")
    why = ""
    if seconds < SHORTEST_SECONDS:
        why = "may not specify a duration less than 10 minutes"
    elif seconds > LONGEST_SECONDS:
        why = "may not specify a duration larger than 2^32 seconds"
    if why:
        fault = FieldError(
            "spec.expirationSeconds", "FieldValueInvalid", why, seconds
        )
        raise invalid(
            "TokenRequest",
            "authentication.k8s.io",
            call.route.name,
            [fault],
        )
    return seconds


def _bound(call: Call, spec: Json) -> Json | None:
    reference = spec.get("boundObjectRef")
    if not reference:
        return None
    if not isinstance(reference, dict):
        raise bad_request("spec.boundObjectRef must be an object")
    version, kind = reference.get("apiVersion"), reference.get("kind")
    resource = BOUND_KINDS.get(str(kind)) if version in _CORE else None
    if resource is None:
        msg = (
            f"cannot bind token for serviceaccount {call.route.name!r} to "
            f"type {version or ''}, Kind={kind or ''}: only {_BINDABLE}"
        )
        raise bad_request(msg)
    name = str(reference.get("name", ""))
    stored = call.store.current(
        Key(resource, call.route.namespace or "", name)
    )
    if stored is None:
        raise not_found(
            call.cluster.registry.stored(resource) or call.kind, name
        )
    uid = stored.object()["metadata"]["uid"]
    if reference.get("uid") not in (None, "", uid):
        why = (
            f"the UID in the bound object reference ({reference['uid']}) does "
            f"not match the UID in record. The object might have been deleted "
            "and then recreated"
        )
        kind = call.cluster.registry.stored(resource)
        raise conflict(kind or call.kind, name, why)
    return {"kind": reference["kind"], "name": name, "uid": uid}
