"""The completions API: what may be asked, what is answered. Pure.

Requests and errors have the shape of OpenAI's ``/v1/completions``. What this
server cannot do is refused by name; nothing is ignored silently, except
`user`, which asks for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import override

from reconciler.serving.generation import Answer

MAX_ANSWERS = 8
MAX_STOPS = 4
MAX_PROMPT_CHARACTERS = 200_000
MAX_BODY_BYTES = 1 << 20

UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "echo": (None, False),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "logprobs": (None,),
    "presence_penalty": (None, 0),
    "stream": (None, False),
    "stream_options": (None,),
    "suffix": (None, ""),
}
"""Known parameters and the values that ask for nothing."""


@dataclass
class ApiError(Exception):
    """An error in the shape that clients of the API know."""

    status: int
    message: str
    kind: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None

    @override
    def __str__(self) -> str:
        return self.message

    def body(self) -> dict[str, Any]:
        """The JSON to answer with."""
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }


class CompletionRequest(BaseModel):
    """A valid request for completions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: str = Field(min_length=1, max_length=128)
    prompt: str = Field(max_length=MAX_PROMPT_CHARACTERS)
    max_tokens: int = Field(default=16, ge=0, le=1_000_000)
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    stop: list[str] = Field(default_factory=list, max_length=MAX_STOPS)
    n: int = Field(default=1, ge=1, le=MAX_ANSWERS)
    user: str | None = None


def parse(body: Any) -> CompletionRequest:
    """Validate the body of a request.

    Raises:
        ApiError: 400, naming the parameter.
    """
    if not isinstance(body, dict):
        raise ApiError(400, "the body is not a JSON object")
    fields = dict(body)
    for name, neutral in UNSUPPORTED.items():
        if name in fields and fields.pop(name) not in neutral:
            message = f"{name} is not supported by this server"
            raise ApiError(400, message, param=name, code="unsupported")
    fields = {k: v for k, v in fields.items() if v is not None}
    if isinstance(fields.get("stop"), str):
        fields["stop"] = [fields["stop"]]
    prompt = fields.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        fields["prompt"] = prompt[0]
    try:
        request = CompletionRequest.model_validate(fields)
    except ValidationError as error:
        raise invalid(error) from error
    if "" in request.stop:
        raise ApiError(400, "stop: an empty string", param="stop")
    return request


def invalid(error: ValidationError) -> ApiError:
    """The error that names the first parameter that is wrong."""
    first = error.errors()[0]
    names = [part for part in first["loc"] if isinstance(part, str)]
    name = ".".join(names) or None
    if first["type"] == "extra_forbidden":
        message = f"unrecognized request argument: {name}"
    elif first["type"] == "missing":
        message = f"you must provide {name}"
    else:
        message = f"{name}: {first['msg']}"
    return ApiError(400, message, param=name)


def response(
    request: CompletionRequest,
    generation: str,
    prompt_tokens: int,
    answers: Sequence[Answer],
    identity: str,
    created: int,
) -> dict[str, Any]:
    """The body of a successful answer.

    Args:
        request: what was asked.
        generation: the version that answered.
        prompt_tokens: length of the prompt.
        answers: one per requested answer.
        identity: unique name of the completion.
        created: Unix time.
    """
    tokens = sum(len(answer.tokens) for answer in answers)
    return {
        "id": f"cmpl-{identity}",
        "object": "text_completion",
        "created": created,
        "model": request.model,
        "system_fingerprint": f"{request.model}@{generation}",
        "choices": [
            {
                "index": index,
                "text": answer.text,
                "finish_reason": answer.finish,
                "logprobs": None,
            }
            for index, answer in enumerate(answers)
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": prompt_tokens + tokens,
        },
    }
