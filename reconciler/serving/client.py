"""Ask a serving process: plain, synchronous, standard library."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

MAX_ANSWER_BYTES = 1 << 24


class CompletionError(Exception):
    """The endpoint did not answer, or refused; the message says why."""


def complete(
    endpoint: str,
    model: str,
    prompt: str,
    *,
    max_tokens: int = 40,
    temperature: float = 0.0,
    seed: int | None = None,
    timeout: float = 60.0,
) -> str:
    """Text of one completion.

    Raises:
        CompletionError: see the class.
    """
    body = {
        "model": model,
        "prompt": prompt,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
    }
    text: str = request(endpoint, body, timeout)["choices"][0]["text"]
    return text


def request(
    endpoint: str, body: dict[str, Any], timeout: float = 60.0
) -> dict[str, Any]:
    """The whole answer of /v1/completions.

    Args:
        endpoint: URL of the process, with or without /v1.
        body: parameters as in OpenAI's API.
        timeout: seconds.

    Raises:
        CompletionError: see the class.
    """
    return post(endpoint, "completions", body, timeout)


def post(
    endpoint: str, route: str, body: dict[str, Any], timeout: float = 60.0
) -> dict[str, Any]:
    """The whole answer of a route below /v1.

    Raises:
        CompletionError: see the class.
    """
    base = endpoint.rstrip("/").removesuffix("/v1")
    if not base.startswith(("http://", "https://")):
        msg = f"{endpoint!r} is not an HTTP URL"
        raise CompletionError(msg)
    asked = urllib.request.Request(  # noqa: S310
        f"{base}/v1/{route}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=timeout) as answer:  # noqa: S310
            data: dict[str, Any] = json.loads(answer.read(MAX_ANSWER_BYTES))
            return data
    except urllib.error.HTTPError as error:
        raise CompletionError(_message(error)) from error
    except (OSError, ValueError) as error:
        msg = f"{base}: {error}"
        raise CompletionError(msg) from error


def _message(error: urllib.error.HTTPError) -> str:
    try:
        body = json.loads(error.read(MAX_ANSWER_BYTES))
        return f"{error.code}: {body['error']['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{error.code}: {error.reason}"
