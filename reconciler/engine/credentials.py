"""Who we are to which API server: a kubeconfig or the pod's account."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconciler.engine.controller import TerminalError

if TYPE_CHECKING:
    from kubernetes.aio.client.configuration import Configuration


@dataclass(frozen=True)
class ClientSettings:
    """How to reach the API server.

    Without a kubeconfig the service account of the pod is used if there is
    one, else ``$KUBECONFIG`` or ``~/.kube/config``.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    request_timeout: float = 30.0
    """Seconds for one request, answer read."""

    connect_timeout: float = 10.0
    """Seconds to get a connection."""

    attempts: int = 5
    """Requests per call, repeats after 429, 5xx and lost connections."""

    pool_size: int = 16
    """Connections at most."""


async def load_configuration(settings: ClientSettings) -> Configuration:
    """Read the credentials, running an exec plugin if the file names one.

    Raises:
        TerminalError: there are no usable credentials.
    """
    # The official client takes half a second to import, which only those
    # wait for who talk to an API server; its loaders carry no annotations.
    from kubernetes.aio import config as loaders
    from kubernetes.aio.client.configuration import Configuration

    config: Any = loaders
    configuration = Configuration()
    try:
        if settings.kubeconfig is None and _in_cluster():
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(
                config_file=_path(settings.kubeconfig),
                context=settings.context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (config.ConfigException, OSError) as error:
        raise TerminalError("NoCredentials", str(error)) from error
    except Exception as error:
        # The official loader says with whatever exception comes up that a
        # file is no kubeconfig. Its text may quote the file, hence the class.
        msg = f"the kubeconfig cannot be read: {type(error).__name__}"
        raise TerminalError("NoCredentials", msg) from error
    configuration.connection_pool_maxsize = settings.pool_size
    if _loopback(configuration.host):
        # A proxy of the environment cannot reach this machine's loopback.
        configuration.client_session_kwargs = {"trust_env": False}
    return configuration


def bearer_token(configuration: Configuration) -> str | None:
    """The bare token of a loaded configuration, if it has one."""
    key = configuration.api_key.get("BearerToken")
    if not key:
        return None
    scheme, _, token = key.rpartition(" ")
    return token if scheme.lower() in {"", "bearer"} else None


def _in_cluster() -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST"))


def _path(kubeconfig: Path | None) -> str | None:
    if kubeconfig is not None:
        return str(kubeconfig)
    return os.environ.get("KUBECONFIG") or None


def _loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
