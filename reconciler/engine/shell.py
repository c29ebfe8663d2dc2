"""kopf as the shell: watch streams, login, probes. No effects in handlers.

kopf runs in a thread with an event loop of its own, because at its end it
cancels every task of its loop that it did not know at its start. Its only
handlers are raw ``on.event`` ones, and all they do is hand the object over.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import kopf

from reconciler.engine.app import App
from reconciler.engine.credentials import (
    ClientSettings,
    bearer_token,
    load_configuration,
)
from reconciler.engine.resource import GROUP, VERSION, Resource

logger = logging.getLogger(__name__)

Deliver = Callable[[str | None, Mapping[str, Any]], None]
Probe = Callable[[], Mapping[str, Any]]

# kopf takes its own finalizer off objects that no handler of it needs it
# for. Ours is the engine's business, so kopf gets a name that nobody uses.
_KOPF_FINALIZER = f"{GROUP}/watcher"
_PREFIX = f"watcher.{GROUP}"


async def run(app: App, stop: asyncio.Event, ready: asyncio.Event) -> None:
    """Run the app with kopf as its watcher until `stop` is set.

    Raises:
        TransientError: the API server is out of reach at the start.
        TerminalError: a kind is not installed, or no credentials work.
    """
    await app.run(KopfWatcher(app.settings, app.liveness), stop, ready)


class KopfWatcher:
    """Implements `Watcher` with kopf.

    Args:
        settings: how to reach the API server.
        liveness: port of the health endpoint on 127.0.0.1, or None.
    """

    def __init__(
        self, settings: ClientSettings, liveness: int | None = None
    ) -> None:
        self._settings, self._liveness = settings, liveness
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._error: Exception | None = None
        self._ended = asyncio.Event()

    async def start(
        self,
        kinds: Sequence[type[Resource]],
        deliver: Deliver,
        probe: Probe,
    ) -> None:
        """Start watching; returns when kopf's streams are being opened.

        Args:
            kinds: what to watch.
            deliver: called in the current event loop with the type of each
                event and the object.
            probe: what the health endpoint tells.
        """
        loop, begun = asyncio.get_running_loop(), asyncio.Event()
        self._ended = asyncio.Event()

        def hand_over(kind: str | None, raw: Mapping[str, Any]) -> None:
            loop.call_soon_threadsafe(deliver, kind, raw)

        def tell(event: asyncio.Event) -> Callable[[], None]:
            def told() -> None:
                loop.call_soon_threadsafe(event.set)

            return told

        registry = _registry(self._settings, kinds, hand_over, probe)
        self._thread = threading.Thread(
            target=self._main,
            args=(registry, tell(begun), tell(self._ended)),
            name="kopf",
            daemon=True,
        )
        self._thread.start()
        await begun.wait()
        if self._error is not None:
            raise self._error

    async def stop(self) -> None:
        """End the streams and the thread."""
        if self._thread is None:
            return
        if self._loop is not None and self._stop is not None:
            try:
                self._loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:
                # kopf ended by itself and closed its loop.
                logger.debug("The watcher had stopped already")
        await self._ended.wait()
        self._thread.join()

    async def ended(self) -> None:
        """Wait until kopf is no more.

        Raises:
            Exception: what ended it, if it was not `stop`.
        """
        await self._ended.wait()
        if self._error is not None:
            raise self._error

    def _main(
        self,
        registry: kopf.OperatorRegistry,
        begun: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        try:
            asyncio.run(self._operate(registry, begun))
        except Exception as error:
            # Raised again, in the event loop of the app, by `ended`.
            logger.debug("The watcher failed", exc_info=True)
            self._error = error
        finally:
            begun()
            ended()

    async def _operate(
        self, registry: kopf.OperatorRegistry, begun: Callable[[], None]
    ) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        started = asyncio.Event()

        async def announce() -> None:
            await started.wait()
            begun()

        announcing = asyncio.create_task(announce())
        endpoint = (
            f"http://127.0.0.1:{self._liveness}/healthz"
            if self._liveness is not None
            else None
        )
        try:
            await kopf.operator(
                registry=registry,
                settings=_settings(),
                clusterwide=True,
                standalone=True,
                stop_flag=self._stop,
                ready_flag=started,
                liveness_endpoint=endpoint,
            )
        finally:
            announcing.cancel()


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 30
    settings.networking.request_timeout = 30
    settings.persistence.finalizer = _KOPF_FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(
        prefix=_PREFIX, v1=False
    )
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(
        prefix=_PREFIX
    )
    settings.execution.max_workers = 1
    settings.process.ultimate_exiting_timeout = None
    return settings


def _registry(
    settings: ClientSettings,
    kinds: Sequence[type[Resource]],
    deliver: Deliver,
    probe: Probe,
) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry, id="login")
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await _connection(settings)

    @kopf.on.probe(registry=registry, id="reconciler")
    async def health(**_: Any) -> Mapping[str, Any]:
        return probe()

    async def seen(event: Mapping[str, Any], **_: Any) -> None:
        deliver(event["type"], event["object"])

    for kind in kinds:
        kopf.on.event(
            GROUP,
            VERSION,
            kind.definition.plural,
            registry=registry,
            id=kind.definition.plural,
        )(seen)
    return registry


async def _connection(settings: ClientSettings) -> kopf.ConnectionInfo:
    """The credentials of the client, in kopf's words."""
    found = await load_configuration(settings)
    return kopf.ConnectionInfo(
        server=found.host,
        ca_path=found.ssl_ca_cert,
        insecure=not found.verify_ssl,
        certificate_path=found.cert_file,
        private_key_path=found.key_file,
        scheme="Bearer" if bearer_token(found) else None,
        token=bearer_token(found),
        proxy_url=found.proxy,
    )
