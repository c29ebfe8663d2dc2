"""The HTTP endpoint: /healthz and what is below /v1."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from reconciler.corpus.question import render_text
from reconciler.serving.admission import Admission
from reconciler.serving.answer_endpoint import AnswerEndpoint
from reconciler.serving.completions import (
    MAX_BODY_BYTES,
    ApiError,
    CompletionRequest,
    parse,
    response,
)
from reconciler.serving.generation import (
    Answer,
    Limits,
    NotFiniteError,
    generate,
)
from reconciler.serving.process import resident_bytes
from reconciler.serving.requests import admitted, body_of
from reconciler.serving.rollout import Rollout, Warm
from reconciler.serving.runtime import LoadedModel
from reconciler.serving.sampling import Sampler
from reconciler.serving.search_endpoint import SearchEndpoint

_LOG = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Api:
    """Answers requests from whatever serves at that moment."""

    rollouts: Mapping[str, Rollout]
    admission: Admission = field(default_factory=Admission)
    search: SearchEndpoint = field(default_factory=SearchEndpoint)

    def close(self) -> None:
        """Start nothing more."""
        self.admission.close()
        self.search.close()

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(
            client_max_size=MAX_BODY_BYTES, middlewares=[_errors]
        )
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/completions", self.completions)
        app.router.add_post("/v1/search", self.search.handle)
        app.router.add_post("/v1/answer", AnswerEndpoint(self.search).handle)
        return app

    async def healthz(self, _request: web.Request) -> web.Response:
        """Alive; what serves; memory and load."""
        serving = {
            name: rollout.current.version.generation
            for name, rollout in sorted(self.rollouts.items())
            if rollout.current is not None
        }
        return web.json_response(
            {
                "status": "ok",
                "pid": os.getpid(),
                "rssBytes": resident_bytes(os.getpid()),
                "requests": self.admission.inside,
                "models": serving,
                "indexes": self.search.generations(),
            }
        )

    async def models(self, _request: web.Request) -> web.Response:
        """The models that answer, with their generations."""
        data = [
            _card(name, rollout.current)
            for name, rollout in sorted(self.rollouts.items())
            if rollout.current is not None
        ]
        return web.json_response({"object": "list", "data": data})

    async def completions(self, request: web.Request) -> web.Response:
        """Complete a prompt with the version that serves now."""
        asked = parse(await body_of(request))
        warm = self._serving(asked.model)
        prompt = warm.model.encode(render_text(asked.prompt))
        _check_room(warm.model, prompt)

        def work(gone: Callable[[], bool]) -> list[Answer]:
            return _answers(warm.model, prompt, asked, gone)

        try:
            answers = await admitted(self.admission, work)
        except NotFiniteError as error:
            raise ApiError(500, str(error), "server_error") from error
        body = response(
            asked,
            warm.version.generation,
            len(prompt),
            answers,
            uuid.uuid4().hex,
            int(time.time()),
        )
        return web.json_response(body)

    def _serving(self, model: str) -> Warm:
        rollout = self.rollouts.get(model)
        if rollout is None:
            raise ApiError(
                404,
                f"the model {model} does not exist",
                param="model",
                code="model_not_found",
            )
        if rollout.current is None:
            raise ApiError(
                503, f"{model} is not loaded yet", "server_error", "model"
            )
        return rollout.current


def _check_room(model: LoadedModel, prompt: list[int]) -> None:
    longest = model.manifest.context_length - 1
    if not 1 <= len(prompt) <= longest:
        raise ApiError(
            400,
            f"the prompt has {len(prompt)} tokens; this model's context "
            f"holds from 1 to {longest}",
            param="prompt",
            code="context_length_exceeded",
        )


def _answers(
    model: LoadedModel,
    prompt: list[int],
    asked: CompletionRequest,
    gone: Callable[[], bool],
) -> list[Answer]:
    samplers = [
        Sampler(asked.temperature, asked.top_p, asked.seed, index)
        for index in range(asked.n)
    ]
    limits = Limits(asked.max_tokens, tuple(asked.stop))
    return generate(model, prompt, samplers, limits, gone)


def _card(name: str, warm: Warm) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "reconciler",
        "generation": warm.version.generation,
        "digest": warm.version.digest,
        "device": warm.version.device,
        "since": warm.since,
        "context_length": warm.model.manifest.context_length,
    }


@web.middleware
async def _errors(
    request: web.Request, handler: Handler
) -> web.StreamResponse:
    """Give every error the shape of the API."""
    try:
        return await handler(request)
    except ApiError as error:
        return web.json_response(error.body(), status=error.status)
    except web.HTTPException as error:
        shaped = ApiError(error.status, error.reason)
        return web.json_response(shaped.body(), status=error.status)
    except Exception:  # noqa: BLE001 - the last resort: log it and go on
        _LOG.exception("%s %s", request.method, request.path)
        shaped = ApiError(500, "internal error", "server_error")
        return web.json_response(shaped.body(), status=500)
