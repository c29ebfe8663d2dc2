"""Which keys an SSH server may show: pinned before it is ever talked to.

Nothing is trusted on first use. Either a known_hosts file of the user names
the host, or the user names the fingerprint.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from typing_extensions import override

from reconciler.gitops.bootstrap.deploykey import fingerprint

SSH_PORT = 22
TIMEOUT_SECONDS = 20
SCAN_SECONDS = 10


class HostKeyError(Exception):
    """The host's key is not known; says what it shows and the way out."""


@dataclass(frozen=True)
class Host:
    """An SSH server."""

    name: str
    port: int = SSH_PORT

    @classmethod
    def of(cls, url: str) -> Host:
        """The server of an ssh:// URL."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or SSH_PORT)

    @override
    def __str__(self) -> str:
        """As known_hosts writes it."""
        if self.port == SSH_PORT:
            return self.name
        return f"[{self.name}]:{self.port}"


def known(file: Path, host: Host) -> bytes:
    """The lines of a known_hosts file about a host, hashed ones too.

    Raises:
        HostKeyError: the file cannot be read.
    """
    try:
        file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        msg = f"{file}: {error.strerror}"
        raise HostKeyError(msg) from error
    out = _run("ssh-keygen", "-F", str(host), "-f", str(file))
    lines = [x for x in out.splitlines() if x and not x.startswith("#")]
    return "".join(f"{line}\n" for line in lines).encode()


def shown(host: Host) -> dict[str, str]:
    """Fingerprint to known_hosts line of the keys that a host shows now.

    Raises:
        HostKeyError: it does not answer.
    """
    seconds = str(SCAN_SECONDS)
    port = str(host.port)
    out = _run("ssh-keyscan", "-T", seconds, "-p", port, "--", host.name)
    found = {}
    for line in out.splitlines():
        parts = line.split()
        if len(parts) == 3 and not line.startswith("#"):  # noqa: PLR2004
            found[fingerprint(parts[2])] = line
    if not found:
        msg = f"{host} shows no host key: is it an SSH server, and up?"
        raise HostKeyError(msg)
    return found


def pinned(host: Host, wanted: str) -> bytes:
    """The line of the key with a fingerprint.

    Raises:
        HostKeyError: the host shows other keys.
    """
    found = shown(host)
    if wanted not in found:
        msg = (
            f"{host} does not show the key {wanted}, but {_told(found)}: "
            "either the fingerprint is not the host's, or this is not the host"
        )
        raise HostKeyError(msg)
    return f"{found[wanted]}\n".encode()


def unknown(host: Host, file: Path) -> HostKeyError:
    """The error for a host that nobody vouched for."""
    try:
        told = f"it shows {_told(shown(host))}"
    except HostKeyError as error:
        told = str(error)
    return HostKeyError(
        f"the host key of {host} is not in {file} ({told}); compare with "
        "what its operator publishes, and name it: --host-key SHA256:..."
    )


def _told(found: dict[str, str]) -> str:
    return ", ".join(
        f"{key} ({line.split()[1]})" for key, line in sorted(found.items())
    )


def _run(*command: str) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except FileNotFoundError as error:
        msg = f"{command[0]} is not installed: it comes with OpenSSH"
        raise HostKeyError(msg) from error
    except subprocess.TimeoutExpired as error:
        msg = f"{command[0]} took more than {TIMEOUT_SECONDS} s"
        raise HostKeyError(msg) from error
    return done.stdout
