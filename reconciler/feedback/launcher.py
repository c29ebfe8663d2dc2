"""Starts a command as somebody else than root, detached if wanted.

PostgreSQL refuses to run as root. This file is run by its path, before any
package is importable, as ``python -I launcher.py MODE DIRECTORY LOG
COMMAND...`` and becomes the command:

- ``self``: as the same user.
- ``namespace:UID:GID``: in a new user namespace where the user that starts
  it has another number. Outside it stays the same user, so files below
  a private home stay reachable and owned by it.
- ``switch:UID:GID``: as another user, for machines without user namespaces.

With a LOG other than ``-`` the command is detached: its output goes there
and its process id to our standard output.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
REFUSED = 77
"""Exit status if the identity or the directory is not to be had."""


def become(mode: str) -> None:
    """Take on an identity.

    Raises:
        OSError: the kernel does not let us.
    """
    name, _, ids = mode.partition(":")
    if name == "self":
        return
    uid, gid = (int(part) for part in ids.split(":"))
    if name == "namespace":
        _enter_namespace(uid, gid)
    else:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def _enter_namespace(uid: int, gid: int) -> None:
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    # Without this the kernel lets nobody map groups.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")


def _detach(log: str) -> None:
    """Go on in a child that no terminal and no parent waits for."""
    child = os.fork()
    if child:
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        os._exit(0)
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    silence = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((silence, 0), (output, 1), (output, 2)):
        os.dup2(old, new)


def main(arguments: list[str]) -> int:
    """Become the command; returns only if that is impossible."""
    mode, directory, log, *command = arguments
    try:
        become(mode)
        os.chdir(directory)
        if log != "-":
            _detach(log)
        os.execv(command[0], command)  # noqa: S606 - that is the purpose
    except OSError as error:
        sys.stderr.write(f"{mode}: {error}\n")
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
