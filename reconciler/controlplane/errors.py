"""API errors as ``metav1.Status`` objects, worded as a kube-apiserver does.

Clients match on ``reason`` and ``code`` and print ``message`` and the
``causes``; kubectl builds its own sentences from ``details``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.controlplane.kinds.model import ResourceKind
    from reconciler.controlplane.schema.errors import FieldError

Json = dict[str, Any]

TOO_LARGE_VERSION = "ResourceVersionTooLarge"


@dataclass(frozen=True)
class Cause:
    """One reason among several why a request was refused."""

    reason: str
    message: str
    field: str = ""

    def as_json(self) -> Json:
        """The cause as ``metav1.StatusCause``."""
        cause = {"reason": self.reason, "message": self.message}
        return cause | ({"field": self.field} if self.field else {})


class ApiError(Exception):
    """A request that is answered with a failure Status.

    Args:
        code: HTTP status code.
        reason: Machine readable ``StatusReason``.
        message: The sentence that clients print.
        details: ``metav1.StatusDetails`` fields, or None.
        headers: Extra HTTP headers of the answer.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Json | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers or {}

    def status(self) -> Json:
        """The error as a ``metav1.Status`` object."""
        body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details is not None:
            body["details"] = self.details
        return body | {"code": self.code}


def _details(kind: ResourceKind, name: str) -> Json:
    details = {"name": name} if name else {}
    if kind.group:
        details["group"] = kind.group
    return details | {"kind": kind.plural}


def bad_request(message: str) -> ApiError:
    """400: the request cannot be understood."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """401: no bearer token, or a wrong one."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(
    kind: ResourceKind, name: str, why: str, causes: Sequence[Cause] = ()
) -> ApiError:
    """403: the state of the cluster does not allow it."""
    details = _details(kind, name)
    if causes:
        details["causes"] = [cause.as_json() for cause in causes]
    text = f'{kind.qualified} "{name}" is forbidden: {why}'
    return ApiError(403, "Forbidden", text, details)


def not_found(kind: ResourceKind, name: str) -> ApiError:
    """404: the named object does not exist."""
    text = f'{kind.qualified} "{name}" not found'
    return ApiError(404, "NotFound", text, _details(kind, name))


def no_such_path() -> ApiError:
    """404: no such resource or subresource is served."""
    text = "the server could not find the requested resource"
    return ApiError(404, "NotFound", text, {})


def not_allowed(kind: ResourceKind | None = None, why: str = "") -> ApiError:
    """405: the resource does not have this verb, or not now."""
    text = (
        why
        or "the server does not allow this method on the requested resource"
    )
    details = _details(kind, "") if kind else {}
    return ApiError(405, "MethodNotAllowed", text, details)


def not_acceptable(offered: Iterable[str]) -> ApiError:
    """406: none of the accepted media types can be produced."""
    text = "only the following media types are accepted: " + ", ".join(offered)
    return ApiError(406, "NotAcceptable", text)


def unsupported_media(offered: Iterable[str]) -> ApiError:
    """415: the body has a media type that this resource does not take."""
    text = (
        "the body of the request was in an unknown format - accepted media "
        "types include: " + ", ".join(offered)
    )
    return ApiError(415, "UnsupportedMediaType", text)


def already_exists(kind: ResourceKind, name: str) -> ApiError:
    """409: create of a name that is taken."""
    text = f'{kind.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", text, _details(kind, name))


def conflict(kind: ResourceKind, name: str, why: str) -> ApiError:
    """409: a precondition on the live object does not hold."""
    text = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", text, _details(kind, name))


def modified(kind: ResourceKind, name: str) -> ApiError:
    """409: the caller's resourceVersion is not the live one."""
    return conflict(
        kind,
        name,
        "the object has been modified; please apply your changes to the "
        "latest version and try again",
    )


def expired(message: str) -> ApiError:
    """410: the wanted revision is not retained any more."""
    return ApiError(410, "Expired", message)


def invalid(
    kind: str, group: str, name: str, failures: Sequence[FieldError]
) -> ApiError:
    """422: the object does not satisfy its schema or rules."""
    lines = list(dict.fromkeys(failure.message() for failure in failures))
    text = lines[0] if len(lines) == 1 else "[" + ", ".join(lines) + "]"
    subject = f"{kind}.{group}" if kind and group else kind
    details: Json = {"name": name} if name else {}
    details |= {"group": group} if group else {}
    details |= {"kind": kind} if kind else {}
    details["causes"] = [_cause(failure).as_json() for failure in failures]
    message = f'{subject} "{name}" is invalid: {text}'
    return ApiError(422, "Invalid", message.lstrip(), details)


def _cause(failure: FieldError) -> Cause:
    return Cause(failure.type, failure.body(), failure.field)


def too_large(body_limit: int) -> ApiError:
    """413: the request body is over the limit in bytes."""
    text = f"Request entity too large: limit is {body_limit}"
    return ApiError(413, "RequestEntityTooLarge", text)


def version_too_large(wanted: int, current: int) -> ApiError:
    """504: the caller has seen a revision that this server has not."""
    text = f"Too large resource version: {wanted}, current: {current}"
    cause = Cause(TOO_LARGE_VERSION, "Too large resource version")
    details = {"causes": [cause.as_json()], "retryAfterSeconds": 1}
    return ApiError(504, "Timeout", "Timeout: " + text, details)


def internal(message: str) -> ApiError:
    """500: the server could not store or compute something."""
    text = f"Internal error occurred: {message}"
    details = {"causes": [{"message": message}]}
    return ApiError(500, "InternalError", text, details)


def success(kind: ResourceKind, name: str, uid: str) -> Json:
    """The Status that confirms a deletion."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": _details(kind, name) | {"uid": uid},
    }
