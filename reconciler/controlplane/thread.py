"""The control plane in a thread of its own, with its own event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from pathlib import Path

from reconciler.controlplane.lock import CONTROL_PLANE
from reconciler.controlplane.server import ControlPlane

STOP_SECONDS = 15.0


class ControlPlaneThread:
    """Runs a `ControlPlane` beside a program that has other things to do.

    Args:
        state: State directory.
        port: Port on loopback; 0 takes the last one or any.
        kubeconfig: Where to write the kubeconfig.
        holder: What others are told who find the directory in use.
    """

    def __init__(
        self,
        state: Path,
        port: int = 0,
        kubeconfig: Path | None = None,
        *,
        holder: str = CONTROL_PLANE,
    ) -> None:
        self._plane = ControlPlane(state, port, kubeconfig, holder=holder)
        self._ready: Future[None] = Future()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(
            target=self._run, name="controlplane", daemon=True
        )

    @property
    def url(self) -> str:
        """The server's URL, once started."""
        return self._plane.url

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig that clients use."""
        return self._plane.kubeconfig

    def start(self) -> None:
        """Start and block until requests are answered.

        Raises:
            LockedError, StorageError, OSError: As `ControlPlane.start`.
        """
        self._thread.start()
        self._ready.result()

    def stop(self) -> None:
        """Stop serving and wait until everything is on disk; repeatable.

        Raises:
            TimeoutError: The server did not stop in time.
        """
        if self._loop is not None and self._stop is not None:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                raise TimeoutError("the control plane did not stop")

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            await self._plane.start()
        except BaseException as error:  # noqa: BLE001 - start() raises it
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        await self._stop.wait()
        await self._plane.stop()
