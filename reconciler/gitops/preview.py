"""Differences and their price as text, JSON or Markdown. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from reconciler.gitops.diff import Difference, Verb, render
from reconciler.gitops.price import Price

VERBS: tuple[Verb, ...] = ("added", "changed", "pruned")
MAX_COMMENT = 60_000
"""Characters of a comment on a pull request, as the forges take them."""


@dataclass(frozen=True)
class Preview:
    """What would change, and what is behind it."""

    differences: Sequence[Difference]
    price: Price

    def summary(self) -> str:
        """``2 added, 0 changed, 1 pruned``."""
        counts = Counter(d.verb for d in self.differences)
        return ", ".join(f"{counts[verb]} {verb}" for verb in VERBS)


def text(preview: Preview) -> str:
    """For a terminal; empty if there is no difference."""
    if not preview.differences:
        return ""
    lines = [render(preview.differences), "", preview.summary()]
    return "\n".join([*lines, *_plan(preview.price)])


def content(preview: Preview) -> dict[str, Any]:
    """For a program."""
    cost = preview.price
    return {
        "summary": {v: _count(preview, v) for v in VERBS},
        "differences": [_difference(d) for d in preview.differences],
        "plan": {
            "hourlyUSD": _decimal(cost.hourly),
            "totalUSD": _decimal(cost.total),
            "rents": [
                {
                    "object": r.object,
                    "count": r.count,
                    "hourlyUSD": _decimal(r.hourly),
                    "totalUSD": _decimal(r.total),
                }
                for r in cost.rents
            ],
            "training": [
                {
                    "object": t.object,
                    "hours": _decimal(t.hours),
                    "perGeneration": t.repeats,
                }
                for t in cost.training
            ],
            "storedBytes": dict(cost.stored or {}),
            "devices": {k: list(v) for k, v in (cost.devices or {}).items()},
            "deleted": [
                {"object": x.object, "holds": x.holds} for x in cost.deleted
            ],
        },
    }


def markdown(preview: Preview) -> str:
    """For a comment on a pull request, cut where the forges would."""
    head = f"### reconciler diff: {preview.summary()}\n"
    if not preview.differences:
        return head + "\nNothing would change.\n"
    plan = [f"- {_escaped(line)}\n" for line in _plan(preview.price)]
    body = "".join([head, *(["\n", *plan] if plan else [])])
    shown = render(preview.differences)
    room = MAX_COMMENT - len(body)
    if len(shown) > room:
        shown = shown[:room].rpartition("\n")[0] + "\n... cut"
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{body}\n{fence}diff\n{shown}\n{fence}\n"


FORMATS: Mapping[str, Callable[[Preview], str]] = {
    "text": text,
    "markdown": markdown,
}
"""For people."""


def _plan(cost: Price) -> Iterator[str]:
    """One line for each part that there is."""
    if cost.rents:
        machines = sum(r.count for r in cost.rents)
        hourly, total = _usd(cost.hourly), _usd(cost.total)
        yield f"rents {machines} GPUs, per hour {hourly}, in total {total}"
    if cost.hours:
        yield f"trains at most {_decimal(cost.hours)} hours"
    for found in cost.training:
        if found.repeats:
            hours = _decimal(found.hours)
            yield f"trains at most {hours} hours a generation: {found.object}"
    if cost.bytes:
        yield f"claims {cost.bytes:,} bytes of storage"
    for name, devices in sorted((cost.devices or {}).items()):
        yield f"asks for {', '.join(devices)}: {name}"
    for lost in cost.deleted:
        why = f", which {lost.holds}" if lost.holds else ""
        yield f"deletes {lost.object}{why}"


def _difference(found: Difference) -> dict[str, Any]:
    where = found.id
    return {
        "verb": found.verb,
        "group": where.group,
        "kind": where.kind,
        "namespace": where.namespace,
        "name": where.name,
        "origin": found.origin,
        "changes": [
            {"path": c.path, "old": c.old, "new": c.new} for c in found.changes
        ],
    }


def _count(preview: Preview, verb: str) -> int:
    return sum(d.verb == verb for d in preview.differences)


def _decimal(value: Decimal | None) -> str | None:
    if value is None:
        return None
    return f"{value.quantize(Decimal('0.01')):f}"


def _usd(value: Decimal | None) -> str:
    return "without a cap" if value is None else f"at most ${_decimal(value)}"


def _escaped(line: str) -> str:
    """Text that Markdown leaves as it is."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in line)


def _longest_run(shown: str) -> int:
    """Backticks in a row: a value cannot end the fence that it is in."""
    return max((len(run) for run in re.findall("`+", shown)), default=0)
