"""Garbage collection: what becomes of objects whose owners go away."""

from __future__ import annotations

from typing import Any

from reconciler.controlplane.kinds.registry import Registry
from reconciler.controlplane.storage.record import Key
from reconciler.controlplane.verbs.call import Cluster
from reconciler.controlplane.verbs.delete import (
    FOREGROUND,
    ORPHAN,
    drop_finalizer,
    remove,
)

Json = dict[str, Any]


def owner_key(registry: Registry, namespace: str, owner: Json) -> Key | None:
    """Where an owner is kept, or None if its kind is not served."""
    kind = registry.by_kind(owner.get("apiVersion", ""), owner.get("kind", ""))
    if kind is None:
        return None
    scope = namespace if kind.namespaced else ""
    return Key(kind.resource, scope, owner.get("name", ""))


def counted(cluster: Cluster, key: Key) -> bool:
    """Whether objects under a key keep metadata.generation."""
    kind = cluster.registry.stored(key.resource)
    return kind is None or kind.counted


async def delete_quietly(
    cluster: Cluster, key: Key, policy: str | None
) -> None:
    """Delete an object if it is still there and not being deleted."""
    live = cluster.store.current(key)
    if live is None or "deletionTimestamp" in live.object()["metadata"]:
        return
    *_, written = remove(
        cluster.store, live, policy, counted=counted(cluster, key)
    )
    await written


async def check_owners(cluster: Cluster, key: Key) -> None:
    """Delete an object that lost all owners, or forget the lost ones."""
    live = cluster.store.current(key)
    if live is None:
        return
    obj = live.object()
    owners = obj["metadata"].get("ownerReferences") or []
    left = [owner for owner in owners if _exists(cluster, key, owner)]
    if len(left) == len(owners):
        return
    if not left:
        await delete_quietly(cluster, key, "Background")
        return
    obj["metadata"]["ownerReferences"] = left
    _, written = cluster.store.put(key, obj, live)
    await written


def _exists(cluster: Cluster, key: Key, owner: Json) -> bool:
    """Whether an owner is there; one of an unknown kind counts as there."""
    at = owner_key(cluster.registry, key.namespace, owner)
    if at is None:
        return True
    stored = cluster.store.current(at)
    if stored is None:
        return False
    return bool(stored.object()["metadata"]["uid"] == owner.get("uid"))


async def finish_deletion(cluster: Cluster, key: Key) -> None:
    """Do what the policy of an object's deletion asks for."""
    live = cluster.store.current(key)
    if live is None:
        return
    metadata = live.object()["metadata"]
    finalizers = metadata.get("finalizers") or ()
    if ORPHAN in finalizers:
        await _let_go(cluster, metadata["uid"])
        await drop_finalizer(cluster.store, key, ORPHAN)
    elif FOREGROUND in finalizers:
        await _delete_dependents(cluster, key, metadata["uid"])


async def _let_go(cluster: Cluster, uid: str) -> None:
    store = cluster.store
    await store.settled()
    for key in store.read.dependents(uid):
        live = store.current(key)
        if live is None:
            continue
        obj = live.object()
        metadata = obj["metadata"]
        owners = metadata.pop("ownerReferences", None) or []
        left = [owner for owner in owners if owner.get("uid") != uid]
        if left:
            metadata["ownerReferences"] = left
        _, written = store.put(key, obj, live)
        await written


async def _delete_dependents(cluster: Cluster, key: Key, uid: str) -> None:
    store = cluster.store
    await store.settled()
    for dependent in store.read.dependents(uid):
        await delete_quietly(cluster, dependent, "Foreground")
    if not any(_blocks(cluster, k, uid) for k in store.read.dependents(uid)):
        await drop_finalizer(store, key, FOREGROUND)


def _blocks(cluster: Cluster, key: Key, uid: str) -> bool:
    live = cluster.store.current(key)
    if live is None:
        return False
    owners = live.object()["metadata"].get("ownerReferences") or ()
    return any(
        owner.get("uid") == uid and owner.get("blockOwnerDeletion") is True
        for owner in owners
    )
