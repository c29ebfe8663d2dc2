"""Leader election on a coordination.k8s.io/v1 Lease.

Every change of the Lease carries the resourceVersion that it was decided
on, so that of two candidates one gets a conflict. How long a leader was
silent is measured with our own clock between changes that we saw, because
clocks of different machines differ.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import Any, Protocol

from reconciler.engine.clock import Clock, micro_time, utc_now
from reconciler.engine.controller import (
    Client,
    TerminalError,
    TransientError,
)
from reconciler.engine.errors import ConflictError

logger = logging.getLogger(__name__)

API = "coordination.k8s.io/v1"


class LeaseClient(Client, Protocol):
    """What leader election needs besides what controllers get."""

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create an object, or raise `ConflictError` if it exists."""


@dataclass(frozen=True)
class LeaseTerms:
    """Which Lease, and its times in seconds."""

    name: str = "reconciler-controller"
    namespace: str = "default"
    duration: float = 15.0
    """Silence after which others may take over."""

    renew: float = 5.0
    """Between two renewals of the leader, and two tries of the others."""


class Lease:
    """One candidate.

    Args:
        client: the API server.
        identity: our name, unique among candidates.
        terms: which Lease, and its times.
        clock: the time written into the Lease, for people.
    """

    def __init__(
        self,
        client: LeaseClient,
        identity: str,
        terms: LeaseTerms | None = None,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._client, self._identity = client, identity
        self._terms, self._clock = terms or LeaseTerms(), clock
        self._seen: tuple[str, float] = ("", 0.0)
        self._renewed = -math.inf

    async def acquire(self) -> None:
        """Wait until we lead."""
        loop = asyncio.get_running_loop()
        while True:
            # A reply that took long tells of a lead that others may think
            # is over already.
            if await self.attempt() and loop.time() < self._deadline():
                break
            # Nothing tells us when the other one gives up, so we ask.
            await asyncio.sleep(self._terms.renew)
        logger.info("Leading as %s", self._identity)

    async def hold(self) -> None:
        """Renew while we lead; returns when we no longer do.

        A server that is away for a while does not end the lead, but it ends
        before others may start: their patience is our duration.
        """
        loop = asyncio.get_running_loop()
        pause = self._terms.renew
        while (left := self._deadline() - loop.time()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = self._terms.renew
            try:
                async with asyncio.timeout_at(self._deadline()):
                    if not await self._try():
                        break
            except (TransientError, TimeoutError) as error:
                # Of a conflict too: our own renewal, whose reply was lost.
                text = str(error) or "no answer in time"
                logger.warning("Lease not renewed: %s", text)
                pause = self._terms.renew / 5
        logger.error("No longer leading as %s", self._identity)

    def require(self) -> None:
        """Refuse to go on if we do not lead (any more).

        A process that was stopped and goes on finds this out first, not
        after the write that it was about to make.

        Raises:
            TransientError: somebody else may lead.
        """
        if asyncio.get_running_loop().time() >= self._deadline():
            msg = f"no longer leading as {self._identity}"
            raise TransientError(msg)

    async def release(self) -> None:
        """Let others lead at once, if we lead; in bounded time."""
        try:
            async with asyncio.timeout(self._terms.renew):
                lease = await self._read()
                if lease and _holder(lease) == self._identity:
                    await self._write(lease, "")
        except (TransientError, TerminalError, TimeoutError) as error:
            logger.warning("Lease not released, it will expire: %s", error)

    async def attempt(self) -> bool:
        """Take or renew the Lease if we may; whether we lead now."""
        try:
            return await self._try()
        except ConflictError:
            return False
        except TransientError as error:
            logger.warning("Lease not reached: %s", error)
            return False

    def _deadline(self) -> float:
        """When to stop leading without a renewal, in time of the loop."""
        return self._renewed + self._terms.duration * 2 / 3

    async def _try(self) -> bool:
        asked = asyncio.get_running_loop().time()
        lease = await self._read()
        if lease is None:
            await self._create()
        elif self._free(lease):
            await self._write(lease, self._identity)
        else:
            return False
        self._renewed = asked
        return True

    def _free(self, lease: dict[str, Any]) -> bool:
        """Ours, nobody's, or unchanged for longer than its duration."""
        now = asyncio.get_running_loop().time()
        version = lease["metadata"]["resourceVersion"]
        if self._seen[0] != version:
            self._seen = (version, now)
        silent = now - self._seen[1]
        spec = lease.get("spec") or {}
        patience = float(
            spec.get("leaseDurationSeconds") or self._terms.duration
        )
        return _holder(lease) in {"", self._identity} or silent > patience

    async def _read(self) -> dict[str, Any] | None:
        terms = self._terms
        return await self._client.get(
            API, "Lease", terms.namespace, terms.name
        )

    async def _create(self) -> None:
        meta = {
            "name": self._terms.name,
            "namespace": self._terms.namespace,
        }
        body = {"apiVersion": API, "kind": "Lease", "metadata": meta}
        await self._client.create(body | {"spec": self._spec(None)})

    async def _write(self, lease: dict[str, Any], holder: str) -> None:
        spec = self._spec(lease)
        if not holder:
            spec = {"holderIdentity": "", "leaseDurationSeconds": 1}
        version = lease["metadata"]["resourceVersion"]
        await self._client.merge_patch(
            API,
            "Lease",
            self._terms.namespace,
            self._terms.name,
            {"metadata": {"resourceVersion": version}, "spec": spec},
        )

    def _spec(self, lease: dict[str, Any] | None) -> dict[str, Any]:
        now = micro_time(self._clock())
        spec: dict[str, Any] = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._terms.duration)),
            "renewTime": now,
        }
        if lease is None or _holder(lease) != self._identity:
            old = (lease or {}).get("spec") or {}
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(old.get("leaseTransitions") or 0)
            spec["leaseTransitions"] += 0 if lease is None else 1
        return spec


def _holder(lease: dict[str, Any]) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")
