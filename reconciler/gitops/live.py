"""How the API server sees the objects of a revision.

Drift is what a server-side apply would change, told by a dry run. An object
that was compared once is compared again only if it or its manifest changed,
so that an unchanged revision costs one list per kind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.engine.controller import Client, TransientError
from reconciler.engine.errors import (
    AccessDeniedError,
    InvalidError,
    NotFoundError,
)
from reconciler.engine.resource import ANNOTATIONS
from reconciler.gitops.build import Ownership
from reconciler.gitops.claims import Claims
from reconciler.gitops.concurrent import about, each, reading
from reconciler.gitops.diff import changes, comparable
from reconciler.gitops.force import forced, is_immutable, namesake
from reconciler.gitops.guard import holding
from reconciler.gitops.ignored import IgnoreRules
from reconciler.gitops.manifest import (
    CRD,
    NAMESPACE,
    DesiredObject,
    ObjectId,
    api_version,
    digest_of,
)
from reconciler.gitops.observation import ObjectState, StaleObject, Verdict
from reconciler.gitops.resource import InventoryEntry

LIST_FROM = 4
"""Objects of one kind in one namespace from which a list is cheaper."""

WITHHELD = "(withheld: values from a Secret)"

_RIGHTS = re.compile(r'is forbidden: User "[^"]*" cannot \w+ resource ')
_CAUSE = re.compile(
    r"([A-Za-z][\w.\[\]-]*): "
    r"(?:(?:Invalid|Required|Unsupported|Duplicate) value|Forbidden)"
)

Live = Mapping[str, Any]
NOTHING_IGNORED = IgnoreRules()


@dataclass(frozen=True)
class Replacing:
    """Which objects are replaced if they cannot be changed."""

    ownership: Ownership
    force: bool = False
    """``spec.force``."""

    def replaced(
        self, item: DesiredObject, live: Live | None, error: Exception
    ) -> StaleObject | None:
        """What has to be deleted first; None if it is not to be."""
        if live is None or not is_immutable(error):
            return None
        if not forced(self.force, item):
            return None
        found = _stale_object(item.id, item.version, live, self.ownership)
        return None if found.protected else found


@dataclass
class Inspector:
    """Compares objects with the server and remembers the outcome."""

    _known: dict[ObjectId, tuple[str, str]] = field(default_factory=dict)
    """Digest of the manifest and of the live object found in sync."""

    def applied(self, desired: DesiredObject, live: Live) -> None:
        """Remember what an apply returned."""
        self._known[desired.id] = (desired.digest, _fingerprint(live))

    async def inspect(
        self,
        client: Client,
        objects: Sequence[DesiredObject],
        ignored: IgnoreRules = NOTHING_IGNORED,
        claims: Claims | None = None,
        replacing: Replacing | None = None,
    ) -> tuple[ObjectState, ...]:
        """The state of each object, in the same order.

        The states have the objects without what is to be ignored of them.
        Namespaces and definitions are looked at first, because objects of
        the same revision may have to wait for them.

        Raises:
            TransientError: the server does not answer.
        """
        live = await _live(client, objects)
        objects = [ignored.adjusted(o, live.get(o.id)) for o in objects]
        first = [o for o in objects if (o.id.group, o.id.kind) in _FIRST]
        rest = [o for o in objects if (o.id.group, o.id.kind) not in _FIRST]
        server = _Server(client, live, claims, replacing)
        early = await self._states(server, first, _Coming())
        coming = _Coming.of(early)
        states = early + await self._states(server, rest, coming)
        by_id = {state.desired.id: state for state in states}
        self._known = {k: v for k, v in self._known.items() if k in by_id}
        return tuple(by_id[item.id] for item in objects)

    async def _states(
        self,
        server: _Server,
        objects: Sequence[DesiredObject],
        coming: _Coming,
    ) -> list[ObjectState]:
        async def one(item: DesiredObject) -> ObjectState:
            with about(f"{item.origin}: {item.id}"):
                return await self._state(server, item, coming)

        return await each(one, objects)

    async def _state(
        self, server: _Server, item: DesiredObject, coming: _Coming
    ) -> ObjectState:
        live = server.live.get(item.id)
        seen = (item.digest, _fingerprint(live)) if live else None
        rival = server.rival(item)
        if rival:
            text = (
                f"{item.origin}: {item.id}: belongs to ConfigRepository "
                f"{rival}; take it out of one of the two"
            )
            return ObjectState(item, Verdict.REJECTED, message=text)
        if seen is not None and self._known.get(item.id) == seen:
            return ObjectState(item, Verdict.IN_SYNC, live=live)
        try:
            after = await apply(server.client, item, dry_run=True)
        except _REFUSALS as error:
            refused = _refused(item, error, coming, exists=live is not None)
            return await server.replaced(item, error) or refused
        if live is None or seen is None:
            return ObjectState(item, Verdict.DRIFTED, exists=False)
        found = changes(comparable(live), comparable(after))
        if found:
            return ObjectState(item, Verdict.DRIFTED, found)
        self._known[item.id] = seen
        return ObjectState(item, Verdict.IN_SYNC, live=live)


async def apply(
    client: Client, item: DesiredObject, *, dry_run: bool = False
) -> dict[str, Any]:
    """Apply an object; a failure of the server shows no secret.

    Raises:
        TransientError: no good answer; of an object with a secret in it
            without the server's words, which may repeat what was sent.
        TerminalError: the server refuses it; see `refusal`.
    """
    try:
        return await client.apply(item.body, dry_run=dry_run)
    except (AccessDeniedError, NotFoundError):
        raise
    except TransientError as error:
        if not item.secret:
            raise
        kind = type(error)
        msg = f"{kind.__name__} {WITHHELD}"
        raise kind(msg) from None


_FIRST = (NAMESPACE, CRD)
_REFUSALS = (InvalidError, NotFoundError, AccessDeniedError)


@dataclass(frozen=True)
class _Server:
    """What the API server has of a revision's objects."""

    client: Client
    live: Mapping[ObjectId, Live]
    claims: Claims | None
    replacing: Replacing | None

    def rival(self, item: DesiredObject) -> str | None:
        live = self.live.get(item.id)
        if live is None or self.claims is None:
            return None
        return self.claims.rival(item.id, live)

    async def replaced(
        self, item: DesiredObject, error: Exception
    ) -> ObjectState | None:
        """The state of what is to be deleted and created again, if it is."""
        live, rules = self.live.get(item.id), self.replacing
        gone = rules.replaced(item, live, error) if rules else None
        if gone is None:
            return None
        try:
            await self.client.apply(namesake(item), dry_run=True)
        except _REFUSALS as anew:
            # It could not be created again: nothing is deleted.
            message = refusal(item, anew)
            return ObjectState(item, Verdict.REJECTED, message=message)
        why = refusal(item, error)
        return ObjectState(item, Verdict.REPLACED, message=why, replaces=gone)


@dataclass(frozen=True)
class _Coming:
    """Namespaces and kinds that this revision brings or changes."""

    namespaces: frozenset[str] = frozenset()
    defined: frozenset[tuple[str, str]] = frozenset()
    """Kinds whose definition is in the revision; maybe not served yet."""

    changing: frozenset[tuple[str, str]] = frozenset()
    """Those of which the definition has yet to be applied."""

    @classmethod
    def of(cls, states: Sequence[ObjectState]) -> _Coming:
        kinds = {s: _defines(s.desired) for s in states}
        return cls(
            frozenset(
                s.desired.id.name
                for s in states
                if s.desired.id.kind == NAMESPACE[1] and not s.exists
            ),
            frozenset(k for k in kinds.values() if k),
            frozenset(
                k
                for state, k in kinds.items()
                if k and state.verdict is Verdict.DRIFTED
            ),
        )

    def brings(self, item: ObjectId, error: Exception) -> bool:
        """Whether a refusal may end once these are applied."""
        kind = (item.group, item.kind)
        if item.namespace in self.namespaces or kind in self.changing:
            return True
        return isinstance(error, NotFoundError) and kind in self.defined


def _defines(item: DesiredObject) -> tuple[str, str] | None:
    """The kind that a CustomResourceDefinition is about."""
    spec = item.body.get("spec")
    if item.id.kind != CRD[1] or not isinstance(spec, dict):
        return None
    names = spec.get("names")
    kind = names.get("kind") if isinstance(names, dict) else None
    return str(spec.get("group")), str(kind)


def _refused(
    item: DesiredObject, error: Exception, coming: _Coming, *, exists: bool
) -> ObjectState:
    verdict = Verdict.REJECTED
    if coming.brings(item.id, error):
        verdict = Verdict.DEFERRED
    message = refusal(item, error)
    return ObjectState(item, verdict, exists=exists, message=message)


def refusal(item: DesiredObject, error: Exception) -> str:
    """Why the server refuses an object, for everybody to read.

    What it says of an object with a secret in it may show that: only the
    fields that it names are told.
    """
    text = str(error)
    if item.secret and isinstance(error, InvalidError):
        fields = dict.fromkeys(_CAUSE.findall(text))
        shown = ", ".join(fields) or "the object"
        text = f"{shown} is invalid {WITHHELD}"
    elif item.secret and isinstance(error, AccessDeniedError):
        # A webhook that denies it may say why, with values.
        text = text if _RIGHTS.search(text) else f"denied {WITHHELD}"
    return f"{item.origin}: {item.id}: {text}"


def _fingerprint(live: Live) -> str:
    uid = (live.get("metadata") or {}).get("uid")
    return digest_of([uid, comparable(live)])


async def _live(
    client: Client, objects: Sequence[DesiredObject]
) -> dict[ObjectId, Live]:
    """What is there of the objects."""
    groups: dict[tuple[str, str, str], list[DesiredObject]] = {}
    for item in objects:
        key = (item.api_version, item.id.kind, item.id.namespace)
        groups.setdefault(key, []).append(item)

    async def one(members: list[DesiredObject]) -> dict[ObjectId, Live]:
        with reading(f"reading {members[0].id.kind} objects"):
            return await _group(client, members)

    found = await each(one, list(groups.values()))
    return {key: value for part in found for key, value in part.items()}


async def _group(
    client: Client, members: list[DesiredObject]
) -> dict[ObjectId, Live]:
    """What is there of the objects of one kind in one namespace."""
    first = members[0]
    version, kind = first.api_version, first.id.kind
    namespace = first.id.namespace or None
    wanted = {item.id.name: item.id for item in members}
    try:
        if len(members) >= LIST_FROM:
            items = await client.list(version, kind, namespace)
        else:
            items = [
                item
                for name in wanted
                if (item := await client.get(version, kind, namespace, name))
            ]
    except (NotFoundError, AccessDeniedError):
        return {}  # no such kind or right: the dry run says so, by object
    names = [(item["metadata"]["name"], item) for item in items]
    return {wanted[n]: item for n, item in names if n in wanted}


async def stale(
    client: Client,
    inventory: Sequence[InventoryEntry],
    keep: frozenset[ObjectId],
    ownership: Ownership,
) -> tuple[StaleObject, ...]:
    """Entries of the inventory that are not to be kept.

    Raises:
        TransientError: the server does not answer.
    """
    gone = [
        (parsed, entry.v)
        for entry in inventory
        if (parsed := ObjectId.parse(entry.id)) not in keep
    ]

    async def one(entry: tuple[ObjectId, str]) -> StaleObject:
        with reading(str(entry[0])):
            return await _stale(client, *entry, ownership)

    return tuple(await each(one, gone))


async def _stale(
    client: Client, item: ObjectId, version: str, ownership: Ownership
) -> StaleObject:
    full = api_version(item.group, version)
    try:
        live = await client.get(
            full, item.kind, item.namespace or None, item.name
        )
    except NotFoundError:
        live = None  # the kind itself is gone, and its objects with it
    if live is None:
        return StaleObject(item, version)
    return _stale_object(item, version, live, ownership)


def _stale_object(
    item: ObjectId, version: str, live: Live, ownership: Ownership
) -> StaleObject:
    meta = live["metadata"]
    asked = (meta.get("annotations") or {}).get(ANNOTATIONS.prune)
    return StaleObject(
        item,
        version,
        uid=str(meta.get("uid", "")),
        protected=asked == "disabled" or not ownership.owns(live),
        terminating=bool(meta.get("deletionTimestamp")),
        holds=holding(item, live),
    )
