"""What cannot be changed is deleted and created again, if asked to. Pure.

Only objects that are ours are replaced, and those that hold data or money
only once a person approved it. The approval is marked in the inventory, so
that a replacement that was cut short goes on.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.engine.errors import InvalidError
from reconciler.engine.resource import ANNOTATIONS
from reconciler.gitops.guard import APPROVAL_REQUIRED, mark
from reconciler.gitops.manifest import (
    CRD,
    NAMESPACE,
    REPOSITORY,
    DesiredObject,
)
from reconciler.gitops.observation import (
    ObjectState,
    Problem,
    StaleObject,
    Verdict,
)
from reconciler.gitops.resource import ConfigRepository

FLUX = "kustomize.toolkit.fluxcd.io/force"
SHOWN = 5

_IMMUTABLE = re.compile(
    r"immutable|may not (be )?changed?\b|cannot be (changed|updated|modified)"
    r"|updates to [\w ]+ are forbidden|updates may not change",
    re.IGNORECASE,
)
_PREFIX = "replace-"
_NEVER = (NAMESPACE, CRD, REPOSITORY)
"""Too much goes with them."""

_LONGEST = 50


def is_immutable(error: Exception) -> bool:
    """Whether the server refuses because a field may not change."""
    text = str(error)
    return isinstance(error, InvalidError) and bool(_IMMUTABLE.search(text))


def forced(spec_force: bool, item: DesiredObject) -> bool:
    """Whether an object may be replaced; its annotation has the last word."""
    if (item.id.group, item.id.kind) in _NEVER:
        return False
    annotations = item.body["metadata"].get("annotations") or {}
    asked = annotations.get(ANNOTATIONS.force, annotations.get(FLUX))
    return spec_force if asked is None else asked.lower() == "enabled"


def namesake(item: DesiredObject) -> dict[str, Any]:
    """The object under a name that is free, to try whether it can be made.

    It is for a dry run alone: what would be refused anew is not deleted.
    """
    body = copy.deepcopy(item.body)
    name = item.id.name
    tail = hashlib.sha256(name.encode()).hexdigest()[:8]
    body["metadata"]["name"] = f"{name[:_LONGEST].rstrip('-.:')}-{tail}"
    return body


def replace_mark(item: StaleObject) -> str:
    """What stands in the inventory for an approved replacement."""
    return _PREFIX + mark(item)


def token(items: Iterable[StaleObject]) -> str:
    """What approves the replacement of exactly these objects."""
    marks = "\n".join(sorted(mark(item) for item in items))
    return _PREFIX + hashlib.sha256(marks.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Approved:
    """What a person agreed to."""

    tokens: frozenset[str]
    marks: Mapping[str, str | None]
    """Identity in the inventory to its mark."""

    @classmethod
    def of(
        cls, desired: ConfigRepository, approvals: Iterable[str]
    ) -> Approved:
        """From the commit, the annotation and the inventory."""
        given = desired.metadata.annotations.get(ANNOTATIONS.approved)
        return cls(
            frozenset([*approvals, *([given] if given else [])]),
            {e.id: e.approved for e in desired.status.inventory},
        )


def withheld(
    desired: ConfigRepository,
    states: Sequence[ObjectState],
    approved: Approved,
) -> Problem | None:
    """Why replacements wait for a person; None if they need not."""
    replaced = [s.replaces for s in states if s.verdict is Verdict.REPLACED]
    new = [
        item
        for item in replaced
        if item is not None
        and item.holds
        and not item.terminating
        and approved.marks.get(_entry_id(item)) != replace_mark(item)
    ]
    if not new or token(new) in approved.tokens:
        return None
    names = [f"{item.id}, which {item.holds}" for item in new[:SHOWN]]
    more = len(new) - SHOWN
    names += [f"and {more} more"] if more > 0 else []
    meta = desired.metadata
    return Problem(
        APPROVAL_REQUIRED,
        f"a replacement waits for approval: kubectl annotate repo {meta.name} "
        f"-n {meta.namespace} --overwrite "
        f"{ANNOTATIONS.approved}={token(new)}; "
        f"it would delete and create again {', '.join(names)}",
    )


def _entry_id(item: StaleObject) -> str:
    return item.id.entry(item.version).id
