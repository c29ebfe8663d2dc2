"""The control plane's life: open, serve on loopback, stop."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from reconciler.controlplane import credentials
from reconciler.controlplane.access import bootstrap
from reconciler.controlplane.access.authenticator import Authenticator
from reconciler.controlplane.access.authorizer import Authorizer
from reconciler.controlplane.access.tokens import Tokens
from reconciler.controlplane.admission.chain import Admission
from reconciler.controlplane.app import Api
from reconciler.controlplane.files import write_private
from reconciler.controlplane.kinds import definitions
from reconciler.controlplane.kinds.builtin import (
    DEFINITIONS,
    builtin_registry,
)
from reconciler.controlplane.lifecycle import aggregation
from reconciler.controlplane.lifecycle.caretaker import Caretaker
from reconciler.controlplane.lock import (
    CONTROL_PLANE,
    LockedError,
    StateLock,
)
from reconciler.controlplane.objects import form, strategy
from reconciler.controlplane.storage.database import StorageError
from reconciler.controlplane.storage.intact import refuse_broken
from reconciler.controlplane.storage.record import Event, Key
from reconciler.controlplane.storage.store import HISTORY, Store
from reconciler.controlplane.verbs.call import Cluster
from reconciler.controlplane.verbs.delete import PERMANENT

DRAIN_SECONDS = 5.0
"""How long a stop waits for requests under way."""


BACKLOG = 256
"""Connections that may wait to be accepted."""


_HTTP_LOG = logging.getLogger(f"{__name__}.http")


def _without_requests(record: logging.LogRecord) -> bool:
    """Leave out what a malformed request said: it may be a token."""
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        record.exc_info = None
    return True


_HTTP_LOG.addFilter(_without_requests)


class ControlPlane:
    """An embedded Kubernetes API server.

    Args:
        state: Directory of the database, the credentials and the lock; made
            if it is absent.
        port: Port on 127.0.0.1; 0 takes the one used last, if it is free,
            or any.
        kubeconfig: Where to write the kubeconfig (mode 0600); by default
            ``kubeconfig`` below the state directory.
        host: The address to listen on.
        names: Host names and addresses under which other machines reach
            this one. Needed, and only allowed, if ``host`` is no loopback
            address.
        history: Revisions that watches can resume from.
        holder: What others are told who find the directory in use.

    Raises:
        ValueError: ``host`` and ``names`` do not go together.
    """

    def __init__(
        self,
        state: Path,
        port: int = 0,
        kubeconfig: Path | None = None,
        *,
        host: str = credentials.ADDRESS,
        names: Sequence[str] = (),
        history: int = HISTORY,
        holder: str = CONTROL_PLANE,
    ) -> None:
        if ipaddress.ip_address(host).is_loopback == bool(names):
            which = "a" if names else "not a"
            rule = "takes no names" if names else "needs names"
            msg = f"{host} is {which} loopback address: it {rule}"
            raise ValueError(msg)
        self._names = tuple(names)
        self._state = state
        self._port = port
        self._host = host
        self._history = history
        self._holder = holder
        self._kubeconfig = kubeconfig or state / "kubeconfig"
        self._lock: StateLock | None = None
        self._store: Store | None = None
        self._runner: web.AppRunner | None = None
        self._caretaker: asyncio.Task[None] | None = None
        self._cluster: Cluster | None = None
        self._api: Api | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """``https://127.0.0.1:<port>``, once started."""
        return self._url

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig that clients use."""
        return self._kubeconfig

    async def start(self) -> None:
        """Serve; returns when requests are answered.

        Raises:
            LockedError: Another process uses the state directory.
            StorageError: The database is damaged.
            OSError: The port cannot be had.
        """
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = StateLock(self._state, self._holder)
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        refuse_broken(self._state)
        with credentials.Identity(
            self._state / "identity", self._names
        ) as identity:
            await self._open(identity)
            shown = await asyncio.to_thread(identity.complete)
        await self._serve(shown)

    async def _open(self, identity: credentials.Identity) -> None:
        self._store = Store(self._state / "objects.sqlite3", self._history)
        cluster = _cluster(self._store, identity)
        self._cluster = cluster
        _serve_definitions(cluster)
        await _ensure_objects(cluster)

    async def _serve(self, shown: credentials.Credentials) -> None:
        cluster = self._cluster
        if cluster is None:
            raise RuntimeError("the store is not open")
        caretaker = Caretaker(cluster)
        listener = self._listen()
        port = listener.getsockname()[1]
        name = self._names[0] if self._names else self._host
        address = f"{_bracketed(name)}:{port}"
        self._api = Api(cluster, address)
        self._runner = web.AppRunner(
            self._api.application(),
            access_log=None,
            logger=_HTTP_LOG,
            # A watcher that hangs up is noticed at once.
            handler_cancellation=True,
            shutdown_timeout=DRAIN_SECONDS,
        )
        await self._runner.setup()
        site = web.SockSite(
            self._runner, listener, ssl_context=shown.context()
        )
        await site.start()
        self._caretaker = asyncio.create_task(caretaker.run())
        self._url = f"https://{address}"
        for file, text in (("port", str(port)), ("url", self._url)):
            write_private(self._state / file, text.encode())
        self._kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        write_private(
            self._kubeconfig,
            credentials.kubeconfig(
                self._url, shown.authority, {"token": shown.token}
            ),
        )

    def _listen(self) -> socket.socket:
        wanted = self._port or self._last_port()
        try:
            return _bound(self._host, wanted)
        except OSError:
            if self._port or not wanted:
                raise
            return _bound(self._host, 0)

    def _last_port(self) -> int:
        try:
            return int((self._state / "port").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    async def stop(self) -> None:
        """End all watches, finish what was accepted, close; repeatable."""
        if self._api is not None:
            self._api.pages.ready = False
        if self._caretaker is not None:
            self._caretaker.cancel()
            await asyncio.wait([self._caretaker])
            self._caretaker = None
        if self._store is not None:
            self._store.hub.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._cluster is not None:
            await self._cluster.admission.close()
            self._cluster = None
        if self._store is not None:
            await self._store.close()
            self._store = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.settimeout(0)
    except OSError:
        listener.close()
        raise
    return listener


def _serve_definitions(cluster: Cluster) -> None:
    """Serve the kinds of all CRDs, now and as they change."""
    registry, hub = cluster.registry, cluster.store.hub
    for stored in cluster.store.read.page(DEFINITIONS, None).items:
        registry.register(
            stored.key.name, definitions.kinds_of(stored.object())
        )

    def on_commit(events: Sequence[Event]) -> None:
        for event in events:
            if event.stored.key.resource != DEFINITIONS:
                continue
            name, crd = event.stored.key.name, event.stored.object()
            if event.deleted:
                registry.register(name, [])
                hub.end(f"{crd['spec']['group']}/{name.split('.')[0]}")
            else:
                registry.register(name, definitions.kinds_of(crd))

    hub.listen(on_commit)


def _cluster(store: Store, identity: credentials.Identity) -> Cluster:
    tokens = Tokens(identity.account_key)
    return Cluster(
        store,
        builtin_registry(),
        Authenticator(identity.token, tokens, store),
        Authorizer(store),
        tokens,
        Admission(store),
    )


async def _ensure_objects(cluster: Cluster) -> None:
    """Make what every cluster has from the start, where it is missing."""
    head = {"apiVersion": "v1", "kind": "Namespace"}
    wanted = [
        *(head | {"metadata": {"name": name}} for name in PERMANENT),
        *bootstrap.cluster_roles(),
        *bootstrap.cluster_bindings(),
    ]
    writes = []
    for body in wanted:
        kind = cluster.registry.by_kind(body["apiVersion"], body["kind"])
        if kind is None:
            msg = f"{body['kind']} is not served"
            raise LookupError(msg)
        key = Key(kind.resource, "", body["metadata"]["name"])
        if cluster.store.current(key) is None:
            obj = strategy.create(kind, body, None)
            stored = form.to_storage(kind, obj)
            writes.append(cluster.store.put(key, stored, None)[1])
    for written in writes:
        await written
    for key in aggregation.aggregates(cluster):
        await aggregation.combine(cluster, key)


__all__ = ["ControlPlane", "LockedError", "StorageError"]
