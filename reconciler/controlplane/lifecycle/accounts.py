"""The ServiceAccount `default` of each namespace."""

from __future__ import annotations

from reconciler.controlplane.objects import form, strategy
from reconciler.controlplane.storage.record import Key
from reconciler.controlplane.verbs.call import Cluster

ACCOUNTS = "/serviceaccounts"
DEFAULT = "default"


async def ensure_account(cluster: Cluster, namespace: str) -> None:
    """Make the account, unless it is there."""
    key = Key(ACCOUNTS, namespace, DEFAULT)
    kind = cluster.registry.stored(ACCOUNTS)
    if kind is None or cluster.store.current(key) is not None:
        return
    body = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": DEFAULT},
    }
    obj = strategy.create(kind, body, namespace)
    _, written = cluster.store.put(key, form.to_storage(kind, obj), None)
    await written
