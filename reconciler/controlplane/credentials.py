"""The server's own CA, certificate and token, and the kubeconfig.

All are made on first use and kept below the state directory, readable by the
user alone. The certificate is renewed a month before it ends.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    account_key: Path
    """Signs the tokens of ServiceAccounts; made when first needed."""

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


def ensure(directory: Path, names: Sequence[str] = ()) -> Credentials:
    """Load the credentials of a state directory, or make them.

    Args:
        directory: Where they are kept.
        names: Host names and addresses, beside those of loopback, that the
            server's certificate is for.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    expiry, token = directory / "expiry", directory / "token"
    if not _valid(expiry, names):
        _issue(directory, names)
        until = dt.datetime.now(dt.UTC) + dt.timedelta(days=VALID_DAYS)
        lines = [until.isoformat(), *names]
        write_private(expiry, "\n".join(lines).encode())
    clients = directory / CLIENT_CA
    if not clients.with_suffix(".crt").exists():
        _make_client_authority(clients)
    if not token.exists():
        write_private(token, secrets.token_urlsafe(32).encode())
    return Credentials(
        directory / "server.crt",
        directory / "server.key",
        (directory / "ca.crt").read_bytes(),
        token.read_text().strip(),
        directory / "accounts.key",
        clients.with_suffix(".crt"),
    )


def _valid(expiry: Path, names: Sequence[str]) -> bool:
    """Whether the certificate lasts and is for these names."""
    try:
        first, *known = expiry.read_text().splitlines()
        until = dt.datetime.fromisoformat(first)
    except (FileNotFoundError, ValueError):
        return False
    left = until - dt.datetime.now(dt.UTC)
    return left > dt.timedelta(days=RENEW_DAYS) and set(names) <= set(known)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file at once; only its owner can read it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600
    )
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _issue(directory: Path, names: Sequence[str]) -> None:
    # Loaded only here: it would cost every later start a tenth of a second.
    from cryptography.hazmat.primitives.asymmetric import ec

    from reconciler.controlplane import certificates

    authority_key = ec.generate_private_key(ec.SECP256R1())
    server_key = ec.generate_private_key(ec.SECP256R1())
    authority = certificates.authority(authority_key, VALID_DAYS)
    server = certificates.server(
        server_key, authority, authority_key, VALID_DAYS, (*_NAMES, *names)
    )
    write_private(directory / "ca.crt", certificates.pem(authority))
    write_private(
        directory / "server.key", certificates.private_pem(server_key)
    )
    write_private(directory / "server.crt", certificates.pem(server))


def _make_client_authority(place: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    from reconciler.controlplane import certificates

    key = ec.generate_private_key(ec.SECP256R1())
    made = certificates.authority(key, VALID_DAYS, "reconciler-clients-ca")
    # The certificate last: where it is, the key is too.
    write_private(place.with_suffix(".key"), certificates.private_pem(key))
    write_private(place.with_suffix(".crt"), certificates.pem(made))


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
