"""Receivers that take what the real ones publish that they take.

Whatever is not in the published description of a request is refused, as the
real ones do it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

TOKEN = "t0ken-of-the-bot"
SHA = r"(?P<sha>[0-9a-f]{40})"
Refusal = tuple[int, str]


class Receivers:
    """All of them on one port."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []
        self.requests = 0
        self.answer: Callable[[web.Request], web.Response | None] = (
            lambda _request: None
        )
        """An answer before anything is looked at."""

        self.wait: Callable[[web.Request], Awaitable[None]] | None = None
        """What comes before that."""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.wait is not None:
            await self.wait(request)
        early = self.answer(request)
        if early is not None:
            return early
        data = await request.read()
        try:
            body = json.loads(data)
        except ValueError:
            return web.Response(status=400, text="not JSON")
        if request.content_type != "application/json":
            return web.Response(status=415)
        for pattern, judge in ROUTES:
            found = re.fullmatch(pattern, request.raw_path)
            if found:
                return judge(self, request, found, body, data)
        return web.Response(status=404, text="Not Found")


def _status(
    receivers: Receivers,
    forge: str,
    sha: str,
    body: dict[str, Any],
    problem: str,
) -> web.Response:
    if problem:
        return web.json_response({"message": problem}, status=422)
    receivers.statuses.append({"forge": forge, "sha": sha, **body})
    return web.json_response({"id": 1}, status=201)


def _shape(
    body: dict[str, Any], states: set[str], known: set[str], longest: int
) -> str:
    if body.get("state") not in states:
        return f"state {body.get('state')} is not in the list"
    if unknown := set(body) - known:
        return f"unknown {sorted(unknown)}"
    if len(body.get("description", "")) > longest:
        return f"description is too long (maximum is {longest} characters)"
    return ""


def github(
    receivers: Receivers,
    request: web.Request,
    found: re.Match[str],
    body: dict[str, Any],
    _data: bytes,
) -> web.Response:
    """docs.github.com/rest/commits/statuses#create-a-commit-status."""
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return web.json_response({"message": "Bad credentials"}, status=401)
    if request.headers.get("Accept") != "application/vnd.github+json":
        return web.Response(status=415)
    known = {"state", "target_url", "description", "context"}
    states = {"error", "failure", "pending", "success"}
    problem = _shape(body, states, known, 140)
    return _status(receivers, "github", found["sha"], body, problem)


def gitea(
    receivers: Receivers,
    request: web.Request,
    found: re.Match[str],
    body: dict[str, Any],
    _data: bytes,
) -> web.Response:
    """CreateStatusOption of Gitea's swagger."""
    if request.headers.get("Authorization") != f"token {TOKEN}":
        return web.json_response({"message": "token is required"}, status=401)
    known = {"state", "target_url", "description", "context"}
    states = {"error", "failure", "pending", "success", "warning"}
    problem = _shape(body, states, known, 10_000)
    return _status(receivers, "gitea", found["sha"], body, problem)


def gitlab(
    receivers: Receivers,
    request: web.Request,
    found: re.Match[str],
    body: dict[str, Any],
    _data: bytes,
) -> web.Response:
    """docs.gitlab.com/api/commits/#set-commit-pipeline-status."""
    if request.headers.get("PRIVATE-TOKEN") != TOKEN:
        return web.json_response({"message": "401 Unauthorized"}, status=401)
    known = {
        "state", "name", "context", "description", "target_url", "ref",
        "coverage", "pipeline_id",
    }  # fmt: skip
    states = {
        "pending", "running", "success", "failed", "canceled", "skipped",
    }  # fmt: skip
    old = [s for s in receivers.statuses if s["sha"] == found["sha"]]
    if old and old[-1]["state"] == body["state"]:
        problem = f"Cannot transition status via :run from :{body['state']}"
        return web.json_response({"message": problem}, status=400)
    problem = _shape(body, states, known, 255)
    return _status(receivers, "gitlab", found["sha"], body, problem)


def slack(
    receivers: Receivers,
    _request: web.Request,
    _found: re.Match[str],
    body: dict[str, Any],
    _data: bytes,
) -> web.Response:
    """api.slack.com/messaging/webhooks and reference/messaging/attachments."""
    known = {"text", "channel", "username", "icon_emoji", "attachments"}
    parts = {
        "fallback", "color", "pretext", "author_name", "author_link", "title",
        "title_link", "text", "fields", "footer", "ts", "mrkdwn_in",
    }  # fmt: skip
    attached = body.get("attachments", [])
    sound = set(body) <= known and ("text" in body or attached)
    for part in attached:
        sound = sound and set(part) <= parts
        for one in part.get("fields", []):
            sound = sound and set(one) == {"title", "value", "short"}
    if not sound:
        return web.Response(status=400, text="invalid_payload")
    receivers.messages.append(body)
    return web.Response(text="ok")


def generic(
    receivers: Receivers,
    request: web.Request,
    found: re.Match[str],
    body: dict[str, Any],
    data: bytes,
) -> web.Response:
    """fluxcd.io/flux/components/notification/providers/#generic-webhook."""
    wanted = {
        "involvedObject", "severity", "timestamp", "message", "reason",
        "metadata", "reportingController", "reportingInstance",
    }  # fmt: skip
    about = {"apiVersion", "kind", "namespace", "name", "uid"}
    if set(body) != wanted or set(body["involvedObject"]) != about:
        return web.Response(status=422, text="not an event")
    if found["signed"]:
        mac = hmac.new(TOKEN.encode(), data, hashlib.sha256).hexdigest()
        if request.headers.get("X-Signature") != f"sha256={mac}":
            return web.Response(status=401, text="wrong signature")
    receivers.events.append(body)
    return web.Response(status=202)


ROUTES: tuple[tuple[str, Any], ...] = (
    (rf"/api/v3/repos/team/models/statuses/{SHA}", github),
    (rf"/sub/api/v1/repos/team/models/statuses/{SHA}", gitea),
    (rf"/api/v4/projects/team%2Fsub%2Fmodels/statuses/{SHA}", gitlab),
    (r"/services/T0/B0/secret", slack),
    (r"/hook(?P<signed>-hmac)?", generic),
)
