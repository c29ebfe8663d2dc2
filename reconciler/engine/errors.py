"""What an API server's refusal means to a controller.

Each class is either a `TransientError` (a retry may cure it) or a
`TerminalError` (only a change of the object can).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from reconciler.engine.controller import TerminalError, TransientError


class ConflictError(TransientError):
    """Somebody else changed the object, or it exists already (409)."""


class NotFoundError(TransientError):
    """The object, its namespace or its kind is not there (404)."""


class AccessDeniedError(TransientError):
    """We are not who we should be, or may not do that (401, 403).

    Transient because rights are given without any event on our object.
    """


class UnavailableError(TransientError):
    """The server did not answer, or not sensibly (429, 5xx, no answer)."""


class ExpiredError(TransientError):
    """A resourceVersion or list token is too old (410): list again."""


class InvalidError(TerminalError):
    """The server will never accept this request (400, 405, 422)."""


_BY_CODE: Mapping[int, type[TransientError]] = {
    401: AccessDeniedError,
    403: AccessDeniedError,
    404: NotFoundError,
    408: UnavailableError,
    409: ConflictError,
    410: ExpiredError,
    429: UnavailableError,
}


def from_status(
    code: int, status: Mapping[str, Any] | None
) -> TransientError | TerminalError:
    """The exception for an HTTP status and the ``metav1.Status`` with it."""
    body = status or {}
    message = str(body.get("message") or f"the API server answered {code}")
    known = _BY_CODE.get(code)
    if known is not None:
        return known(message)
    if code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError(message)
    return InvalidError(str(body.get("reason") or "Invalid"), message)
