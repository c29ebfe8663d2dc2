"""Reviews: who am I, and may I. Questions that are answered, not stored."""

from __future__ import annotations

from typing import Any

from reconciler.controlplane.access.identity import User
from reconciler.controlplane.access.rules import Request
from reconciler.controlplane.access.tokens import ISSUER
from reconciler.controlplane.errors import ApiError, bad_request, invalid
from reconciler.controlplane.schema.errors import FieldError
from reconciler.controlplane.verbs.call import Answer, Call

Json = dict[str, Any]


def review(call: Call) -> Answer:
    """Answer a review.

    Raises:
        ApiError: 400, the body is no such review; 422, it asks nothing.
    """
    body, _ = call.parsed()
    if not isinstance(body, dict):
        raise bad_request("the body must be an object")
    spec = body.get("spec") or {}
    if not isinstance(spec, dict):
        raise bad_request("spec must be an object")
    head = {
        "apiVersion": call.kind.api_version,
        "kind": call.kind.kind,
        "metadata": {},
        "spec": spec,
    }
    return Answer(201, obj=head | {"status": _status(call, spec)})


def _status(call: Call, spec: Json) -> Json:
    match call.kind.kind:
        case "SelfSubjectReview":
            return {"userInfo": call.user.info()}
        case "TokenReview":
            return _token(call, spec)
        case "SelfSubjectRulesReview":
            return _rules(call, _text(spec, "namespace"))
        case "SelfSubjectAccessReview":
            return _access(call, call.user, spec)
        case _:
            return _access(call, _subject(call, spec), spec)


def _token(call: Call, spec: Json) -> Json:
    token = _text(spec, "token")
    if not token:
        raise bad_request(
            "token is required for TokenReview in authentication"
        )
    asked = tuple(_texts(spec, "audiences")) or (ISSUER,)
    try:
        user, meant = call.cluster.authenticator.bearer(token, asked)
    except ApiError:
        return {"user": {}, "error": "invalid bearer token"}
    return {
        "authenticated": True,
        "user": user.info(),
        "audiences": list(meant),
    }


def _rules(call: Call, namespace: str) -> Json:
    if not namespace:
        raise bad_request("no namespace on request")
    rules = call.cluster.authorizer.policy.rules_of(call.user, namespace)
    stored = [rule.stored() for rule in rules]
    return {
        "incomplete": False,
        "resourceRules": [r for r in stored if "nonResourceURLs" not in r],
        "nonResourceRules": [r for r in stored if "nonResourceURLs" in r],
    }


def _access(call: Call, user: User, spec: Json) -> Json:
    request = _request(call, spec)
    decision = call.cluster.authorizer.policy.decide(user, request)
    status: Json = {"allowed": decision.allowed}
    return status | ({"reason": decision.reason} if decision.reason else {})


def _request(call: Call, spec: Json) -> Request:
    asked, path = (
        spec.get("resourceAttributes"),
        spec.get("nonResourceAttributes"),
    )
    if (asked is None) == (path is None):
        fault = FieldError(
            "spec.resourceAttributes",
            "FieldValueInvalid",
            "exactly one of nonResourceAttributes or resourceAttributes must "
            "be specified",
            asked,
        )
        raise invalid(call.kind.kind, call.kind.group, "", [fault])
    attributes = asked if path is None else path
    if not isinstance(attributes, dict):
        raise bad_request("the attributes must be an object")
    if path is not None:
        return Request(_text(path, "verb").lower(), path=_text(path, "path"))
    parts = ("group", "resource", "subresource", "namespace", "name")
    return Request(
        _text(attributes, "verb"), *(_text(attributes, p) for p in parts)
    )


def _subject(call: Call, spec: Json) -> User:
    if call.kind.namespaced:
        asked = spec.get("resourceAttributes") or {}
        given = asked.get("namespace") if isinstance(asked, dict) else None
        if given != call.route.namespace:
            msg = (
                "spec.resourceAttributes.namespace must match namespace: "
                f"{call.route.namespace}"
            )
            raise bad_request(msg)
    name, groups = _text(spec, "user"), _texts(spec, "groups")
    if not name and not groups:
        fault = FieldError(
            "spec.user",
            "FieldValueInvalid",
            "at least one of user or group must be specified",
            name,
        )
        raise invalid(call.kind.kind, call.kind.group, "", [fault])
    return User(name, tuple(groups), _text(spec, "uid"))


def _text(part: Json, name: str) -> str:
    value = part.get(name) or ""
    if not isinstance(value, str):
        msg = f"{name} must be a string"
        raise bad_request(msg)
    return value


def _texts(part: Json, name: str) -> list[str]:
    values = part.get(name) or []
    if not isinstance(values, list) or not all(
        isinstance(value, str) for value in values
    ):
        msg = f"{name} must be a list of strings"
        raise bad_request(msg)
    return values
