"""kopf as the shell: watch streams and login. No effects in handlers.

kopf runs in a thread with an event loop of its own, because at its end it
cancels every task of its loop that it did not know at its start. Its only
handlers are raw ``on.event`` ones, and all they do is hand the object over.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import kopf

from reconciler.engine.app import App
from reconciler.engine.controller import TerminalError
from reconciler.engine.credentials import (
    ClientSettings,
    bearer_token,
    load_configuration,
)
from reconciler.engine.redact import one_line
from reconciler.engine.resource import GROUP, VERSION, Resource

logger = logging.getLogger(__name__)

Deliver = Callable[[str | None, Mapping[str, Any]], None]
Stop = Callable[[], object]

# kopf takes its own finalizer off objects that no handler of it needs it
# for. Ours is the engine's business, so kopf gets a name that nobody uses.
_KOPF_FINALIZER = f"{GROUP}/watcher"
_PREFIX = f"watcher.{GROUP}"

_STOP_SECONDS = 10.0
_LOGIN_PAUSE = 5.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_LONGEST_PROBLEM = 300


async def run(app: App, stop: asyncio.Event, ready: asyncio.Event) -> None:
    """Run the app with kopf as its watcher until `stop` is set.

    Raises:
        TransientError: the API server is out of reach at the start.
        TerminalError: a kind is not installed, or no credentials work.
    """
    await app.run(KopfWatcher(app.settings), stop, ready)


class Backoffs:
    """Seconds between requests of kopf that fail, for ever.

    With kopf's own finite list, a server that answers with errors for a
    minute ends the operator.
    """

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.2, 0.5, 1.0, 2.0), itertools.repeat(5.0))


class KopfWatcher:
    """Implements `Watcher` with kopf.

    What ends kopf (a kind that is gone, an answer that
    is not JSON, credentials that no longer work) makes it start over.

    Args:
        settings: how to reach the API server.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._running: tuple[asyncio.AbstractEventLoop, Stop] | None = None
        self._ended = asyncio.Event()

    async def start(
        self,
        kinds: Sequence[type[Resource]],
        deliver: Deliver,
    ) -> None:
        """Start watching; returns when kopf runs.

        What keeps its streams from being opened is in the log, and tried
        again.

        Args:
            kinds: what to watch.
            deliver: called in the current event loop with the type of each
                event and the object.
        """
        loop, begun = asyncio.get_running_loop(), asyncio.Event()
        self._ended = asyncio.Event()

        def hand_over(kind: str | None, raw: Mapping[str, Any]) -> None:
            loop.call_soon_threadsafe(deliver, kind, raw)

        def tell(event: asyncio.Event) -> Callable[[], None]:
            def told() -> None:
                loop.call_soon_threadsafe(event.set)

            return told

        watch = Watch(self._settings, kinds, hand_over)
        self._thread = threading.Thread(
            target=self._main,
            args=(watch, tell(begun), tell(self._ended)),
            name="kopf",
            daemon=True,
        )
        self._thread.start()
        await begun.wait()

    async def stop(self) -> None:
        """End the streams and the thread, in bounded time."""
        if self._thread is None:
            return
        self._stopping.set()
        if self._running is not None:
            loop, stop = self._running
            # A closed loop means that kopf ended by itself.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(stop)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            # The thread is a daemon: it does not keep the process alive.
            logger.warning("The watcher does not stop")
        else:
            self._thread.join()

    async def ended(self) -> None:
        """Wait until the watcher is no more, which only `stop` causes."""
        await self._ended.wait()

    def _main(
        self,
        watch: Watch,
        begun: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        pause = _FIRST_PAUSE
        try:
            while not self._stopping.is_set():
                since = time.monotonic()
                problem = self._attempt(watch, begun)
                if time.monotonic() - since > _LONGEST_PAUSE:
                    pause = _FIRST_PAUSE
                if self._stopping.is_set():
                    return
                text = one_line(repr(problem), _LONGEST_PROBLEM)
                logger.warning("Watching starts over: %s", text)
                self._stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            begun()
            ended()

    def _attempt(
        self, watch: Watch, begun: Callable[[], None]
    ) -> Exception | None:
        """Run kopf once, in an event loop of its own; why it ended."""
        try:
            asyncio.run(self._operate(watch, begun))
        except Exception as error:
            # Whatever it is, other objects must not suffer from it; told in
            # the log when kopf starts over.
            logger.debug("The watcher failed", exc_info=True)
            return error
        return None

    async def _operate(self, watch: Watch, begun: Callable[[], None]) -> None:
        started = asyncio.Event()
        # Not with a stop flag: kopf leaves a task that waits for it, and at
        # its end waits for that task.
        operator = asyncio.ensure_future(self._operator(watch, started))
        self._running = (asyncio.get_running_loop(), operator.cancel)
        if self._stopping.is_set():
            # It was set before it could find the task.
            operator.cancel()

        async def announce() -> None:
            await started.wait()
            begun()
            # Deletions that went unseen while kopf was away.
            watch.listed()

        announcing = asyncio.create_task(announce())
        try:
            await operator
        except asyncio.CancelledError:
            logger.debug("The watcher was stopped")
        finally:
            announcing.cancel()

    async def _operator(self, watch: Watch, started: asyncio.Event) -> None:
        await kopf.operator(
            registry=_registry(watch),
            settings=_settings(),
            clusterwide=True,
            standalone=True,
            ready_flag=started,
        )


@dataclass(frozen=True)
class Watch:
    """What kopf is told to do."""

    settings: ClientSettings
    kinds: Sequence[type[Resource]]
    deliver: Deliver

    def listed(self) -> None:
        """Say that all kinds were listed, which no object tells if none is."""
        for kind in self.kinds:
            self.deliver(None, {"kind": kind.definition.kind})


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 30
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = Backoffs()
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


def _registry(watch: Watch) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry, id="login")
    async def login(**_: Any) -> kopf.ConnectionInfo:
        try:
            return await _connection(watch.settings)
        except TerminalError as error:
            # Somebody may be replacing them right now.
            raise kopf.TemporaryError(
                str(error), delay=_LOGIN_PAUSE
            ) from error

    async def seen(event: Mapping[str, Any], **_: Any) -> None:
        watch.deliver(event["type"], event["object"])

    for kind in watch.kinds:
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
