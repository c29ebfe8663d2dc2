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
from reconciler.engine.errors import ConflictError, NotFoundError

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


async def migrate(
    client: KubeClient, groups: Sequence[str]
) -> AsyncIterator[tuple[Migration, int]]:
    """Rewrite the objects of all definitions of some groups.

    Repeatable at any moment: what was rewritten is not written again, and
    the definition says so only after all of its objects were.

    Args:
        client: The API server.
        groups: API groups; none means all.

    Yields:
        Each definition, and how many objects were visited; 0 if it was not
        due.

    Raises:
        TransientError: The API server is out of reach.
        TerminalError: It refuses an object.
    """
    for definition in await client.list(*DEFINITION):
        found = migration_of(definition)
        if groups and found.group not in groups:
            continue
        yield found, await _rewrite(client, found) if found.due else 0


async def _rewrite(client: KubeClient, found: Migration) -> int:
    version = f"{found.group}/{found.served}"
    objects = await client.list(version, found.kind)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: Mapping[str, Any]) -> None:
        metadata = item["metadata"]
        async with gate:
            await _touch(
                client,
                (version, found.kind, metadata.get("namespace")),
                metadata["name"],
            )

    await asyncio.gather(*(one(item) for item in objects))
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
    return len(objects)


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
