"""What all routes of the HTTP endpoint do with a request."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from reconciler.serving.admission import Admission, BusyError, TooSlowError
from reconciler.serving.completions import ApiError

T = TypeVar("T")


async def body_of(request: web.Request) -> Any:
    """The JSON of a request.

    Raises:
        ApiError: 400, it is none.
    """
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "the body is not JSON") from error


async def admitted(
    admission: Admission, work: Callable[[Callable[[], bool]], T]
) -> T:
    """Run work in a thread, if there is room for it.

    Raises:
        ApiError: 429, there is none; 504, no answer in time.
    """
    try:
        return await admission.run(work)
    except BusyError:
        raise ApiError(
            429, "too many requests", "rate_limit_error", code="busy"
        ) from None
    except TooSlowError:
        raise ApiError(504, "no answer in time", "timeout") from None
