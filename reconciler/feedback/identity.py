"""As whom PostgreSQL runs: never as root."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.feedback import launcher
from reconciler.feedback.errors import FeedbackError, NoServerError

_LAUNCHER = Path(launcher.__file__)
_KEPT = ("PATH", "LD_LIBRARY_PATH")
_UNPRIVILEGED = ("postgres", "daemon", "nobody")


@dataclass(frozen=True)
class Identity:
    """A way to start a command, see `reconciler.feedback.launcher`."""

    mode: str = "self"
    uid: int | None = None
    """Who has to own the files; None is the user that we are."""

    gid: int | None = None

    def run(
        self, directory: Path, command: Sequence[str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in a directory.

        Raises:
            FeedbackError: it took longer than `timeout` seconds.
        """
        return self._launch(directory, "-", command, timeout)

    def start(self, directory: Path, command: Sequence[str], log: Path) -> int:
        """Start a detached command; returns its process id.

        Raises:
            FeedbackError: it could not be started.
        """
        done = self._launch(directory, str(log), command, 30)
        if done.returncode:
            msg = f"{command[0]} did not start: {done.stderr.strip()}"
            raise FeedbackError(msg)
        return int(done.stdout)

    def own(self, path: Path) -> None:
        """Give a file or tree to the user that the command runs as."""
        if self.uid is None or self.gid is None:
            return
        for each in (path, *path.rglob("*")):
            os.chown(each, self.uid, self.gid, follow_symlinks=False)

    def _launch(
        self, directory: Path, log: str, command: Sequence[str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        environment = {k: os.environ[k] for k in _KEPT if k in os.environ}
        try:
            return subprocess.run(
                [
                    *(sys.executable, "-I", str(_LAUNCHER), self.mode),
                    *(str(directory), log, *command),
                ],
                env={**environment, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            msg = f"{command[0]} was not done after {timeout:.0f} s"
            raise FeedbackError(msg) from None


def choose_identity(
    binary: Path,
    directory: Path,
    owner: int | None,
    *,
    namespaces: bool = True,
) -> Identity:
    """The first identity that can run a binary in a directory.

    Args:
        binary: a program that knows ``--version``.
        directory: where it will work; it exists.
        owner: who owns the data that is already there, if any.
        namespaces: whether to try a user namespace.

    Raises:
        NoServerError: none can; the message says why and what to do.
    """
    reasons = []
    for identity in _candidates(owner, namespaces):
        if identity.uid is not None:
            os.chown(directory, identity.uid, identity.gid or 0)
        done = identity.run(directory, [str(binary), "--version"], 30)
        if done.returncode == 0:
            return identity
        reasons.append(done.stderr.strip() or f"exit {done.returncode}")
    msg = (
        f"{binary} cannot run in {directory} ({'; '.join(reasons)}). "
        "PostgreSQL does not run as root: start the reconciler as an "
        "ordinary user, or let the user postgres or nobody reach both paths, "
        "or use a FeedbackStore with engine External"
    )
    raise NoServerError(msg)


def _candidates(owner: int | None, namespaces: bool) -> Iterator[Identity]:
    us = os.geteuid()
    if us != 0:
        if owner not in {None, us}:
            msg = f"the data belongs to user {owner}, and we are user {us}"
            raise NoServerError(msg)
        yield Identity()
        return
    entries = _unprivileged()
    if owner not in {None, 0}:
        entries = [e for e in pwd.getpwall() if e.pw_uid == owner]
    elif namespaces:
        for entry in entries[:1]:
            yield Identity(f"namespace:{entry.pw_uid}:{entry.pw_gid}")
    for entry in entries:
        uid, gid = entry.pw_uid, entry.pw_gid
        yield Identity(f"switch:{uid}:{gid}", uid, gid)


def _unprivileged() -> list[pwd.struct_passwd]:
    """Accounts that are not root's, those made for services first."""
    known = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    preferred = [e for e in known if e.pw_name in _UNPRIVILEGED]
    preferred.sort(key=lambda e: _UNPRIVILEGED.index(e.pw_name))
    return preferred or known[:1]
