"""Installing the kinds themselves: CustomResourceDefinitions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.engine.controller import Client, TransientError
from reconciler.engine.crd import render_crd
from reconciler.engine.resource import Resource

_API = "apiextensions.k8s.io/v1"
_KIND = "CustomResourceDefinition"
_POLL_SECONDS = 0.1


async def install_crds(
    client: Client, kinds: Sequence[type[Resource]], *, patience: float = 30.0
) -> None:
    """Apply the definitions of the kinds and wait until they are served.

    Raises:
        TransientError: they are not, after `patience` seconds.
        TerminalError: the API server refuses one.
    """
    await asyncio.gather(*(client.apply(render_crd(k)) for k in kinds))
    try:
        async with asyncio.timeout(patience):
            for kind in kinds:
                await _established(client, kind.definition.crd_name)
    except TimeoutError as error:
        msg = f"the kinds are not served after {patience:g} seconds"
        raise TransientError(msg) from error


async def _established(client: Client, name: str) -> None:
    while True:
        crd = await client.get(_API, _KIND, None, name)
        if crd is not None and _is_established(crd):
            return
        await asyncio.sleep(_POLL_SECONDS)


def _is_established(crd: Mapping[str, Any]) -> bool:
    conditions = (crd.get("status") or {}).get("conditions") or []
    return any(
        c.get("type") == "Established" and c.get("status") == "True"
        for c in conditions
    )
