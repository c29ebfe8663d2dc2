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
from dataclasses import dataclass
from pathlib import Path

VALID_DAYS = 3650
RENEW_DAYS = 30
ADDRESS = "127.0.0.1"
_NAMES = ("localhost", "kubernetes", "kubernetes.default")


@dataclass(frozen=True)
class Credentials:
    """Files and secrets that identify the server and its user."""

    certificate: Path
    key: Path
    authority: bytes
    """The CA's certificate in PEM."""

    token: str

    def context(self) -> ssl.SSLContext:
        """The TLS settings of the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        return context


def ensure(directory: Path) -> Credentials:
    """Load the credentials of a state directory, or make them."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    expiry, token = directory / "expiry", directory / "token"
    if not _valid(expiry):
        _issue(directory)
        until = dt.datetime.now(dt.UTC) + dt.timedelta(days=VALID_DAYS)
        write_private(expiry, until.isoformat().encode())
    if not token.exists():
        write_private(token, secrets.token_urlsafe(32).encode())
    return Credentials(
        directory / "server.crt",
        directory / "server.key",
        (directory / "ca.crt").read_bytes(),
        token.read_text().strip(),
    )


def _valid(expiry: Path) -> bool:
    try:
        until = dt.datetime.fromisoformat(expiry.read_text())
    except (FileNotFoundError, ValueError):
        return False
    left = until - dt.datetime.now(dt.UTC)
    return left > dt.timedelta(days=RENEW_DAYS)


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


def _issue(directory: Path) -> None:
    # Loaded only here: it would cost every later start a tenth of a second.
    from cryptography.hazmat.primitives.asymmetric import ec

    from reconciler.controlplane import certificates

    authority_key = ec.generate_private_key(ec.SECP256R1())
    server_key = ec.generate_private_key(ec.SECP256R1())
    authority = certificates.authority(authority_key, VALID_DAYS)
    server = certificates.server(
        server_key, authority, authority_key, VALID_DAYS, _NAMES, ADDRESS
    )
    write_private(directory / "ca.crt", certificates.pem(authority))
    write_private(
        directory / "server.key", certificates.private_pem(server_key)
    )
    write_private(directory / "server.crt", certificates.pem(server))


def kubeconfig(url: str, credentials: Credentials) -> bytes:
    """A kubeconfig with one context (JSON, which is YAML)."""
    name = "reconciler"
    authority = base64.b64encode(credentials.authority).decode()
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
        "users": [{"name": name, "user": {"token": credentials.token}}],
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
