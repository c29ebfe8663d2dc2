"""Asking a webhook over HTTPS, in bounded time and size."""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import lru_cache

import aiohttp
import orjson

from reconciler.controlplane.admission.hook import Hook
from reconciler.controlplane.admission.review import (
    AnswerError,
    Json,
    Verdict,
    read_answer,
)

LARGEST_ANSWER = 8 << 20
"""Bytes; an object of ours is at most 3 MiB, and a patch in base64 of it."""

_OK = 200


class CallError(Exception):
    """The webhook could not be asked, or made no sense."""


@lru_cache(maxsize=64)
def _trust(bundle: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=bundle or None)


class Caller:
    """Keeps connections to webhooks."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(self, hook: Hook, asked: Json, *, mutating: bool) -> Verdict:
        """Send the question; read the answer.

        Raises:
            CallError: there is none within the webhook's timeout, or it
                makes no sense.
        """
        if not hook.url:
            raise CallError(
                "failed to call webhook: it is behind a Service, and this "
                "control plane has no network of Services; use "
                "clientConfig.url"
            )
        url = f"{hook.url}?timeout={hook.timeout}s"
        try:
            async with asyncio.timeout(hook.timeout):
                body = await self._post(url, hook, asked)
        except TimeoutError as error:
            msg = (
                f'failed to call webhook: Post "{url}": context deadline '
                "exceeded"
            )
            raise CallError(msg) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            msg = f'failed to call webhook: Post "{url}": {_worded(error)}'
            raise CallError(msg) from error
        try:
            return read_answer(body, asked, mutating=mutating)
        except AnswerError as error:
            msg = f"received invalid webhook response: {error}"
            raise CallError(msg) from error

    async def _post(self, url: str, hook: Hook, asked: Json) -> bytes:
        if self._session is None:
            # No limit in common: calls that hang would use it up, and
            # fail those to webhooks that answer.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), trust_env=False
            )
        async with self._session.post(
            url,
            data=orjson.dumps(asked),
            headers={"Content-Type": "application/json"},
            ssl=_trust(hook.bundle),
            allow_redirects=False,
        ) as reply:
            if reply.status != _OK:
                msg = (
                    "failed to call webhook: the server responded with the "
                    f"status code {reply.status}"
                )
                raise CallError(msg)
            body = await reply.content.read(LARGEST_ANSWER + 1)
            while not reply.content.at_eof() and len(body) <= LARGEST_ANSWER:
                body += await reply.content.read(LARGEST_ANSWER + 1)
            if len(body) > LARGEST_ANSWER:
                msg = f"the answer is larger than {LARGEST_ANSWER} bytes"
                raise CallError(msg)
            return body


def _worded(error: Exception) -> str:
    """The failure in the words of a kube-apiserver where there are some."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = error.certificate_error
        text = getattr(why, "verify_message", "") or str(why)
        return f"tls: failed to verify certificate: x509: {text}"
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = error.os_error
        if isinstance(reason, ConnectionRefusedError):
            where = f"{error.host}:{error.port}"
            return f"dial tcp {where}: connect: connection refused"
        if isinstance(reason, socket.gaierror):
            return f"dial tcp: lookup {error.host}: no such host"
    return str(error) or type(error).__name__
