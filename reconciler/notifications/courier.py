"""Posts to receivers, bounded in time and size, and follows no redirect.

What it says of a failure names the host only: the rest of an address may be
a secret.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from reconciler.engine.redact import one_line
from reconciler.notifications.receiver import Receiver, Request

LONGEST = 300.0
"""Seconds of one request: few are under way at the same time."""

_AT_ONCE = 8
_EXCERPT = 300
_LONGEST_WAIT = 300.0
_REFUSALS = frozenset({400, 405, 406, 409, 411, 413, 414, 415, 422})
"""The receiver will never take this message; others it may take."""

_OK, _AFTER = 200, 300


@dataclass(frozen=True)
class Answer:
    """How a delivery ended."""

    taken: bool
    refused: bool = False
    """Not taken, and never will be: there is no use in a repetition."""

    message: str = ""
    wait: float = 0.0
    """Seconds that the receiver asked us to wait."""


class Courier:
    """Delivers for all Alerts of one process."""

    def __init__(self) -> None:
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def deliver(
        self, receiver: Receiver, request: Request, seconds: float
    ) -> Answer:
        """Post once. Never raises because of the receiver.

        Args:
            receiver: whom.
            request: what.
            seconds: bound of it, as far as others need not wait for it.
        """
        seconds = min(seconds, LONGEST)
        try:
            trust = _trust(receiver)
        except (ssl.SSLError, ValueError):
            told = "ca.crt of the Secret is not a certificate"
            return Answer(taken=False, message=f"{receiver.host}: {told}")
        async with self._gate:
            try:
                async with asyncio.timeout(seconds):
                    return await self._post(receiver, request, trust)
            except TimeoutError:
                told = f"no answer within {seconds:g} s"
            except aiohttp.ClientConnectorCertificateError:
                told = "its certificate is not to be trusted"
            except (aiohttp.ClientError, OSError, ValueError) as error:
                told = f"no connection ({type(error).__name__})"
        return Answer(taken=False, message=f"{receiver.host}: {told}")

    async def _post(
        self, receiver: Receiver, request: Request, trust: ssl.SSLContext
    ) -> Answer:
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                request.url,
                proxy=_proxy(request.url),
                data=request.body,
                headers=request.headers,
                ssl=trust,
                allow_redirects=False,
            ) as reply,
        ):
            head = await reply.content.read(_EXCERPT)
            return _judged(receiver, reply.status, head, reply.headers)


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL.

    aiohttp could look itself (``trust_env``), and would send passwords of
    the user's ``.netrc`` along, or refuse a request that has a token.
    """
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)


def _trust(receiver: Receiver) -> ssl.SSLContext:
    """Whose certificates count.

    Raises:
        ValueError: that of the Secret is none; also as an `SSLError`.
    """
    if not receiver.authority:
        return ssl.create_default_context()
    text = receiver.authority.decode("ascii")
    return ssl.create_default_context(cadata=text)


def _judged(
    receiver: Receiver, code: int, head: bytes, headers: Mapping[str, str]
) -> Answer:
    if _OK <= code < _AFTER:
        error = _slack_error(receiver, head)
        if error is None:
            return Answer(taken=True)
        told = _shown(receiver, error)
        message = f"{receiver.host}: {told}"
        return Answer(taken=False, message=message)
    excerpt = _shown(receiver, head.decode("utf-8", "replace"))
    if _is_set_already(receiver, code, excerpt):
        return Answer(taken=True)
    asked = headers.get("Retry-After", "")
    return Answer(
        taken=False,
        refused=code in _REFUSALS,
        message=f"{receiver.host}: answered {code} {excerpt}".strip(),
        wait=min(float(asked), _LONGEST_WAIT) if asked.isdigit() else 0.0,
    )


def _slack_error(receiver: Receiver, head: bytes) -> str | None:
    """What Slack's Web API says in an answer that looks like a success."""
    if receiver.provider.type != "slack":
        return None
    try:
        content = json.loads(head)
    except ValueError:
        return None  # an incoming webhook answers "ok"
    if not isinstance(content, dict) or content.get("ok") is not False:
        return None
    return str(content.get("error", "not ok"))


def _is_set_already(receiver: Receiver, code: int, excerpt: str) -> bool:
    """GitLab refuses to set a status that a commit has."""
    return (
        receiver.provider.type == "gitlab"
        and code == HTTPStatus.BAD_REQUEST
        and "Cannot transition status" in excerpt
    )


def _shown(receiver: Receiver, text: str) -> str:
    """What a receiver says, without what we told it in confidence."""
    address = receiver.address
    for secret in (receiver.token, address, urlsplit(address).path):
        if len(secret) > 1:
            text = text.replace(secret, "***")
    return one_line(text, _EXCERPT)
