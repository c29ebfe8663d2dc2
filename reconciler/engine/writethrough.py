"""The client that controllers get: what they write is in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reconciler.engine.controller import Client


class WriteThrough:
    """Implements `Client`; reports every written object.

    Args:
        client: where requests go.
        written: called with each object as the server answered it.
    """

    def __init__(
        self, client: Client, written: Callable[[Mapping[str, Any]], object]
    ) -> None:
        self._client = client
        self._written = written

    def acting_as(self, user: str) -> Client:
        """The same with another user's rights."""
        return WriteThrough(self._client.acting_as(user), self._written)

    async def apply(
        self,
        body: dict[str, Any],
        *,
        force: bool = True,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Server-side apply; a dry run changes nothing, here neither."""
        raw = await self._client.apply(body, force=force, dry_run=dry_run)
        if not dry_run:
            self._written(raw)
        return raw

    async def get(
        self, api_version: str, kind: str, namespace: str | None, name: str
    ) -> dict[str, Any] | None:
        """The object as the server has it now."""
        return await self._client.get(api_version, kind, namespace, name)

    async def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
    ) -> Sequence[dict[str, Any]]:
        """Objects of a kind as the server has them now."""
        return await self._client.list(
            api_version, kind, namespace, label_selector=label_selector
        )

    async def delete(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
    ) -> bool:
        """Delete; memory follows when the server says so."""
        return await self._client.delete(
            api_version, kind, namespace, name, uid=uid
        )

    async def merge_patch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        name: str,
        patch: dict[str, Any],
    ) -> dict[str, Any]:
        """JSON merge patch; the answer is in memory at once."""
        raw = await self._client.merge_patch(
            api_version, kind, namespace, name, patch
        )
        self._written(raw)
        return raw
