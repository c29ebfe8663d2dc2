"""JSON requests to the API server, with bounded repeats.

Authentication, TLS and the connection pool are the official client's; its
generated models are not used. A request may be repeated after its reply was
lost, so callers send only what may be repeated.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

from reconciler import __version__
from reconciler.engine.controller import TerminalError
from reconciler.engine.credentials import ClientSettings, load_configuration
from reconciler.engine.errors import (
    AccessDeniedError,
    UnavailableError,
    from_status,
)

logger = logging.getLogger(__name__)

_REPEATABLE = frozenset({429, 500, 502, 503, 504})
_FIRST_WAIT = 0.2
_LONGEST_WAIT = 10.0
_EXCERPT = 200
# Also an answer that is not HTTP, or not JSON; running out of time is an
# OSError.
_LOST = (aiohttp.ClientError, OSError)

Query = Sequence[tuple[str, str]]


class Transport:
    """A connection pool to one API server; open it before use."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        # The official client is not typed throughout.
        self._api: Any = None
        self._opening = asyncio.Lock()
        self._timeout = aiohttp.ClientTimeout(
            total=settings.request_timeout,
            sock_connect=settings.connect_timeout,
        )

    async def open(self) -> None:
        """Load the credentials.

        Raises:
            TransientError: they did not load in time.
            TerminalError: there are none.
        """
        await self._replace(self._api)

    async def close(self) -> None:
        """Close the connections."""
        if self._api is not None:
            await self._api.close()
            self._api = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        user: str | None = None,
    ) -> dict[str, Any]:
        """Send, repeat what may be cured by it, and return the JSON.

        Args:
            method: HTTP method.
            path: beginning with a slash.
            query: parameters in order.
            body: JSON value to send.
            content_type: of the body.
            accept: kind of answer.
            user: whom to act as (``Impersonate-User``), None for ourselves.

        Raises:
            TransientError: no good answer within the attempts.
            TerminalError: the server refuses this request for good.
        """
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        if user is not None:
            headers["Impersonate-User"] = user
        call = (method, path, query, body, headers)
        renewed = False
        for attempt in range(1, self._settings.attempts + 1):
            api = self._api
            try:
                code, answer, payload = await self._once(api, *call)
            except _LOST as error:
                if attempt == self._settings.attempts:
                    text = f"the API server is out of reach: {_name(error)}"
                    raise UnavailableError(text) from error
                await asyncio.sleep(_pause(attempt, None))
                continue
            if code < HTTPStatus.BAD_REQUEST:
                return payload
            if code == HTTPStatus.UNAUTHORIZED and not renewed:
                renewed = True
                await self._renew(api)
            elif code in _REPEATABLE and attempt < self._settings.attempts:
                await asyncio.sleep(_pause(attempt, answer))
            else:
                raise from_status(code, payload)
        msg = "the API server did not accept our credentials in time"
        raise UnavailableError(msg)

    async def _renew(self, rejected: Any) -> None:
        """Load the credentials again, which may have been replaced.

        Raises:
            TransientError: there are none now; somebody may bring them.
        """
        try:
            await self._replace(rejected)
        except TerminalError as error:
            raise AccessDeniedError(str(error)) from error

    async def _replace(self, old: Any) -> None:
        """Put a new client in the place of the old one.

        Of several requests that were all rejected one does it for all.
        """
        async with self._opening:
            if self._api is not old:
                return
            self._api = await self._connect()
            if old is not None:
                await old.close()

    async def _connect(self) -> Any:
        from kubernetes.aio.client.api_client import ApiClient

        try:
            async with asyncio.timeout(self._settings.request_timeout):
                configuration = await load_configuration(self._settings)
            api = ApiClient(configuration)
        except TimeoutError as error:
            msg = "the credentials did not load in time"
            raise UnavailableError(msg) from error
        except OSError as error:
            # Certificates that are not there, or are none.
            raise TerminalError("NoCredentials", str(error)) from error
        api.user_agent = f"reconciler/{__version__}"
        return api

    async def _once(
        self,
        api: Any,
        method: str,
        path: str,
        query: Query,
        body: Any,
        headers: Mapping[str, str],
    ) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        if api is None:
            msg = "the transport is not open"
            raise RuntimeError(msg)
        serialised = await api.param_serialize(
            method,
            path,
            query_params=list(query),
            header_params=dict(headers),
            auth_settings=["BearerToken"],
        )
        response = await api.call_api(
            serialised[0],
            serialised[1],
            serialised[2],
            body,
            _request_timeout=self._timeout,
        )
        data = await response.read()
        code = int(response.status)
        return code, response.headers, _decode(code, data)


def _decode(code: int, data: bytes) -> dict[str, Any]:
    """The JSON object of an answer.

    Of a refusal a proxy's HTML becomes a message. Of a success it must not
    be taken for an object without fields, or for an empty list.
    """
    try:
        value = orjson.loads(data) if data else {}
    except orjson.JSONDecodeError:
        value = data[:_EXCERPT].decode(errors="replace")
    if isinstance(value, dict):
        return value
    if code < HTTPStatus.BAD_REQUEST:
        msg = "not a JSON object"
        raise aiohttp.ClientPayloadError(msg)
    return {"message": str(value)[:_EXCERPT]}


def _pause(attempt: int, headers: Mapping[str, str] | None) -> float:
    """Seconds before the next attempt; the server's wish counts."""
    wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (attempt - 1))
    jittered = wait * random.uniform(0.7, 1.0)  # noqa: S311 no secret
    wish = (headers or {}).get("Retry-After", "")
    if wish.isdigit():
        return max(jittered, min(float(wish), _LONGEST_WAIT))
    return jittered


def _name(error: BaseException) -> str:
    return type(error).__name__
