"""AdmissionReview: the question, and what an answer may be. Pure."""

from __future__ import annotations

import base64
import binascii
import uuid
from dataclasses import dataclass
from typing import Any

import orjson

from reconciler.controlplane.admission.attributes import Attributes, Resource
from reconciler.controlplane.admission.hook import Hook
from reconciler.controlplane.errors import ApiError

Json = dict[str, Any]

GROUP = "admission.k8s.io"
SUPPORTED = ("v1", "v1beta1")
_SMALLEST_FAILURE, _LARGEST_FAILURE = 400, 599


class AnswerError(Exception):
    """The webhook answered something that is no AdmissionReview to this."""


@dataclass(frozen=True)
class Verdict:
    """What a webhook said."""

    allowed: bool
    status: Json
    patch: Any = None
    """Operations of a JSON patch, or None."""

    warnings: tuple[str, ...] = ()


def question(hook: Hook, attributes: Attributes, resource: Resource) -> Json:
    """The AdmissionReview that a webhook is sent.

    Args:
        hook: The webhook.
        attributes: The request.
        resource: The version in which the webhook wants to see it.
    """
    made = attributes.resource
    shown = attributes.shown
    request: Json = {
        "uid": str(uuid.uuid4()),
        "kind": _kind(resource, shown),
        "resource": _resource(resource),
        "requestKind": _kind(made, shown),
        "requestResource": _resource(made),
        "operation": attributes.operation,
        "userInfo": attributes.user.info(),
        "object": _converted(attributes.new, resource, shown),
        "oldObject": _converted(attributes.old, resource, shown),
        "dryRun": attributes.dry_run,
        "options": attributes.options,
    }
    for name, value in (
        ("name", attributes.name),
        ("namespace", _namespace(attributes)),
        ("subResource", attributes.subresource),
        ("requestSubResource", attributes.subresource),
    ):
        if value:
            request[name] = value
    version = next(v for v in hook.versions if v in SUPPORTED)
    return {
        "kind": "AdmissionReview",
        "apiVersion": f"{GROUP}/{version}",
        "request": request,
    }


def _namespace(attributes: Attributes) -> str:
    """The request's namespace; a Namespace is in itself."""
    made = attributes.resource
    if (made.group, made.plural) == ("", "namespaces"):
        return attributes.name
    return attributes.namespace


def _kind(resource: Resource, shown: tuple[str, str, str] | None) -> Json:
    group, version, kind = shown or (
        resource.group,
        resource.version,
        resource.kind,
    )
    return {"group": group, "version": version, "kind": kind}


def _resource(resource: Resource) -> Json:
    return {
        "group": resource.group,
        "version": resource.version,
        "resource": resource.plural,
    }


def _converted(
    obj: Json | None, resource: Resource, shown: tuple[str, str, str] | None
) -> Json | None:
    if obj is None or shown is not None:
        return obj
    return obj | {"apiVersion": resource.api_version, "kind": resource.kind}


def read_answer(body: bytes, asked: Json, *, mutating: bool) -> Verdict:
    """What a webhook answered.

    Raises:
        AnswerError: it is no answer to this question.
    """
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        msg = f"could not get REST response as JSON: {error}"
        raise AnswerError(msg) from error
    response = review.get("response") if isinstance(review, dict) else None
    if not isinstance(response, dict):
        raise AnswerError("webhook response was absent")
    if response.get("uid") != asked["request"]["uid"]:
        msg = (
            f"expected response.uid={asked['request']['uid']!r}, "
            f"got {response.get('uid')!r}"
        )
        raise AnswerError(msg.replace("'", '"'))
    found = (review.get("apiVersion"), review.get("kind"))
    if found != (asked["apiVersion"], asked["kind"]):
        msg = (
            "expected webhook response of "
            f"{asked['apiVersion']}, Kind={asked['kind']}, "
            f"got {found[0] or ''}, Kind={found[1] or ''}"
        )
        raise AnswerError(msg)
    return _verdict(response, mutating=mutating)


def _verdict(response: Json, *, mutating: bool) -> Verdict:
    allowed = response.get("allowed")
    status = response.get("status") or {}
    warnings = response.get("warnings") or []
    if not isinstance(allowed, bool) or not isinstance(status, dict):
        raise AnswerError("webhook response.allowed must be a boolean")
    if not isinstance(warnings, list):
        raise AnswerError("webhook response.warnings must be a list")
    patch = response.get("patch")
    if patch is None:
        if response.get("patchType"):
            raise AnswerError("webhook returned patchType without a patch")
    elif not mutating:
        raise AnswerError("validating webhook may not return response.patch")
    elif response.get("patchType") != "JSONPatch":
        raise AnswerError(
            "webhook returned response.patch but not response.patchType "
            "of JSONPatch"
        )
    return Verdict(
        allowed,
        status,
        None if patch is None else _operations(patch),
        tuple(str(text) for text in warnings),
    )


def _operations(patch: Any) -> Any:
    try:
        return orjson.loads(base64.b64decode(patch, validate=True))
    except (ValueError, TypeError, binascii.Error) as error:
        msg = f"response.patch is no JSON patch in base64: {error}"
        raise AnswerError(msg) from error


def denied(hook: Hook, status: Json) -> ApiError:
    """The error for a request that a webhook refused."""
    code = status.get("code")
    if (
        not isinstance(code, int)
        or not _SMALLEST_FAILURE <= code <= _LARGEST_FAILURE
    ):
        code = _SMALLEST_FAILURE
    reason = str(status.get("reason") or "")
    why = str(status.get("message") or reason)
    text = f'admission webhook "{hook.name}" denied the request'
    message = f"{text}: {why}" if why else f"{text} without explanation"
    details = status.get("details")
    return ApiError(
        code, reason, message, details if isinstance(details, dict) else None
    )
