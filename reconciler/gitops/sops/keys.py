"""age identities, and the data keys that they open.

Only pyrage knows age (https://age-encryption.org/v1); identities are kept in
memory and shown nowhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.gitops.sops.cipher import KEY_BYTES
from reconciler.gitops.sops.errors import SopsError
from reconciler.gitops.sops.metadata import Metadata, Recipient

if TYPE_CHECKING:
    from pyrage import x25519

SUFFIX = ".agekey"
"""What the keys of a Secret end with that hold identities."""

_SHOWN = 3


class IdentityError(ValueError):
    """Something is no age identity; says where, never what."""


@dataclass(frozen=True)
class AgeKeys:
    """Identities of one owner; equal if they are the same ones."""

    digest: str
    identities: tuple[x25519.Identity, ...] = field(repr=False, compare=False)

    @classmethod
    def of(cls, values: Mapping[str, bytes]) -> AgeKeys:
        """The identities of a Secret's ``*.agekey`` keys.

        Raises:
            IdentityError: there is none, or one is not understood.
        """
        texts = [
            line
            for name, data in sorted(values.items())
            if name.endswith(SUFFIX)
            for line in _lines(name, data)
        ]
        if not texts:
            msg = f"the Secret has no identity in a key that ends in {SUFFIX}"
            raise IdentityError(msg)
        return cls.parse(texts)

    @classmethod
    def file(cls, name: str, data: bytes) -> AgeKeys:
        """The identities of a file as ``age-keygen`` writes it.

        Raises:
            IdentityError: there is none, or one is not understood.
        """
        lines = _lines(name, data)
        if not lines:
            msg = f"{name} has no identity"
            raise IdentityError(msg)
        return cls.parse(lines)

    @classmethod
    def parse(cls, texts: Iterable[tuple[str, str]]) -> AgeKeys:
        """Identities with the place where they were found.

        Raises:
            IdentityError: one is not understood.
        """
        import pyrage  # a process that decrypts nothing does not hold it
        from pyrage import x25519

        found, whole = [], hashlib.sha256()
        for where, text in texts:
            try:
                found.append(x25519.Identity.from_str(text))
            except pyrage.IdentityError as error:
                msg = (
                    f"{where} is no identity AGE-SECRET-KEY-1...; others "
                    "(plugins, SSH, post-quantum) are not supported"
                )
                raise IdentityError(msg) from error
            whole.update(text.encode() + b"\0")
        return cls(whole.hexdigest(), tuple(found))

    def data_key(self, metadata: Metadata) -> bytes:
        """The data key of a file.

        Raises:
            SopsError: it is encrypted for none of the identities.
        """
        mine = {str(i.to_public()) for i in self.identities}
        recipients = metadata.recipients
        meant = [r for r in recipients if r.name in mine] or recipients
        for recipient in meant:
            key = self._opened(recipient)
            if key is not None:
                return key
        names = [r.name or "?" for r in recipients[:_SHOWN]]
        more = len(recipients) - _SHOWN
        names += [f"{more} more"] if more > 0 else []
        reason = (
            "sops.age: the file is encrypted for "
            f"{', '.join(names)}, and none of the keys given opens it"
        )
        raise SopsError(reason)

    def _opened(self, recipient: Recipient) -> bytes | None:
        import pyrage

        try:
            key = pyrage.decrypt(recipient.enc.encode(), list(self.identities))
        except pyrage.DecryptError:
            return None
        return key if len(key) == KEY_BYTES else None


def new_identity() -> tuple[str, str]:
    """A new identity, and the recipient that it is for."""
    from pyrage import x25519

    made = x25519.Identity.generate()
    return str(made), str(made.to_public())


def sealed_for(recipients: Iterable[str], key: bytes) -> tuple[Recipient, ...]:
    """A data key, encrypted for each recipient.

    Raises:
        IdentityError: one is no age recipient.
    """
    import pyrage
    from pyrage import x25519

    made = []
    for name in dict.fromkeys(recipients):
        try:
            to = x25519.Recipient.from_str(name)
        except pyrage.RecipientError as error:
            msg = f"{name!r} is no age recipient (age1...)"
            raise IdentityError(msg) from error
        enc = pyrage.encrypt(key, [to], armored=True).decode()
        made.append(Recipient(name, enc))
    return tuple(made)


def _lines(name: str, data: bytes) -> list[tuple[str, str]]:
    """The lines that are neither empty nor comments, with their place."""
    text = data.decode("utf-8", "replace")
    lines = ((i, line.strip()) for i, line in enumerate(text.splitlines(), 1))
    return [
        (f"{name}:{i}", line)
        for i, line in lines
        if line and not line.startswith("#")
    ]
