"""People with keys, made when a test asks for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def run(*command: str, home: Path | None = None) -> str:
    """Run a program that has to succeed."""
    environment = {**os.environ, "LC_ALL": "C"}
    if home is not None:
        environment["GNUPGHOME"] = str(home)
    done = subprocess.run(
        command, env=environment, check=False, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


class SshPerson:
    """Signs with an SSH key."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.key = folder / name
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name,
            "-f", str(self.key))  # fmt: skip
        self.public = self.key.with_suffix(".pub").read_text()
        self.settings = (
            "-c", "gpg.format=ssh", "-c", f"user.signingKey={self.key}",
        )  # fmt: skip


class PgpPerson:
    """Signs with an OpenPGP key; one that `ended` did so years ago."""

    def __init__(self, folder: Path, name: str, *, ended: bool) -> None:
        self.name = name
        self.home = Path(tempfile.mkdtemp(prefix="k-"))  # a short socket path
        self.home.chmod(0o700)
        time = ["--faked-system-time", "20200101T000000"] if ended else []
        run("gpg", *time, "--batch", "--quiet", "--passphrase", "",
            "--pinentry-mode", "loopback", "--quick-gen-key", name,
            "ed25519", "sign", "1d" if ended else "never",
            home=self.home)  # fmt: skip
        program = folder / f"gpg-{name}"
        program.write_text(
            f"#!/bin/sh\nexport GNUPGHOME={self.home}\n"
            f'exec gpg {" ".join(time)} "$@"\n'
        )
        program.chmod(0o755)
        self.settings = (
            "-c", "gpg.format=openpgp", "-c", f"gpg.program={program}",
            "-c", f"user.signingKey={self.fingerprint}",
        )  # fmt: skip

    @property
    def fingerprint(self) -> str:
        listed = run("gpg", "--batch", "--with-colons", "-k", home=self.home)
        line = next(x for x in listed.splitlines() if x.startswith("fpr"))
        return line.split(":")[9]

    @property
    def public(self) -> str:
        return run("gpg", "--batch", "--armor", "--export", home=self.home)

    def revoke(self) -> None:
        """Publish that the key signs no longer."""
        folder = self.home / "openpgp-revocs.d"
        made = folder / f"{self.fingerprint}.rev"
        ready = self.home / "revoke.asc"
        text = made.read_text().replace(":-----BEGIN", "-----BEGIN")
        ready.write_text(text)
        run("gpg", "--batch", "--quiet", "--import", str(ready),
            home=self.home)  # fmt: skip

    def close(self) -> None:
        run("gpgconf", "--kill", "all", home=self.home)
        shutil.rmtree(self.home, ignore_errors=True)


@contextmanager
def pgp(
    folder: Path, name: str, *, ended: bool = False
) -> Iterator[PgpPerson]:
    """A person whose agent ends with the block."""
    person = PgpPerson(folder, name, ended=ended)
    try:
        yield person
    finally:
        person.close()


def sign_commit(remote: Any, person: Any, files: dict[str, Any]) -> str:
    """Commit files with a signature."""
    remote.write(files)
    remote.git("add", "-A")
    remote.git(*person.settings, "commit", "-q", "--allow-empty", "-S",
               "-m", "change")  # fmt: skip
    remote.publish()
    head: str = remote.git("rev-parse", "HEAD")
    return head


def sign_tag(remote: Any, person: Any, name: str) -> None:
    """Tag HEAD with a signature."""
    remote.git(*person.settings, "tag", "-f", "-s", "-m", "release", name)
