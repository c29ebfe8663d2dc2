"""The server's own CA, certificate and token, and the kubeconfig.

All are made on first use and kept below the state directory, readable by the
user alone. The certificate is renewed a month before it ends.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import secrets
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from reconciler.controlplane.files import sync, write_private
from reconciler.controlplane.issuing import Issuing

Json = dict[str, Any]

VALID_DAYS = 3650
RENEW_DAYS = 30
ADDRESS = "127.0.0.1"
CLIENT_CA = "clients"
_NAMES = ("localhost", "kubernetes", "kubernetes.default", ADDRESS, "::1")


@dataclass(frozen=True)
class Credentials:
    """Files and secrets that identify the server and its user."""

    certificate: Path
    key: Path
    authority: bytes
    """The CA's certificate in PEM."""

    token: str
    clients: Path
    """The certificate of the CA that signs the certificates of clients."""

    def context(self) -> ssl.SSLContext:
        """The TLS settings of the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        # A client may show a certificate; a token does as well.
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(self.clients)
        return context


class Identity:
    """The files of a state directory that say who its server is.

    What is missing or about to end is made anew by another process, which
    works from the first moment on; `complete` waits for it.

    Args:
        directory: Where they are kept; made if it is absent.
        names: Host names and addresses, beside those of loopback, that the
            server's certificate is for.
    """

    def __init__(self, directory: Path, names: Sequence[str] = ()) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._names = tuple(names)
        self._clients = directory / f"{CLIENT_CA}.crt"
        self._expiry = directory / "expiry"
        self.account_key = directory / "accounts.key"
        self.token = _token(directory / "token")
        self._issuing = self._begin()

    def _begin(self) -> Issuing | None:
        clients = not self._clients.exists()
        server = not _valid(self._expiry, self._names)
        if not clients and not server:
            return None
        names = [*_NAMES, *self._names] if server else None
        return Issuing(names, clients=clients, days=VALID_DAYS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._issuing is not None:
            self._issuing.__exit__(kind, error, trace)

    def complete(self) -> Credentials:
        """Wait for what is being made, and keep it.

        Killed at any point, the next start makes again what is incomplete.

        Raises:
            IssuingError: The other process failed.
            OSError: The files cannot be written.
        """
        if self._issuing is not None:
            self._keep(self._issuing.answer())
        return Credentials(
            self._directory / "server.crt",
            self._directory / "server.key",
            (self._directory / "ca.crt").read_bytes(),
            self.token,
            self._clients,
        )

    def _keep(self, made: Mapping[str, bytes]) -> None:
        renewed = "server.crt" in made
        if renewed:
            # While there is no expiry, the files may be of different makes.
            self._expiry.unlink(missing_ok=True)
            sync(self._directory)
        # Certificates last: where one is, its key is too.
        for name, content in sorted(made.items(), reverse=True):
            write_private(self._directory / name, content)
        if renewed:
            until = dt.datetime.now(dt.UTC) + dt.timedelta(days=VALID_DAYS)
            lines = [until.isoformat(), *self._names]
            write_private(self._expiry, "\n".join(lines).encode())


def ensure(directory: Path, names: Sequence[str] = ()) -> Credentials:
    """Load the credentials of a state directory, or make them.

    Raises:
        IssuingError, OSError: As `Identity.complete`.
    """
    with Identity(directory, names) as identity:
        return identity.complete()


def _token(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32).encode())
    return path.read_text().strip()


def _valid(expiry: Path, names: Sequence[str]) -> bool:
    """Whether the certificate lasts and is for these names."""
    try:
        first, *known = expiry.read_text().splitlines()
        until = dt.datetime.fromisoformat(first)
    except (FileNotFoundError, ValueError):
        return False
    left = until - dt.datetime.now(dt.UTC)
    return left > dt.timedelta(days=RENEW_DAYS) and set(names) <= set(known)


def client_user(
    directory: Path, name: str, groups: Sequence[str], days: int
) -> Json:
    """The user entry of a kubeconfig: a new client certificate and its key.

    Args:
        directory: ``identity`` of a state directory that was served once.
        name: Who the user is.
        groups: The user's groups.
        days: How long the certificate is valid.

    Raises:
        FileNotFoundError: no server ever used the state directory.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    from reconciler.controlplane import certificates

    place = directory / CLIENT_CA
    authority, signer = certificates.load(
        place.with_suffix(".crt").read_bytes(),
        place.with_suffix(".key").read_bytes(),
    )
    key = ec.generate_private_key(ec.SECP256R1())
    made = certificates.client(key, authority, signer, days, name, groups)
    pems = (certificates.pem(made), certificates.private_pem(key))
    return {
        "client-certificate-data": base64.b64encode(pems[0]).decode(),
        "client-key-data": base64.b64encode(pems[1]).decode(),
    }


def kubeconfig(url: str, authority_pem: bytes, user: Json) -> bytes:
    """A kubeconfig with one context (JSON, which is YAML).

    Args:
        url: The server.
        authority_pem: The CA that signed the server's certificate.
        user: How its user authenticates.
    """
    name = "reconciler"
    authority = base64.b64encode(authority_pem).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": url,
                    "certificate-authority-data": authority,
                },
            }
        ],
        "users": [{"name": name, "user": user}],
        "contexts": [
            {
                "name": name,
                "context": {
                    "cluster": name,
                    "user": name,
                    "namespace": "default",
                },
            }
        ],
        "current-context": name,
    }
    return json.dumps(config, indent=2).encode() + b"\n"
