"""What differences would cost: machines, hours, bytes, devices. Pure.

Every figure is a bound that the objects themselves state. What states no
bound is said to have none; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from reconciler.engine.resource import GROUP, parse_duration
from reconciler.gitops.diff import Difference
from reconciler.gitops.guard import holding
from reconciler.gitops.manifest import ObjectId

DEADLINE = 3600
RETRIES = 3
"""Defaults of ``activeDeadlineSeconds`` and ``backoffLimit``."""

_QUANTITY = re.compile(r"^([0-9]+(?:\.[0-9]+)?)([KMGTPE]i?|k|m)?$")
_SCALE: Mapping[str | None, Decimal] = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    **{s: Decimal(1000 ** (i + 1)) for i, s in enumerate("KMGTPE")},
    **{s + "i": Decimal(1024 ** (i + 1)) for i, s in enumerate("KMGTPE")},
}

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Rent:
    """Machines that a GPUClaim may rent."""

    object: str
    count: int
    hourly: Decimal | None
    """USD per hour at most; None: it has no cap."""

    total: Decimal | None
    """USD at most, by its cap or by its price and lifetime."""


@dataclass(frozen=True)
class Training:
    """Time that a generation may train."""

    object: str
    hours: Decimal
    """At most, all attempts together."""

    repeats: bool = False
    """Whether that is per generation of a schedule."""


@dataclass(frozen=True)
class Loss:
    """Something that would be deleted."""

    object: str
    holds: str
    """What would be lost with it; empty if it is replaceable."""


@dataclass(frozen=True)
class Price:
    """All of it."""

    rents: tuple[Rent, ...] = ()
    training: tuple[Training, ...] = ()
    stored: Mapping[str, int] | None = None
    """Bytes claimed, by object."""

    devices: Mapping[str, tuple[str, ...]] | None = None
    """Devices asked for in order of preference, by object."""

    deleted: tuple[Loss, ...] = ()

    @property
    def hourly(self) -> Decimal | None:
        """USD per hour at most; None if something has no cap."""
        return _sum(r.hourly for r in self.rents)

    @property
    def total(self) -> Decimal | None:
        """USD at most; None if something has no cap."""
        return _sum(r.total for r in self.rents)

    @property
    def hours(self) -> Decimal:
        """Hours of single generations; those of schedules come on top."""
        times = (t.hours for t in self.training if not t.repeats)
        return sum(times, Decimal(0))

    @property
    def bytes(self) -> int:
        """Bytes of storage claimed."""
        return sum((self.stored or {}).values())


def price(
    differences: Iterable[Difference],
    wanted: Mapping[ObjectId, Body],
    live: Mapping[ObjectId, Body],
) -> Price:
    """What is behind some differences.

    Args:
        differences: what would change.
        wanted: the objects that would be there, by identity.
        live: the objects that are there.
    """
    found = list(differences)
    asked = [
        (d.id, wanted[d.id])
        for d in found
        if d.verb != "pruned" and d.id in wanted
    ]
    lost = [d.id for d in found if d.verb == "pruned"]
    return Price(
        rents=tuple(r for i, b in asked for r in _rents(i, b)),
        training=tuple(t for i, b in asked for t in _training(i, b)),
        stored={str(i): n for i, b in asked if (n := _bytes(i, b))},
        devices={str(i): d for i, b in asked if (d := _devices(i, b))},
        deleted=tuple(Loss(str(i), holding(i, live.get(i, {}))) for i in lost),
    )


def _rents(item: ObjectId, body: Body) -> Iterator[Rent]:
    if (item.group, item.kind) != (GROUP, "GPUClaim"):
        return
    spec = _mapping(body, "spec")
    hourly = _money(spec.get("maxHourly"))
    total = _money(spec.get("maxTotal"))
    hours = _hours(spec.get("maxLifetime"))
    if hourly is not None and hours is not None:
        bound = hourly * hours
        total = bound if total is None else min(total, bound)
    count = spec.get("count", 1)
    number = count if isinstance(count, int) else 1
    yield Rent(str(item), number, hourly, total)


def _training(item: ObjectId, body: Body) -> Iterator[Training]:
    spec = _mapping(body, "spec")
    if (item.group, item.kind) == (GROUP, "ModelGeneration"):
        yield Training(str(item), _bound(spec))
    if (item.group, item.kind) == (GROUP, "TrainingSchedule"):
        hours = _bound(_mapping(spec, "template"))
        yield Training(str(item), hours, repeats=True)


def _bound(spec: Body) -> Decimal:
    """Hours of all attempts of the training of one generation."""
    deadline = spec.get("activeDeadlineSeconds", DEADLINE)
    retries = spec.get("backoffLimit", RETRIES)
    if not isinstance(deadline, int) or not isinstance(retries, int):
        return Decimal(0)  # the server will refuse it
    return Decimal(deadline * (retries + 1)) / 3600


def _bytes(item: ObjectId, body: Body) -> int:
    spec = _mapping(body, "spec")
    if (item.group, item.kind) == ("", "PersistentVolumeClaim"):
        return _requested(spec)
    if (item.group, item.kind) != ("apps", "StatefulSet"):
        return 0
    templates = spec.get("volumeClaimTemplates")
    items = templates if isinstance(templates, list) else []
    one = sum(_requested(_mapping(t, "spec")) for t in items)
    replicas = spec.get("replicas", 1)
    return one * (replicas if isinstance(replicas, int) else 1)


def _requested(spec: Body) -> int:
    requests = _mapping(_mapping(spec, "resources"), "requests")
    match = _QUANTITY.match(str(requests.get("storage", "")))
    return int(Decimal(match[1]) * _SCALE[match[2]]) if match else 0


def _devices(item: ObjectId, body: Body) -> tuple[str, ...]:
    spec = _mapping(body, "spec")
    if (item.group, item.kind) == (GROUP, "Model"):
        named = _mapping(spec, "serving").get("devices")
    elif (item.group, item.kind) == (GROUP, "DeviceAllocation"):
        named = spec.get("preference")
    else:
        return ()
    items = named if isinstance(named, list) else []
    return tuple(str(device) for device in items)


def _money(value: Any) -> Decimal | None:
    try:
        return Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        return None


def _hours(value: Any) -> Decimal | None:
    try:
        seconds = parse_duration(value).total_seconds()
    except (ValueError, TypeError):
        return None
    return Decimal(str(seconds)) / 3600


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    total = Decimal(0)
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _mapping(value: Any, name: str) -> Body:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}
