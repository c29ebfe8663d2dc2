"""Who may sign: public keys from a Secret, and nobody else. Pure.

Nothing of the user's or the system's keyrings, trust or settings counts.
What cannot be understood is an error, never a key less or a key more.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reconciler.gitops.credentials import CredentialsError

WHERE = "git.verify.secretRef"
ALLOWED, REVOKED = "allowed_signers", "revoked_keys"

_PGP_BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_SSH_KEY = re.compile(
    r"^(ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp(?:256|384|521)"
    r"|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com)"
    r"\s+([A-Za-z0-9+/]+={0,3})(?:\s.*)?$"
)
_VALIDITY = re.compile(r'(?i)\bvalid-(after|before)="?([^",\s]*)')
_TIMES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


class SignersError(CredentialsError):
    """The Secret does not say clearly who may sign."""


@dataclass(frozen=True)
class Signers:
    """The content of `git.verify.secretRef`, by what it is."""

    openpgp: tuple[bytes, ...] = field(default=(), repr=False)
    """Armored public keys."""

    allowed: tuple[str, ...] = field(default=(), repr=False)
    """Lines as ssh-keygen reads them: principals, options, key."""

    revoked: bytes = field(default=b"", repr=False)
    """SSH keys that sign no longer: a list of keys, or a KRL."""

    @classmethod
    def of(cls, values: Mapping[str, bytes]) -> Signers:
        """Read a Secret.

        Args:
            values: key of the Secret to content.

        Raises:
            SignersError: a key of the Secret is not understood, or the
                Secret names no signer.
        """
        openpgp: list[bytes] = []
        allowed: list[str] = []
        for name, content in sorted(values.items()):
            if name.endswith(".asc"):
                openpgp.append(_armored(name, content))
            elif name.endswith(".pub"):
                allowed += _public_keys(name, content)
            elif name == ALLOWED:
                allowed += _signer_lines(content)
            elif name != REVOKED:
                msg = (
                    f"{WHERE}: {name} is not understood; name OpenPGP keys "
                    f"*.asc, SSH keys *.pub, or use {ALLOWED}, {REVOKED}"
                )
                raise SignersError(msg)
        if not openpgp and not allowed:
            msg = f"{WHERE}: the Secret has no public key of a signer"
            raise SignersError(msg)
        return cls(tuple(openpgp), tuple(allowed), values.get(REVOKED, b""))

    @property
    def digest(self) -> str:
        """Changes with the content."""
        whole = hashlib.sha256()
        lines = (line.encode() for line in self.allowed)
        for part in (*self.openpgp, b"ssh", *lines, b"revoked", self.revoked):
            whole.update(f"{len(part)}:".encode() + part)
        return whole.hexdigest()

    def allowed_at(self, now: datetime) -> str:
        """The file of allowed signers, without those out of their time.

        git has ssh-keygen compare the validity with the date that the
        signer wrote into the commit; who stole an old key writes an old
        date, so what is out of its time now does not count at all.

        Raises:
            SignersError: a time is not understood.
        """
        lines = [line for line in self.allowed if _valid(line, now)]
        return "".join(f"{line}\n" for line in lines)

    def bounds(self) -> list[datetime]:
        """When the time of an SSH key begins or ends.

        Raises:
            SignersError: a time is not understood.
        """
        return [at for line in self.allowed for _, at in _bounds(line)]


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"{WHERE}: {name} is not text"
        raise SignersError(msg) from error


def _armored(name: str, content: bytes) -> bytes:
    text = _text(name, content)
    if "PRIVATE KEY" in text:
        msg = f"{WHERE}: {name} is a private key; give the public one"
        raise SignersError(msg)
    if _PGP_BEGIN not in text:
        msg = f"{WHERE}: {name} is not an armored OpenPGP public key"
        raise SignersError(msg)
    return content


def _public_keys(name: str, content: bytes) -> list[str]:
    """Lines of ``id_ed25519.pub``; the signer is called like the file."""
    who, found = name.removesuffix(".pub"), []
    for number, line in _lines(_text(name, content)):
        match = _SSH_KEY.match(line)
        if match is None or not who:
            msg = f"{WHERE}: {name}:{number}: is not an SSH public key"
            raise SignersError(msg)
        found.append(f'{who} namespaces="git" {match[1]} {match[2]}')
    return found


def _signer_lines(content: bytes) -> list[str]:
    found = []
    for number, line in _lines(_text(ALLOWED, content)):
        if len(line.split()) < 3:  # noqa: PLR2004 - principals, type, key
            msg = (
                f"{WHERE}: {ALLOWED}:{number}: needs principals, a type of "
                "key and a key"
            )
            raise SignersError(msg)
        _bounds(line)
        found.append(line)
    return found


def _lines(text: str) -> list[tuple[int, str]]:
    """Numbered lines without comments and empty ones."""
    numbered = enumerate((x.strip() for x in text.splitlines()), 1)
    return [(n, x) for n, x in numbered if x and not x.startswith("#")]


def _valid(line: str, now: datetime) -> bool:
    for word, at in _bounds(line):
        if word == "after" and now < at:
            return False
        if word == "before" and now >= at:
            return False
    return True


def _bounds(line: str) -> list[tuple[str, datetime]]:
    return [(m[1].lower(), _time(m[2])) for m in _VALIDITY.finditer(line)]


def _time(text: str) -> datetime:
    """``YYYYMMDD[HHMM[SS]][Z]``; local time without the Z."""
    digits = text.removesuffix("Z")
    try:
        naive = datetime.strptime(digits, _TIMES[len(digits)])  # noqa: DTZ007
    except (KeyError, ValueError) as error:
        msg = f"{WHERE}: {ALLOWED}: {text!r} is not a time (YYYYMMDDHHMMZ)"
        raise SignersError(msg) from error
    return naive.replace(tzinfo=UTC) if text != digits else naive.astimezone()
