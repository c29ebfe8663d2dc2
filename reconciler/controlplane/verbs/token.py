"""TokenRequest: the token subresource of ServiceAccounts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from reconciler.controlplane.access.authenticator import BOUND_KINDS
from reconciler.controlplane.access.tokens import ISSUER, Subject
from reconciler.controlplane.errors import bad_request, invalid, not_found
from reconciler.controlplane.schema.errors import FieldError
from reconciler.controlplane.storage.record import Key
from reconciler.controlplane.verbs.call import Answer, Call

Json = dict[str, Any]

DEFAULT_SECONDS = 3600
SHORTEST_SECONDS = 600
LONGEST_SECONDS = 1 << 32


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
    resource = BOUND_KINDS.get(
        reference.get("kind", "") if isinstance(reference, dict) else ""
    )
    if resource is None:
        shown = " or ".join(BOUND_KINDS)
        msg = f"cannot bind a token to this object: its kind must be {shown}"
        raise bad_request(msg)
    name = str(reference.get("name", ""))
    stored = call.store.current(
        Key(resource, call.route.namespace or "", name)
    )
    if stored is None:
        kind = call.cluster.registry.stored(resource)
        raise not_found(kind or call.kind, name)
    uid = stored.object()["metadata"]["uid"]
    if reference.get("uid") not in (None, "", uid):
        msg = (
            f"the UID in the bound object reference ({reference['uid']}) does "
            f"not match the UID in record ({uid})"
        )
        raise bad_request(msg)
    return {"kind": reference["kind"], "name": name, "uid": uid}
