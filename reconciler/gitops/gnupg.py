"""GnuPG in a home of its own, bounded in time.

Nothing of the user's keyrings, trust or settings counts; nothing is asked
and nothing is looked up.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reconciler.gitops import program
from reconciler.gitops.private import private_file
from reconciler.gitops.program import EndlessError, LateError
from reconciler.gitops.tree import SourceError

SECONDS = 20.0
_SETTINGS = (
    "batch", "no-tty", "no-auto-key-retrieve", "no-auto-key-locate",
    "disable-dirmngr", "trust-model always", "weak-digest SHA1",
)  # fmt: skip
_AGENT = b"s2k-count 65536\n"
"""A key is locked again in a home that is gone in a moment: the seconds that
the agent would make an attacker wait are only ours."""

_KIND, _EXPIRES, _VALUE = 0, 6, 9
"""Fields of a line of ``--with-colons``: see GnuPG's doc/DETAILS."""


class GnuPGError(SourceError):
    """gpg is not there, took too long, or refused."""


@dataclass(frozen=True)
class GnuPG:
    """One home directory."""

    home: Path

    @classmethod
    def create(cls, home: Path, *settings: str) -> GnuPG:
        """A home without keys.

        Args:
            home: made here, readable by us only.
            settings: more lines of ``gpg.conf``.
        """
        home.mkdir(mode=0o700)
        text = "\n".join([*_SETTINGS, *settings])
        private_file(home / "gpg.conf", f"{text}\n".encode())
        private_file(home / "gpg-agent.conf", _AGENT)
        return cls(home)

    def add(self, key: bytes) -> None:
        """Import an armored key.

        Raises:
            GnuPGError: gpg does not take it.
        """
        self._run("gpg", "--quiet", "--import", stdin=key)

    def secret_keys(self) -> list[str]:
        """Fingerprints of the private primary keys."""
        found, primary = [], False
        for fields in self._listed("--list-secret-keys"):
            if fields[_KIND] in {"sec", "ssb"}:
                primary = fields[_KIND] == "sec"
            elif fields[_KIND] == "fpr" and primary:
                found.append(fields[_VALUE])
                primary = False
        return found

    def expirations(self) -> list[datetime]:
        """When keys and subkeys end that have an end."""
        return [
            datetime.fromtimestamp(int(fields[_EXPIRES]), UTC)
            for fields in self._listed("--list-keys")
            if fields[_KIND] in {"pub", "sub"} and fields[_EXPIRES].isdigit()
        ]

    @contextlib.contextmanager
    def agent(self) -> Iterator[None]:
        """End the agent that uses of a private key start."""
        try:
            yield
        finally:
            # Without its home it ends by itself; this is only sooner.
            with contextlib.suppress(GnuPGError):
                self._run("gpgconf", "--kill", "all")

    def _listed(self, what: str) -> list[list[str]]:
        told = self._run("gpg", "--with-colons", "--fixed-list-mode", what)
        lines = told.decode("utf-8", "replace").splitlines()
        rows = [line.split(":") for line in lines]
        return [row for row in rows if len(row) > _VALUE]

    def _run(self, name: str, *arguments: str, stdin: bytes = b"") -> bytes:
        found = shutil.which(name)
        if found is None:
            msg = f"{name} is not installed where the controller runs"
            raise GnuPGError(msg)
        environment = {
            "GNUPGHOME": str(self.home),
            "HOME": str(self.home),
            "LC_ALL": "C",
            "PATH": os.environ.get("PATH", os.defpath),
        }
        try:
            done = program.run(
                [found, *arguments],
                seconds=SECONDS,
                environment=environment,
                stdin=stdin,
            )
        except LateError as error:
            msg = f"{name} {arguments[0]} took more than {SECONDS:g}s"
            raise GnuPGError(msg) from error
        except EndlessError as error:
            msg = f"{name} {arguments[0]} prints without end"
            raise GnuPGError(msg) from error
        if done.code != 0:
            told = "; ".join(done.err.decode("utf-8", "replace").splitlines())
            msg = f"{name} does not take a key: {told[:300]}"
            raise GnuPGError(msg)
        return done.out
