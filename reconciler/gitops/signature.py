"""The key that our commits are signed with: from a Secret to git's settings.

What gpg and ssh-keygen need as files is in a private folder, in memory where
the system has one, for the time of one commit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from reconciler.gitops.credentials import (
    CredentialsError,
    unlocked,
    variables,
)
from reconciler.gitops.gnupg import GnuPG, GnuPGError
from reconciler.gitops.private import private_file, private_folder

WHERE = "writeBack.signingKeySecretRef"
OPENPGP, SSH = "git.asc", "identity"
PASSWORDS: Mapping[str, str] = {OPENPGP: "passphrase", SSH: "password"}


class SigningKeyError(CredentialsError):
    """The Secret has no key, or one that cannot be used."""


@dataclass(frozen=True)
class SigningKey:
    """The content of `writeBack.signingKeySecretRef`."""

    form: Literal["openpgp", "ssh"]
    private: bytes = field(repr=False)
    password: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, values: Mapping[str, bytes]) -> SigningKey:
        """Read a Secret.

        Args:
            values: ``git.asc`` and ``passphrase``, as Flux has them, or
                ``identity`` and ``password``, as ``git.secretRef``.

        Raises:
            SigningKeyError: there is not exactly one private key in it.
        """
        given = [name for name in (OPENPGP, SSH) if values.get(name)]
        if len(given) != 1:
            msg = (
                f"{WHERE}: the Secret needs either {OPENPGP}, an OpenPGP "
                f"private key, or {SSH}, an SSH private key"
            )
            raise SigningKeyError(msg)
        name = given[0]
        private, password = values[name], values.get(PASSWORDS[name], b"")
        if b"PRIVATE KEY" not in private:
            msg = f"{WHERE}: {name} is not a private key"
            raise SigningKeyError(msg)
        form: Literal["openpgp", "ssh"] = "ssh" if name == SSH else "openpgp"
        return cls(form, private, password.rstrip(b"\r\n"))

    @contextlib.contextmanager
    def environment(self) -> Iterator[dict[str, str]]:
        """Variables that make ``git commit-tree -S`` sign with it.

        Raises:
            SigningKeyError: the key cannot be read with its password.
            GnuPGError: gpg is missing.
        """
        with private_folder() as folder:
            if self.form == "ssh":
                yield _settings("ssh", "ssh-keygen", self._ssh(folder))
                return
            gpg = self._openpgp(folder)
            with gpg.agent():
                key = self._import(gpg)
                found = _settings("openpgp", "gpg", key)
                yield found | {"GNUPGHOME": str(gpg.home)}

    def _ssh(self, folder: Path) -> str:
        private = self.private
        if not private.endswith(b"\n"):
            private += b"\n"
        if self.password:
            try:
                private = unlocked(private, self.password)
            except CredentialsError as error:
                msg = f"{WHERE}: {error}"
                raise SigningKeyError(msg) from error
        target = folder / "signing"
        private_file(target, private)
        return str(target)

    def _openpgp(self, folder: Path) -> GnuPG:
        password = folder / "passphrase"
        private_file(password, self.password)
        return GnuPG.create(
            folder / "gnupg",
            "pinentry-mode loopback",
            f"passphrase-file {password}",
        )

    def _import(self, gpg: GnuPG) -> str:
        try:
            gpg.add(self.private)
        except GnuPGError as error:
            msg = f"{WHERE}: {error}"
            raise SigningKeyError(msg) from error
        found = gpg.secret_keys()
        if len(found) != 1:
            msg = f"{WHERE}: {OPENPGP} has {len(found)} private keys; give one"
            raise SigningKeyError(msg)
        return found[0]


def _settings(form: str, program: str, key: str) -> dict[str, str]:
    """What makes git sign with a key."""
    return variables(
        {
            "gpg.format": form,
            f"gpg.{form}.program": program,
            "user.signingKey": key,
        }
    )
