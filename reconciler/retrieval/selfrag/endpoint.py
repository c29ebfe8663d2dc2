"""A chat endpoint of the OpenAI shape: bounded in time, repeated, distrusted.

vLLM, llama.cpp, OpenVINO Model Server, Ollama and others have it.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from pydantic import BaseModel, ConfigDict, ValidationError

from reconciler.retrieval.selfrag.protocols import PartError

MAX_ANSWER_BYTES = 1 << 20
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_SHOWN = 200


@dataclass(frozen=True)
class Endpoint:
    """Where and how to ask.

    Attributes:
        url: up to and including /v1.
        model: as the endpoint names it.
        key: bearer token; never shown.
        seconds: for one attempt.
        attempts: how often a request is made at most.
        pause: seconds before the second attempt; doubled for each next.
        at_once: requests in flight at most.
    """

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    seconds: float = 30.0
    attempts: int = 3
    pause: float = 0.5
    at_once: int = 4

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            msg = f"the endpoint {self.url!r} is not an HTTP URL"
            raise PartError(msg)
        if self.attempts < 1 or self.at_once < 1:
            raise PartError("attempts and at_once must be positive")

    @property
    def chat(self) -> str:
        """The URL of chat completions."""
        return f"{self.url.rstrip('/')}/chat/completions"


@dataclass(frozen=True)
class Reply:
    """What a model said.

    Attributes:
        text: trimmed.
        likelihood: geometric mean of its tokens' probabilities; None if the
            endpoint does not tell.
        first: probabilities of what the first token could have been.
    """

    text: str
    likelihood: float | None
    first: Mapping[str, float]


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Alternative(_Loose):
    token: str
    logprob: float


class _Token(_Alternative):
    top_logprobs: tuple[_Alternative, ...] = ()


class _Logprobs(_Loose):
    content: tuple[_Token, ...] | None = None


class _Message(_Loose):
    content: str


class _Choice(_Loose):
    message: _Message
    logprobs: _Logprobs | None = None


class _Completion(_Loose):
    choices: tuple[_Choice, ...]


class _TransientError(Exception):
    """Worth another attempt."""


class ChatClient:
    """Asks one endpoint; to be used within `async with`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None
        self._room = asyncio.Semaphore(endpoint.at_once)

    async def __aenter__(self) -> Self:
        key = self.endpoint.key
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self.endpoint.seconds),
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self, messages: Sequence[Mapping[str, str]], max_tokens: int
    ) -> Reply:
        """One reply, greedy.

        Raises:
            PartError: no usable reply after all attempts.
        """
        body = {
            "model": self.endpoint.model,
            "messages": list(messages),
            "max_tokens": max_tokens,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": 5,
        }
        pause, why = self.endpoint.pause, ""
        for attempt in range(self.endpoint.attempts):
            if attempt:
                await asyncio.sleep(pause)
                pause *= 2
            try:
                async with self._room:
                    return _reply(await self._post(body))
            except _TransientError as error:
                why = str(error)
        msg = f"{self.endpoint.url}: {why} ({self.endpoint.attempts} attempts)"
        raise PartError(msg)

    async def _post(self, body: Mapping[str, Any]) -> bytes:
        if self._session is None:
            raise PartError("the client is not open")
        try:
            async with self._session.post(
                self.endpoint.chat, json=body, allow_redirects=False
            ) as response:
                data = await response.content.read(MAX_ANSWER_BYTES + 1)
                while len(data) <= MAX_ANSWER_BYTES and (
                    more := await response.content.read(MAX_ANSWER_BYTES)
                ):
                    data += more
        except TimeoutError as error:
            msg = f"no answer in {self.endpoint.seconds:g} s"
            raise _TransientError(msg) from error
        except aiohttp.ClientError as error:
            raise _TransientError(str(error) or repr(error)) from error
        if len(data) > MAX_ANSWER_BYTES:
            msg = f"{self.endpoint.url}: more than {MAX_ANSWER_BYTES} bytes"
            raise PartError(msg)
        if response.status in _AGAIN:
            raise _TransientError(_complaint(response.status, data))
        if response.status != 200:  # noqa: PLR2004 - OK
            msg = f"{self.endpoint.url}: {_complaint(response.status, data)}"
            raise PartError(msg)
        return data


def _complaint(status: int, data: bytes) -> str:
    try:
        text = str(json.loads(data)["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        text = data.decode("utf-8", "replace")
    return f"status {status}: {text[:_SHOWN]}"


def _reply(data: bytes) -> Reply:
    """The reply in a response; garbage is worth another attempt."""
    try:
        found = _Completion.model_validate_json(data)
    except ValidationError as error:
        line = " ".join(str(error).splitlines()[:3])
        msg = f"the answer is no chat completion: {line[:_SHOWN]}"
        raise _TransientError(msg) from error
    if not found.choices:
        raise _TransientError("the answer has no choices")
    choice = found.choices[0]
    tokens = (choice.logprobs and choice.logprobs.content) or ()
    first = tokens[0].top_logprobs if tokens else ()
    return Reply(
        choice.message.content.strip(),
        _geometric_mean([token.logprob for token in tokens]),
        {each.token: _probability(each.logprob) for each in first},
    )


def _geometric_mean(logprobs: Sequence[float]) -> float | None:
    if not logprobs:
        return None
    return _probability(sum(logprobs) / len(logprobs))


def _probability(logprob: float) -> float:
    """At most 1; what is no number counts as impossible."""
    if math.isnan(logprob):
        return 0.0
    return math.exp(min(logprob, 0.0))
