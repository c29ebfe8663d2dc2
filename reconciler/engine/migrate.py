"""Rewriting objects in the storage version of their definition.

Objects stay in the version in which they were last written. Before a version
can be dropped from a CustomResourceDefinition, none may be left in it:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.engine.client import KubeClient
from reconciler.engine.controller import TerminalError, TransientError
from reconciler.engine.errors import (
    ConflictError,
    NotFoundError,
    UnavailableError,
)

DEFINITION = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
AT_ONCE = 8
"""Objects that are written at the same time."""

_TRIES = 5


@dataclass(frozen=True)
class Migration:
    """What is left to do for one definition."""

    name: str
    kind: str
    group: str
    storage: str
    """The version in which new writes are stored."""

    served: str
    """The version to write in: it is stored in the other one all the same."""

    stored: tuple[str, ...]
    """Versions in which there may be objects."""

    resource_version: str

    @property
    def due(self) -> bool:
        """Whether objects may be stored in another version."""
        return self.stored != (self.storage,)


def migration_of(definition: Mapping[str, Any]) -> Migration:
    """Read a CustomResourceDefinition."""
    spec = definition["spec"]
    storage = next(v["name"] for v in spec["versions"] if v["storage"])
    served = [v["name"] for v in spec["versions"] if v["served"]]
    status = definition.get("status") or {}
    return Migration(
        definition["metadata"]["name"],
        spec["names"]["kind"],
        spec["group"],
        storage,
        storage if storage in served or not served else served[0],
        tuple(status.get("storedVersions") or (storage,)),
        definition["metadata"]["resourceVersion"],
    )


@dataclass(frozen=True)
class Outcome:
    """What became of the objects of one definition."""

    visited: int = 0
    refused: tuple[str, ...] = ()
    """What could not be written, and why; the rest was."""


async def migrate(
    client: KubeClient, groups: Sequence[str]
) -> AsyncIterator[tuple[Migration, Outcome]]:
    """Rewrite the objects of all definitions of some groups.

    Repeatable at any moment: what was rewritten is not written again, and
    the definition says so only after all of its objects were. What the server
    refuses keeps nobody else waiting.

    Args:
        client: The API server.
        groups: API groups; none means all.

    Yields:
        Each definition, and what became of its objects; nothing if it was
        not due.

    Raises:
        TransientError, TerminalError: The definitions cannot be listed, or
            the API server is out of reach.
    """
    for definition in await client.list(*DEFINITION):
        found = migration_of(definition)
        if groups and found.group not in groups:
            continue
        yield found, await _rewritten(client, found)


async def _rewritten(client: KubeClient, found: Migration) -> Outcome:
    if not found.due:
        return Outcome()
    try:
        return await _rewrite(client, found)
    except UnavailableError:
        raise
    except (TransientError, TerminalError) as error:
        return Outcome(refused=(f"{found.name}: {error}",))


async def _rewrite(client: KubeClient, found: Migration) -> Outcome:
    version = f"{found.group}/{found.served}"
    objects = await client.list(version, found.kind)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: Mapping[str, Any]) -> str:
        metadata = item["metadata"]
        where = version, found.kind, metadata.get("namespace")
        async with gate:
            return await _touched(client, where, metadata["name"])

    told = await asyncio.gather(*(one(item) for item in objects))
    refused = tuple(why for why in told if why)
    if not refused:
        await _finish(client, found)
    return Outcome(len(objects) - len(refused), refused)


async def _finish(client: KubeClient, found: Migration) -> None:
    """Say that no object is left in another version."""
    # Refused if somebody changed the definition meanwhile: then another
    # version may be the one to store.
    await client.merge_patch(
        *(*DEFINITION, None, found.name),
        {
            "metadata": {"resourceVersion": found.resource_version},
            "status": {"storedVersions": [found.storage]},
        },
        subresource="status",
    )


async def _touched(
    client: KubeClient, where: tuple[str, str, str | None], name: str
) -> str:
    """Write an object as it is; tells why not, or ''."""
    try:
        await _touch(client, where, name)
    except UnavailableError:
        raise
    except (TransientError, TerminalError) as error:
        _, kind, namespace = where
        place = f"{namespace}/{name}" if namespace else name
        return f"{kind} {place}: {error}"
    return ""


async def _touch(
    client: KubeClient, where: tuple[str, str, str | None], name: str
) -> None:
    """Write an object as it is."""
    for attempt in range(_TRIES):
        try:
            await client.merge_patch(*where, name, {})
        except NotFoundError:
            return  # deleted meanwhile
        except ConflictError:
            if attempt == _TRIES - 1:
                raise
        else:
            return
