"""Killed, or out of disk, at every step of every operation."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from reconciler.storage.errors import StorageError
from reconciler.storage.ownership import claim, destroy, owner_of
from reconciler.storage.tree import TreeBackend

CHANGES = frozenset(
    {
        "os.rename",
        "os.remove",
        "os.link",
        "os.mkdir",
        "os.rmdir",
        "os.symlink",
        "os.chmod",
        "fcntl.ioctl",
    }
)
GROWS = frozenset({"os.link", "os.mkdir", "os.symlink"})


def is_write(event: str, args: tuple[object, ...]) -> bool:
    if event != "open":
        return event in CHANGES
    flags = args[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


def killed_at(step: int, operation: Callable[[], object]) -> bool:
    """Run in a child that SIGKILLs itself before its nth change.

    Returns whether it died; False means that it was done before.
    """
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, args: tuple[object, ...]) -> None:
            nonlocal count
            if is_write(event, args):
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            operation()
        except BaseException:  # noqa: BLE001 - a child tells by its status
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def full_at(step: int, operation: Callable[[], object]) -> bool:
    """Run in a child whose disk is full from its nth growth on.

    Returns whether it failed; it must do so with a StorageError.
    """
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, args: tuple[object, ...]) -> None:
            nonlocal count
            growing = event in GROWS or (
                event == "open" and is_write(event, args)
            )
            if growing:
                count += 1
                if count >= step:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        sys.addaudithook(hook)
        try:
            operation()
        except StorageError:
            os._exit(3)
        except BaseException:  # noqa: BLE001 - a child tells by its status
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) in {0, 3}
    return os.WEXITSTATUS(status) == 3


def picture(root: Path) -> list[tuple[str, int, str]]:
    """All of a root but inodes and times: path, mode, content."""
    rows = []
    for path in sorted(root.rglob("*")):
        if ".probe-" in str(path):
            continue  # a test of the file system, not of ours
        if path.is_symlink():
            rows.append((str(path.relative_to(root)), 0, str(path.readlink())))
            continue
        text = path.read_text() if path.is_file() else ""
        if path.parent.name == "manifests":
            text = "".join(
                line for line in text.splitlines() if "createdAt" not in line
            )
        mode = path.stat().st_mode
        rows.append((str(path.relative_to(root)), mode, text))
    return rows


def consistent(backend: TreeBackend) -> None:
    """Whatever is visible is whole, and the pointer points at it."""
    names = {g.name for g in backend.generations("docs")}
    for name in names:
        backend.verify("docs", name)
    assert backend.current("docs") in {None, *names}


@pytest.fixture
def three(backend, source):
    """Three generations, the first of them current."""
    for name in ("g1", "g2", "g3"):
        top, digest = source(name, same="s" * 4000, a__own=name)
        backend.commit("docs", name, top, digest)
    backend.activate("docs", "g1")
    claim(backend, "default/layout")
    return backend


OPERATIONS = {
    "commit": lambda b, new: b.commit("docs", "g4", *new),
    "activate": lambda b, _: b.activate("docs", "g2"),
    "hold": lambda b, _: b.hold("docs", "g2", "promotion"),
    "prune": lambda b, _: b.prune("docs", 1),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_anywhere_then_repeated_ends_the_same(
    three, source, tmp_path, operation
):
    new = source("g4", same="s" * 4000, a__own="g4", b__more="m")
    pristine, reference = tmp_path / "pristine", tmp_path / "reference"
    shutil.copytree(three.root, pristine, symlinks=True)
    shutil.copytree(three.root, reference, symlinks=True)
    OPERATIONS[operation](TreeBackend(reference), new)
    goal = picture(reference)
    step = 0
    while True:
        step += 1
        root = tmp_path / f"try{step}"
        shutil.copytree(pristine, root, symlinks=True)
        backend = TreeBackend(root)
        died = killed_at(step, partial(OPERATIONS[operation], backend, new))
        consistent(backend)
        OPERATIONS[operation](backend, new)
        consistent(backend)
        assert picture(root) == goal
        if not died:
            break
    assert step > 2


def test_killed_anywhere_a_destroyed_layout_is_gone_in_the_end(
    three, tmp_path
):
    step = 0
    died = True
    while died:
        step += 1
        root = tmp_path / f"try{step}"
        shutil.copytree(three.root, root, symlinks=True)
        backend = TreeBackend(root)
        died = killed_at(step, partial(destroy, backend, "default/layout"))
        assert owner_of(root) in {"default/layout", None}
        destroy(backend, "default/layout")
        assert owner_of(root) is None
        assert not (root / "datasets").exists()
    assert step > 10


@pytest.mark.parametrize("operation", ["commit", "activate", "hold"])
def test_a_full_disk_at_any_step_shows_nothing_half_done(
    three, source, tmp_path, operation
):
    new = source("g4", same="s" * 4000, a__own="g4", b__more="m")
    before = three.generations("docs")
    step = 0
    failed = True
    while failed:
        step += 1
        root = tmp_path / f"try{step}"
        shutil.copytree(three.root, root, symlinks=True)
        backend = TreeBackend(root)
        failed = full_at(step, partial(OPERATIONS[operation], backend, new))
        consistent(backend)
        if failed:
            assert backend.generations("docs") == before
            assert backend.current("docs") == "g1"
            OPERATIONS[operation](backend, new)
            consistent(backend)
    assert step > 2


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB, if we may mount one."""
    where = tmp_path / "small"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(where)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no right to mount a small file system")
    yield where
    subprocess.run(["umount", str(where)], check=True)


def test_a_really_full_disk_leaves_the_old_state_and_the_room(
    small_disk, source
):
    backend = TreeBackend(small_disk / "root")
    backend.commit("docs", "g1", *source("g1", a="a" * 20_000))
    backend.activate("docs", "g1")
    used = backend.objects.total_bytes()
    big = source("g2", a="b" * 60_000, b="c" * 60_000, c="d" * 200_000)
    with pytest.raises(StorageError, match="space"):
        backend.commit("docs", "g2", *big)
    assert [g.name for g in backend.generations("docs")] == ["g1"]
    assert backend.current("docs") == "g1"
    assert backend.objects.total_bytes() == used
    backend.commit("docs", "g3", *source("g3", a="e" * 20_000))
    consistent(backend)
