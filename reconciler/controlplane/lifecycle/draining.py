"""Deletion of namespaces and CRDs: first everything in them goes."""

from __future__ import annotations

from reconciler.controlplane.kinds import definitions
from reconciler.controlplane.kinds.builtin import EVENTS
from reconciler.controlplane.lifecycle.ownership import delete_quietly
from reconciler.controlplane.storage.record import Key
from reconciler.controlplane.verbs.call import Cluster
from reconciler.controlplane.verbs.delete import drop_finalizer

NAMESPACE_FINALIZER = "kubernetes"


async def drain_namespace(cluster: Cluster, key: Key) -> bool:
    """Delete what is in a namespace; release it when nothing is left.

    Returns:
        Whether it was empty.
    """
    store = cluster.store
    await store.settled()
    # Events go last: they tell how the others went.
    others = store.read.occupied(key.name, EVENTS)
    for inside in others:
        await delete_quietly(cluster, inside, "Background")
    if store.pending(key.name) or store.read.occupied(key.name, EVENTS):
        return False
    for event in store.read.page(EVENTS, key.name).items:
        await delete_quietly(cluster, event.key, None)
    if store.read.occupied(key.name, ""):
        return False
    await drop_finalizer(store, key, NAMESPACE_FINALIZER, namespace=True)
    return True


async def drain_definition(cluster: Cluster, key: Key) -> bool:
    """Delete the objects of a CRD; release it when none is left.

    Returns:
        Whether there was none.
    """
    store = cluster.store
    live = store.current(key)
    if live is None:
        return True
    crd = live.object()
    if definitions.condition(crd, "Terminating") != "True":
        definitions.mark_terminating(crd)
        _, written = store.put(key, crd, live)
        await written
    await store.settled()
    resource = instances_of(key)
    for instance in store.read.page(resource, None).items:
        await delete_quietly(cluster, instance.key, "Background")
    if store.read.page(resource, None, limit=1).items:
        return False
    await drop_finalizer(store, key, definitions.FINALIZER)
    return True


def instances_of(definition: Key) -> str:
    """The store's name for the objects of a CRD."""
    plural, _, group = definition.name.partition(".")
    return f"{group}/{plural}"


async def accept_again(cluster: Cluster, key: Key) -> None:
    """Judge the names of a CRD that could not have them before."""
    live = cluster.store.current(key)
    kind = cluster.registry.find(
        "apiextensions.k8s.io", "v1", "customresourcedefinitions"
    )
    if live is None or kind is None or kind.hooks.prepare is None:
        return
    crd = live.object()
    kind.hooks.prepare(crd, live.object())
    if crd != live.object():
        _, written = cluster.store.put(key, crd, live)
        await written
