"""Server-side apply and the ownership bookkeeping of every write.

The semantics are those of structured merge: a manager that applies owns the
fields it names. Fields it no longer names are removed unless somebody else
owns them; fields that others own with another value are conflicts; a write
that is not an apply takes over what it changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from reconciler.controlplane.patch import managers as managed
from reconciler.controlplane.patch.errors import Conflict, PatchError
from reconciler.controlplane.patch.fields import EMPTY, FieldSet, path_text
from reconciler.controlplane.patch.managers import (
    UNTRACKED,
    Manager,
    Managers,
    Operation,
)
from reconciler.controlplane.patch.roots import root_shape
from reconciler.controlplane.patch.shapes import Shape, check_config
from reconciler.controlplane.patch.typed import (
    Comparison,
    compare,
    field_set,
    merge,
    remove,
    with_named,
)
from reconciler.controlplane.schema import CompiledSchema
from reconciler.controlplane.schema.values import same

Object = dict[str, Any]

BEFORE_FIRST_APPLY: Final = "before-first-apply"
_SERVER_METADATA: Final = frozenset(
    (
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    )
)


def server_side_apply(
    live: Object | None,
    config: Object,
    manager: str,
    force: bool,
    schema: CompiledSchema | None,
    now: str,
    subresource: str = "",
    api_version: str = "",
    reset: Iterable[str] = (),
) -> tuple[Object, list[Conflict]]:
    """Apply a configuration.

    Args:
        live: the object as stored, or None if there is none.
        config: what the manager wants; names the fields it owns.
        manager: name of the field manager.
        force: take over fields that others own with other values.
        schema: schema of the kind; None for built-in and untyped kinds.
        now: RFC 3339 time for the manager's entry, if something changes.
        subresource: the subresource applied to, such as ``status``.
        api_version: version of `config`; empty means its own.
        reset: top-level fields that this endpoint ignores, such as
            ``status`` of a kind that has the subresource.

    Returns:
        The new object with its managedFields, and the conflicts. Where there
        are conflicts the object is `live`, unchanged. A no-op returns an
        object equal to `live`, managedFields and their times included.

    Raises:
        PatchError: the configuration cannot be applied at all.
    """
    shape = root_shape(schema, config)
    version = api_version or str(config.get("apiVersion", ""))
    wanted = _prepare(config, shape, subresource, reset)
    base = managed.without_managers(live or {})
    known = _known_managers(live, base, shape, version, now)
    mine = Manager(
        manager, "Apply", version, _owned(wanted, shape), subresource, now
    )
    last = known.get(mine.identity())
    merged = merge(base, wanted, shape)
    others = {k: m for k, m in known.items() if k != mine.identity()}
    pruned = _prune(merged, last, [mine, *others.values()], shape)
    change = compare(base, pruned, shape)
    conflicts = _conflicts(others, change)
    if conflicts and not force:
        return live or {}, conflicts
    if live is not None and _unchanged(last, mine, base, pruned):
        return live, []
    result = _lose(others, change)
    # A time tells when the object changed, not when somebody agreed to it.
    agreed = live is not None and same(base, pruned)
    time = (last.time if last else "") if agreed else now
    result[mine.identity()] = replace(mine, time=time)
    return managed.with_managers(pruned, result), []


def _prepare(
    config: Object, shape: Shape, subresource: str, reset: Iterable[str]
) -> Object:
    if managed.managed_fields(config):
        raise PatchError("metadata.managedFields must be nil")
    metadata = config.get("metadata")
    wanted = {k: v for k, v in config.items() if k not in set(reset)}
    if subresource == "status":
        identity = ("apiVersion", "kind", "metadata", "status")
        wanted = {k: v for k, v in wanted.items() if k in identity}
    if isinstance(metadata, dict):
        own = ("name", "namespace") if subresource == "status" else metadata
        wanted["metadata"] = {
            k: v
            for k, v in metadata.items()
            if k in own and k not in _SERVER_METADATA
        }
    check_config(wanted, shape)
    return wanted


def _owned(wanted: Object, shape: Shape) -> FieldSet:
    return field_set(wanted, shape, applied=True) - UNTRACKED


def _known_managers(
    live: Object | None, base: Object, shape: Shape, version: str, now: str
) -> Managers:
    known = _decoded(managed.managed_fields(live))
    if known or live is None:
        return known
    # The object was written before anybody applied: its fields belong to
    # somebody, so that a first apply with other values is a conflict.
    own = compare({}, base, shape).changed() - UNTRACKED
    first = Manager(BEFORE_FIRST_APPLY, "Update", version, own, "", now)
    return {first.identity(): first} if own else {}


def _decoded(entries: Any) -> Managers:
    try:
        return managed.decode(entries)
    except ValueError:
        # As the server does: what cannot be read owns nothing.
        return {}


def _prune(
    merged: Object,
    last: Manager | None,
    current: list[Manager],
    shape: Shape,
) -> Object:
    """Remove what the manager applied last time and nobody owns now."""
    if last is None or not last.owned:
        return merged
    dropped = with_named(last.owned, shape) - UNTRACKED
    owned = with_named((p for m in current for p in m.owned), shape)
    everything = with_named(field_set(merged, shape), shape)
    left = with_named(field_set(remove(merged, dropped, shape), shape), shape)
    kept = remove(merged, everything - left - owned, shape)
    remaining = with_named(field_set(kept, shape), shape)
    result: Object = remove(merged, (everything - remaining) & dropped, shape)
    return result


def _conflicts(others: Managers, change: Comparison) -> list[Conflict]:
    changed = change.changed()
    return [
        Conflict(
            manager=other.name,
            field=path_text(path),
            api_version=other.api_version,
            operation=other.operation,
            subresource=other.subresource,
        )
        for other in sorted(others.values(), key=Manager.identity)
        for path in sorted(other.owned & changed)
    ]


def _unchanged(
    last: Manager | None, mine: Manager, base: Object, result: Object
) -> bool:
    if last is None:
        return not mine.owned and same(base, result)
    return (
        last.owned == mine.owned
        and last.api_version == mine.api_version
        and same(base, result)
    )


def _lose(others: Managers, change: Comparison) -> Managers:
    lost = change.changed() | change.removed
    return {key: other.without(lost) for key, other in others.items()}


def update_managed_fields(
    old: Object | None,
    new: Object,
    manager: str,
    operation: Operation,
    now: str,
    schema: CompiledSchema | None,
    subresource: str = "",
    api_version: str = "",
) -> Object:
    """Record who wrote what in a create, update or patch.

    Args:
        old: the object as stored; None for a create.
        new: the object about to be stored. Its managedFields are taken if it
            brings some (clients may edit them); ``[{}]`` resets them.
        manager: name of the field manager.
        operation: Update, for every write that is not an apply.
        now: RFC 3339 time for the manager's entry, if it changed something.
        schema: schema of the kind; None for built-in and untyped kinds.
        subresource: the subresource written through, such as ``status``.
        api_version: version of `new`; empty means its own.

    Returns:
        `new` with its managedFields brought up to date.
    """
    if managed.managed_fields(new) == [{}]:
        return managed.with_managers(new, {})
    shape = root_shape(schema, new)
    known = _decoded(managed.managed_fields(new))
    if not known or subresource:
        known = _decoded(managed.managed_fields(old))
    if old is not None and not known:
        return managed.without_managers(new)
    base = managed.without_managers(old or {})
    target = managed.without_managers(new)
    change = compare(base, target, shape)
    result = _lose(known, change)
    own = change.changed() - UNTRACKED
    if own:
        version = api_version or str(new.get("apiVersion", ""))
        mine = Manager(manager, operation, version, own, subresource, now)
        before = result.get(mine.identity())
        kept = before.owned if before is not None else EMPTY
        result[mine.identity()] = replace(mine, owned=own | kept)
    return managed.with_managers(target, result)
