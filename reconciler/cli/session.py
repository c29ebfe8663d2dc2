"""A connection to the API server for commands that run and end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from reconciler.cli.errors import CommandError
from reconciler.engine.client import KubeClient
from reconciler.engine.controller import TerminalError, TransientError
from reconciler.engine.credentials import ClientSettings
from reconciler.engine.errors import UnavailableError
from reconciler.engine.paths import StateDirectory
from reconciler.engine.resource import API_VERSION, Resource

T = TypeVar("T")
DEFAULT_STATE = Path(".reconciler")
HOME_KUBECONFIG = Path.home() / ".kube" / "config"


class Session:
    """The engine's client, called synchronously."""

    def __init__(self, kubeconfig: Path | None) -> None:
        self.kubeconfig = kubeconfig
        self._runner = asyncio.Runner()
        self.client = KubeClient(ClientSettings(kubeconfig=kubeconfig))

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self.run(self.client.open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.run(self.client.close())
        self._runner.__exit__(kind, error, trace)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one call to its end.

        Raises:
            CommandError: the API server cannot be reached or refuses.
        """
        try:
            return self._runner.run(work)
        except UnavailableError as error:
            msg = f"{error} (is `reconciler up` running?)"
            raise CommandError(msg) from error
        except (TransientError, TerminalError) as error:
            raise CommandError(str(error)) from error

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        """One of our objects.

        Raises:
            CommandError: there is none of that name.
        """
        found = self.run(self.client.get(API_VERSION, kind, namespace, name))
        if found is None:
            msg = f"{kind} {name} does not exist in namespace {namespace}"
            raise CommandError(msg)
        return found

    def find(self, kind: type[Resource], namespace: str, name: str) -> Any:
        """One of our objects, parsed, or None."""
        found = self.run(
            self.client.get(API_VERSION, kind.definition.kind, namespace, name)
        )
        return None if found is None else kind.parse(found)

    def list(
        self, kind: type[Resource], namespace: str | None
    ) -> Sequence[Any]:
        """All objects of a kind, parsed."""
        found = self.run(
            self.client.list(API_VERSION, kind.definition.kind, namespace)
        )
        return [kind.parse(raw) for raw in found]

    def annotate(
        self, kind: str, namespace: str, name: str, **values: str | None
    ) -> dict[str, Any]:
        """Set or (None) remove annotations."""
        patch = {"metadata": {"annotations": values}}
        return self.run(
            self.client.merge_patch(API_VERSION, kind, namespace, name, patch)
        )


def kubeconfig_of(given: str | None, state: str | None) -> Path | None:
    """Which kubeconfig a command uses.

    ``--kubeconfig``, else ``$KUBECONFIG``, else the one of a local state
    directory, else what kubectl would use (None).
    """
    if given:
        return Path(given)
    if state is None and os.environ.get("KUBECONFIG"):
        return Path(os.environ["KUBECONFIG"].split(os.pathsep)[0])
    local = StateDirectory(Path(state) if state else DEFAULT_STATE).kubeconfig
    if local.exists():
        return local
    if state is not None:
        msg = f"{local} does not exist: is `reconciler up` running there?"
        raise CommandError(msg)
    if not (
        HOME_KUBECONFIG.exists() or "KUBERNETES_SERVICE_HOST" in os.environ
    ):
        msg = (
            f"there is no {local}, no $KUBECONFIG and no {HOME_KUBECONFIG}: "
            "start `reconciler up` here, or name its directory with --state"
        )
        raise CommandError(msg)
    return None
