"""The SSH key that a repository is read and written with."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

PUBLIC_MODE = 0o644


class DeployKeyError(Exception):
    """The key cannot be used or kept."""


@dataclass(frozen=True)
class DeployKey:
    """A key pair in OpenSSH's notation."""

    private: bytes = field(repr=False)
    public: str
    """``ssh-ed25519 AAAA... comment``."""

    @property
    def fingerprint(self) -> str:
        """``SHA256:...`` as ``ssh-keygen -l`` prints it."""
        return fingerprint(self.public.split()[1])


def fingerprint(blob: str) -> str:
    """SHA256 fingerprint of a public key in base64.

    Raises:
        ValueError: it is not base64.
    """
    digest = hashlib.sha256(base64.b64decode(blob, validate=True)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def generate(comment: str) -> DeployKey:
    """A new ed25519 key."""
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    return read(private, comment)


def read(private: bytes, comment: str) -> DeployKey:
    """The pair of a private key in OpenSSH's or PEM notation.

    Raises:
        DeployKeyError: it is none, or it has a password.
    """
    load = serialization.load_ssh_private_key
    if b"BEGIN OPENSSH" not in private:
        load = serialization.load_pem_private_key  # type: ignore[assignment]
    try:
        key = load(private, None)
    except TypeError as error:
        msg = (
            "the private key has a password; a deploy key is used by a "
            "machine: take one without, for example one that bootstrap makes"
        )
        raise DeployKeyError(msg) from error
    except ValueError as error:
        msg = "is not a private SSH key"
        raise DeployKeyError(msg) from error
    text = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return DeployKey(private, f"{text.decode()} {comment}")


def kept(
    path: Path, comment: str, *, dry_run: bool = False
) -> tuple[DeployKey, bool]:
    """The key in a file, and whether it was made by this call.

    A key that is there is never replaced. The public half is beside it. A
    dry run writes neither.

    Raises:
        DeployKeyError: the file is no key, or cannot be read or written.
    """
    try:
        if dry_run and not path.exists():
            return generate(comment), True
        made = not path.exists() and _placed(path, generate(comment).private)
        key = read(path.read_bytes(), comment)
        public = path.with_name(path.name + ".pub")
        if not public.exists() and not dry_run:
            public.write_text(f"{key.public}\n")
            public.chmod(PUBLIC_MODE)
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise DeployKeyError(msg) from error
    except DeployKeyError as error:
        msg = f"{path}: {error}"
        raise DeployKeyError(msg) from error
    return key, made


def _placed(path: Path, data: bytes) -> bool:
    """Whether our file became that one: whole, private, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:  # mkstemp makes it 0600
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
            return True
    finally:
        Path(name).unlink()
    return False
