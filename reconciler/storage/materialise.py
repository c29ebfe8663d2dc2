"""How the files of a tree share their bytes with the object store."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from pathlib import Path
from typing import Literal

from reconciler.artifacts.copying import copy_file

Materialisation = Literal["Reflink", "Hardlink", "Copy"]

_FICLONE = 0x40049409
_PROBE = os.urandom(8192)


def probe(directory: Path) -> Materialisation:
    """The cheapest way that works in a directory, found by doing it.

    Whether a file system clones is known only after cloning real data: an
    empty file is "cloned" by some that cannot.
    """
    with tempfile.TemporaryDirectory(prefix=".probe-", dir=directory) as name:
        source = Path(name) / "source"
        source.write_bytes(_PROBE)
        for how in ("Reflink", "Hardlink"):
            if _works(source, Path(name) / how, how):
                return how
    return "Copy"


def place(source: Path, target: Path, how: Materialisation) -> None:
    """Give a read-only object a second name, or a copy, in a tree.

    A file that has too many names already is copied.
    """
    if how == "Hardlink" and _link(source, target):
        return
    if how == "Reflink":
        _clone(source, target)
    else:
        copy_file(source, target)
    target.chmod(0o444)


def _works(source: Path, target: Path, how: Materialisation) -> bool:
    try:
        if how == "Reflink":
            _clone(source, target)
        else:
            os.link(source, target)
        return target.read_bytes() == _PROBE
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
            raise
        target.unlink(missing_ok=True)
        return False


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        return False
    return True


def _clone(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("xb") as new:
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        os.fsync(new.fileno())
