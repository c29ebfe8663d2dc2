"""Where the server's Unix socket is: private, and short enough."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from reconciler.feedback.errors import NoServerError

PORT = 5432
"""Part of the socket's name only: no server of ours listens on TCP."""

_LONGEST = 107
"""Bytes of a path that the kernel accepts for a socket."""


def socket_name() -> str:
    """File name that PostgreSQL gives the socket."""
    return f".s.PGSQL.{PORT}"


def socket_folder(directory: Path) -> Path:
    """Folder of the socket of a server whose files are in `directory`.

    Below it if the path is short enough, else below the user's runtime
    directory or /tmp, always the same one for the same directory.
    """
    inside = directory / "socket"
    if _fits(inside):
        return inside
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    places = [Path(runtime)] if runtime and Path(runtime).is_dir() else []
    for place in [*places, Path("/tmp")]:  # noqa: S108 - private, see below
        outside = place / f"reconciler-{os.geteuid()}-{name}"
        if _fits(outside):
            return outside
    msg = f"no path for the socket of {directory} is short enough"
    raise NoServerError(msg)


def make_private(folder: Path, owner: int | None, group: int | None) -> None:
    """Create a folder that only its owner may enter.

    Whoever may enter it may use the database, so that a folder that
    somebody else prepared is refused.

    Raises:
        NoServerError: it belongs to somebody else or is a link.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    allowed = {os.geteuid(), os.geteuid() if owner is None else owner}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in allowed:
        msg = f"{folder} belongs to somebody else: remove it"
        raise NoServerError(msg)
    if owner is not None and group is not None:
        os.chown(folder, owner, group)
    folder.chmod(0o700)


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / socket_name())) <= _LONGEST
