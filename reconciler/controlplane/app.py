"""HTTP: authentication, paths, and answers in the accepted form."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import hdrs, web

from reconciler.controlplane import media, rendering, route
from reconciler.controlplane.access import impersonation
from reconciler.controlplane.access.authenticator import Certificate
from reconciler.controlplane.access.identity import NOBODY, User
from reconciler.controlplane.access.rules import Request
from reconciler.controlplane.discovery.pages import Pages
from reconciler.controlplane.errors import (
    ApiError,
    bad_request,
    internal,
    no_such_path,
    not_allowed,
    too_large,
    unauthorized,
)
from reconciler.controlplane.verbs import dispatch, watch
from reconciler.controlplane.verbs.call import Call, Cluster, asked
from reconciler.controlplane.verbs.frames import Frames

_LOG = logging.getLogger(__name__)


class Api:
    """Answers requests.

    Args:
        cluster: The objects and kinds, and who may use them.
        address: ``host:port``, told to clients that ask.
    """

    def __init__(self, cluster: Cluster, address: str) -> None:
        self._cluster = cluster
        self.pages = Pages(cluster.registry, cluster.tokens, address)

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=media.BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self.handle)
        return app

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; whatever goes wrong becomes a Status."""
        try:
            return await self._answer(request)
        except ApiError as error:
            return _failure(error)
        except web.HTTPRequestEntityTooLarge:
            return _failure(too_large(media.BODY_BYTES))
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - see below
            # A mistake of ours must not take the connection down with it.
            _LOG.exception("%s %s failed", request.method, request.path)
            return _failure(internal(type(error).__name__))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        user, path = self._user(request), request.path
        if not _encodable(path, *request.query.values()):
            raise bad_request("the URL is not valid UTF-8")
        where = route.parse(path)
        if where is None:
            return self._page(request, user)
        wanted = asked(request.method, where, request.query)
        self._require(user, wanted)
        kind = self._cluster.registry.find(
            where.group, where.version, where.resource
        )
        if kind is None:
            raise no_such_path()
        content_type = request.headers.get(hdrs.CONTENT_TYPE, media.JSON)
        body = await media.as_json(await request.read(), content_type)
        call = Call(
            self._cluster,
            kind,
            where,
            request.query,
            body,
            content_type,
            request.headers.get(hdrs.USER_AGENT, ""),
            user,
            request.method,
        )
        return await self._resource(request, call)

    def _user(self, request: web.Request) -> User:
        """Who asks, or whom they ask to be."""
        user = self._cluster.authenticator.user(
            request.headers.get(hdrs.AUTHORIZATION, ""), _certificate(request)
        )
        groups = request.headers.getall(impersonation.GROUP, [])
        try:
            return impersonation.impersonated(
                self._cluster.authorizer, user, request.headers, groups
            )
        except ApiError:
            if user is NOBODY:
                raise unauthorized() from None
            raise

    def _require(self, user: User, wanted: Request) -> None:
        """Refuse what the user may not do; who is nobody may log in."""
        try:
            self._cluster.authorizer.require(user, wanted)
        except ApiError:
            # Somebody who impersonates the anonymous user is refused.
            if user is NOBODY:
                raise unauthorized() from None
            raise

    def _page(self, request: web.Request, user: User) -> web.Response:
        verb = request.method.lower()
        self._require(user, Request(verb, path=request.path))
        if request.method not in ("GET", "HEAD"):
            raise not_allowed()
        header = request.headers.get(hdrs.ACCEPT, "")
        verbose = "verbose" in request.query
        page = self.pages.find(request.path, header, verbose=verbose)
        if page is None:
            raise no_such_path()
        return web.Response(
            status=page.code,
            body=page.text,
            headers={hdrs.CONTENT_TYPE: page.content_type},
        )

    async def _resource(
        self, request: web.Request, call: Call
    ) -> web.StreamResponse:
        name, verb = dispatch.choose(request.method, call.kind, call.route)
        accept = request.headers.get(hdrs.ACCEPT, "")
        many = name in ("list", "deletecollection")
        if name in ("list", "get"):
            await call.store.reached(call.revision() or 0)
        if name == "list" and call.flag("watch"):
            return await self._watch(request, call, accept)
        forms = rendering.LIST_FORMS if many else rendering.ITEM_FORMS
        accepted = media.negotiate(accept, forms)
        include = rendering.include_of(call.query.get("includeObject", ""))
        answer = await dispatch.run(call, verb)
        response = web.Response(
            status=answer.code,
            body=rendering.render(call.kind, answer, accepted, include),
            headers={hdrs.CONTENT_TYPE: rendering.content_type(accepted)},
        )
        _warn(response, call)
        return response

    async def _watch(
        self, request: web.Request, call: Call, accept: str
    ) -> web.StreamResponse:
        accepted = media.negotiate(accept, rendering.ITEM_FORMS)
        include = rendering.include_of(call.query.get("includeObject", ""))
        terms = watch.terms_of(call)
        frames = Frames(call.kind, terms.selector, accepted.transform, include)
        response = web.StreamResponse(
            headers={hdrs.CONTENT_TYPE: rendering.content_type(accepted)}
        )
        _warn(response, call)
        # A watcher that is gone, at any moment, is no error of anybody.
        with suppress(ConnectionResetError):
            await response.prepare(request)
            async for chunk in watch.watch(call, terms, frames):
                await response.write(chunk)
            await response.write_eof()
        return response


def _certificate(request: web.Request) -> Certificate | None:
    fields = request.get_extra_info("peercert")
    if not fields:
        return None
    encoded = request.get_extra_info("ssl_object").getpeercert(
        binary_form=True
    )
    return Certificate(fields, encoded)


def _encodable(*texts: str) -> bool:
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _warn(response: web.StreamResponse, call: Call) -> None:
    kind = call.kind
    texts = [*([kind.warning] if kind.warning else []), *call.policy.warnings]
    for text in texts:
        printable = "".join(c if c.isprintable() else " " for c in text)
        quoted = printable.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')


def _failure(error: ApiError) -> web.Response:
    headers: dict[str, Any] = {hdrs.CONTENT_TYPE: media.JSON, **error.headers}
    return web.Response(
        status=error.code, body=orjson.dumps(error.status()), headers=headers
    )
