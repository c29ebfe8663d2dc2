"""Keys are for us only, and gone afterwards, also after a kill."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops import private
from reconciler.gitops.private import (
    FRESH_SECONDS,
    PREFIX,
    make_private,
    private_file,
    private_folder,
)


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: Any) -> Path:
    found = tmp_path / "shm"
    found.mkdir()
    monkeypatch.setattr(private, "MEMORY", found)
    return found


def left_by_a_kill(where: Path, name: str = "x", old: bool = True) -> Path:
    folder = where / f"{PREFIX}{name}"
    folder.mkdir()
    private_file(folder / "identity", b"secret")
    if old:
        then = time.time() - FRESH_SECONDS - 60
        os.utime(folder, (then, then))
    return folder


def test_only_we_can_read_it_and_then_it_is_gone(memory: Path) -> None:
    with private_folder() as folder:
        private_file(folder / "identity", b"x")
        assert folder.parent == memory
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "identity").stat().st_mode & 0o777 == 0o600
    assert list(memory.iterdir()) == []


def test_what_a_killed_process_left_is_removed(memory: Path) -> None:
    left = left_by_a_kill(memory)
    foreign = memory / "reconciler-state"
    foreign.mkdir()
    os.utime(foreign, (0, 0))
    link = memory / f"{PREFIX}link"
    link.symlink_to(foreign)
    os.utime(link, (0, 0), follow_symlinks=False)
    with private_folder():
        assert not left.exists()
    assert foreign.is_dir()


def test_what_is_new_or_in_use_stays(memory: Path) -> None:
    fresh = left_by_a_kill(memory, "fresh", old=False)
    with private_folder() as used:
        private_file(used / "identity", b"x")
        os.utime(used, (0, 0))
        with private_folder():
            assert (used / "identity").is_file()
    assert fresh.is_dir()


def test_a_folder_that_lasts_is_made_private(tmp_path: Path) -> None:
    there = tmp_path / "a" / "b"
    make_private(there)
    assert there.stat().st_mode & 0o777 == 0o700
    there.chmod(0o755)
    make_private(there)
    assert there.stat().st_mode & 0o777 == 0o700
