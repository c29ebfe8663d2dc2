"""The API server as controllers see it: raw JSON in and out.

Writes are server-side applies under one stable field manager for objects
and another for statuses, so that a repeated write changes nothing and a
person's fields stay theirs.
"""

from __future__ import annotations

import copy
import functools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from reconciler.engine.credentials import ClientSettings
from reconciler.engine.errors import (
    ConflictError,
    ExpiredError,
    NotFoundError,
    UnavailableError,
)
from reconciler.engine.resource import API_VERSION, OBJECT_MANAGER, ObjectKey
from reconciler.engine.transport import Query, Transport

STATUS_MANAGER = "reconciler-status"
_APPLY = "application/apply-patch+yaml"
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_MERGE = "application/merge-patch+json"
_PAGE = 500


@dataclass(frozen=True)
class Endpoint:
    """Where the API server keeps a kind."""

    plural: str
    namespaced: bool


class KubeClient:
    """Implements `Client`; open it before use and close it afterwards.

    Every method raises `TransientError` or `TerminalError` subclasses of
    `reconciler.engine.errors`.
    """

    def __init__(self, settings: ClientSettings | None = None) -> None:
        self._transport = Transport(settings or ClientSettings())
        self._request = self._transport.request
        self._endpoints: dict[str, dict[str, Endpoint]] = {}

    async def open(self) -> None:
        """Load the credentials."""
        await self._transport.open()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    def acting_as(self, user: str) -> KubeClient:
        """The same client with another user's rights; not to be closed."""
        found = copy.copy(self)
        request = functools.partial(self._request, user=user)
        found._request = request  # noqa: SLF001 - of a copy of ourselves
        return found

    def only_while(self, check: Callable[[], None]) -> KubeClient:
        """The same client, asking before every write; not to be closed.

        Args:
            check: raises if nothing may be written any more.
        """
        found, request = copy.copy(self), self._request

        async def checked(method: str, *args: Any, **options: Any) -> Any:
            if method != "GET":
                check()
            return await request(method, *args, **options)

        found._request = checked  # noqa: SLF001 - of a copy of ourselves
        return found

    async def apply(
        self,
        body: dict[str, Any],
        *,
        force: bool = True,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Server-side apply with our field manager; returns the object."""
        path = await self._path_of(body)
        query = [("fieldManager", OBJECT_MANAGER)]
        query += [("force", "true")] if force else []
        query += [("dryRun", "All")] if dry_run else []
        return await self._request(
            "PATCH", path, query=query, body=body, content_type=_APPLY
        )

    async def apply_status(
        self,
        key: ObjectKey,
        status: Mapping[str, Any],
        *,
        over: str | None = None,
    ) -> dict[str, Any]:
        """Make the status of one of our objects be this one.

        Args:
            key: which object.
            status: all of what we say.
            over: the resourceVersion that the object must still have.

        Raises:
            NotFoundError: the object is gone.
            ConflictError: it has another resourceVersion.
        """
        version = {} if over is None else {"resourceVersion": over}
        body = {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                **version,
            },
            "status": dict(status),
        }
        query = [("fieldManager", STATUS_MANAGER), ("force", "true")]
        return await self._request(
            "PATCH",
            f"{await self._path_of(body)}/status",
            query=query,
            body=body,
            content_type=_APPLY,
        )

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create an object.

        Raises:
            ConflictError: it is there already, maybe by our own request
                whose reply was lost.
        """
        collection, _, _ = (await self._path_of(body)).rpartition("/")
        return await self._request(
            "POST",
            collection,
            query=[("fieldManager", OBJECT_MANAGER)],
            body=body,
        )

    async def get(
        self, api_version: str, kind: str, namespace: str | None, name: str
    ) -> dict[str, Any] | None:
        """The object as the server has it now, or None if there is none."""
        path = await self._path(api_version, kind, namespace, name)
        try:
            return await self._request("GET", path)
        except NotFoundError:
            return None

    async def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
    ) -> Sequence[dict[str, Any]]:
        """Objects of a kind, all pages of them."""
        path = await self._path(api_version, kind, namespace, None)
        query = [("labelSelector", label_selector)] if label_selector else []
        try:
            items = await self._pages(path, [*query, ("limit", str(_PAGE))])
        except ExpiredError:
            # The token of a page got too old: one answer with all of them.
            items = await self._pages(path, query)
        return [{"apiVersion": api_version, "kind": kind, **i} for i in items]

    async def table(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        name: str | None = None,
        *,
        label_selector: str | None = None,
    ) -> dict[str, Any]:
        """Objects as the server's ``meta.k8s.io/v1 Table``."""
        path = await self._path(api_version, kind, namespace, name)
        query = [("labelSelector", label_selector)] if label_selector else []
        return await self._request("GET", path, query=query, accept=_TABLE)

    async def delete(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
    ) -> bool:
        """Delete if there (and if the uid is that one); whether it was."""
        path = await self._path(api_version, kind, namespace, name)
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
        }
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._request("DELETE", path, body=options)
        except NotFoundError:
            return False
        except ConflictError:
            if uid is None:
                raise
            return False
        return True

    async def merge_patch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        name: str,
        patch: dict[str, Any],
        *,
        subresource: str = "",
    ) -> dict[str, Any]:
        """JSON merge patch of an object or a subresource; returns it.

        With ``metadata.resourceVersion`` in the patch it is conflict-checked.
        """
        path = await self._path(api_version, kind, namespace, name)
        return await self._request(
            "PATCH",
            f"{path}/{subresource}" if subresource else path,
            query=[("fieldManager", OBJECT_MANAGER)],
            body=patch,
            content_type=_MERGE,
        )

    async def _pages(
        self, path: str, query: Query
    ) -> Sequence[dict[str, Any]]:
        items: deque[dict[str, Any]] = deque()
        token = ""
        while True:
            more = [("continue", token)] if token else []
            page = await self._request("GET", path, query=[*query, *more])
            if "items" not in page:
                # An answer that is no list must not pass for an empty one.
                msg = "the API server answered with something else than a list"
                raise UnavailableError(msg)
            items += page["items"] or []
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return tuple(items)

    async def _path_of(self, body: Mapping[str, Any]) -> str:
        meta = body["metadata"]
        return await self._path(
            body["apiVersion"],
            body["kind"],
            meta.get("namespace"),
            meta["name"],
        )

    async def _path(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        name: str | None,
    ) -> str:
        endpoint = await self._endpoint(api_version, kind)
        parts = [_root(api_version)]
        if endpoint.namespaced and (namespace or name):
            parts += ["namespaces", quote(namespace or "default", safe="")]
        parts.append(endpoint.plural)
        parts += [quote(name, safe="")] if name else []
        return "/".join(parts)

    async def _endpoint(self, api_version: str, kind: str) -> Endpoint:
        """Where a kind lives; asked once per group and again if missing."""
        if kind not in self._endpoints.get(api_version, {}):
            found = await self._request("GET", _root(api_version))
            self._endpoints[api_version] = {
                item["kind"]: Endpoint(item["name"], item["namespaced"])
                for item in found.get("resources") or []
                if "/" not in item["name"]
            }
        try:
            return self._endpoints[api_version][kind]
        except KeyError:
            msg = f"the API server has no kind {kind} in {api_version}"
            raise NotFoundError(msg) from None


def _root(api_version: str) -> str:
    prefix = "/apis" if "/" in api_version else "/api"
    return f"{prefix}/{api_version}"
