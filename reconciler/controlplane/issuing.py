"""Certificates from a process of its own.

The library that makes them would stay in the server's memory for as long as
it runs, and is needed once in ten years. The process only computes: it reads
a request and answers with PEM texts, and touches no file. If it is lost,
nothing has happened yet.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Json = dict[str, Any]

SECONDS = 60.0
"""How long an answer may take; a fifth of a second is usual."""

_MAIN = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from reconciler.controlplane.issuing import main; main()"
)
_COMMAND = (sys.executable, "-P", "-c", _MAIN, str(Path(__file__).parents[2]))
"""Takes no modules from where it is started: it makes private keys. Our own
are found even if they are not installed."""

_MOST_SHOWN = 500


class IssuingError(OSError):
    """No certificates were made."""


class Issuing:
    """A process that makes certificates, while others do something else.

    As a context it ends with the process, whether it was asked or not.

    Args:
        server: Host names and addresses for a CA and a certificate of the
            server; None for neither.
        clients: Whether to make a CA of client certificates.
        days: How long all of them are valid.
    """

    def __init__(
        self, server: Sequence[str] | None, *, clients: bool, days: int
    ) -> None:
        request = {"server": server, "clients": clients, "days": days}
        self._request = json.dumps(request).encode()
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def answer(self) -> dict[str, bytes]:
        """PEM texts by the names of their files; waits for them.

        Raises:
            IssuingError: The process failed, was killed, or takes too long.
        """
        try:
            out, why = self._process.communicate(self._request, SECONDS)
        except subprocess.TimeoutExpired as error:
            msg = f"making certificates took more than {SECONDS:.0f} s"
            raise IssuingError(msg) from error
        if self._process.returncode:
            shown = why.decode(errors="replace").strip()[-_MOST_SHOWN:]
            msg = (
                "making certificates failed (exit code "
                f"{self._process.returncode}): {shown}"
            )
            raise IssuingError(msg)
        return {name: text.encode() for name, text in json.loads(out).items()}


def issue(request: Json) -> dict[str, str]:
    """What a request asks for: PEM texts by the names of their files."""
    from cryptography.hazmat.primitives.asymmetric import ec

    from reconciler.controlplane import certificates

    found: dict[str, bytes] = {}
    days = request["days"]
    if request["server"] is not None:
        # The key of this CA is kept nowhere: nobody can sign with it later.
        signer = ec.generate_private_key(ec.SECP256R1())
        key = ec.generate_private_key(ec.SECP256R1())
        authority = certificates.authority(signer, days)
        server = certificates.server(
            key, authority, signer, days, request["server"]
        )
        found["server.key"] = certificates.private_pem(key)
        found["server.crt"] = certificates.pem(server)
        found["ca.crt"] = certificates.pem(authority)
    if request["clients"]:
        key = ec.generate_private_key(ec.SECP256R1())
        made = certificates.authority(key, days, "reconciler-clients-ca")
        found["clients.key"] = certificates.private_pem(key)
        found["clients.crt"] = certificates.pem(made)
    return {name: pem.decode() for name, pem in found.items()}


def main() -> None:
    """What the other process does."""
    json.dump(issue(json.load(sys.stdin)), sys.stdout)
