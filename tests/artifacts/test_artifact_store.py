"""Putting, fetching, damage, races, kills and full disks."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.artifacts import (
    ArtifactError,
    ArtifactStore,
    CorruptArtifactError,
    InvalidTreeError,
    MissingArtifactError,
    StoreBusyError,
    copying,
    digest_of,
)
from reconciler.artifacts.tree import Limits

UNKNOWN = "sha256:" + "0" * 64


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def tree(tmp_path):
    tree = tmp_path / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "model.bin").write_bytes(os.urandom(100_000))
    (tree / "deep" / "er" / "config.json").write_text("{}")
    return tree


def staged(store: ArtifactStore) -> list[Path]:
    folder = store.root / "staging"
    return sorted(folder.iterdir()) if folder.exists() else []


def damage(store: ArtifactStore, digest: str) -> None:
    victim = store.path(digest) / "model.bin"
    victim.chmod(0o644)
    content = bytearray(victim.read_bytes())
    content[500] ^= 1
    victim.write_bytes(content)


def test_what_was_put_can_be_found(store, tree):
    digest = store.put(tree)
    assert digest == digest_of(tree) == store.digest_of(tree)
    assert store.has(digest)
    assert store.digests() == (digest,)
    assert digest_of(store.path(digest)) == digest
    store.verify(digest)
    assert staged(store) == []


def test_stored_trees_are_read_only(store, tree):
    path = store.path(store.put(tree))
    for folder, _, files in os.walk(path):
        assert Path(folder).stat().st_mode & 0o777 == 0o555
        for name in files:
            assert (Path(folder) / name).stat().st_mode & 0o777 == 0o444


def test_the_source_may_change_afterwards(store, tree):
    digest = store.put(tree)
    with (tree / "model.bin").open("r+b") as file:
        file.write(b"other")
    store.verify(digest)


def test_putting_twice_stores_once(store, tree):
    digest = store.put(tree)
    inode = store.path(digest).stat().st_ino
    assert store.put(tree) == digest
    assert store.path(digest).stat().st_ino == inode


def test_a_stored_tree_can_be_put_again(store, tree):
    digest = store.put(tree)
    assert store.put(store.path(digest)) == digest


def test_unknown_digests(store, tmp_path):
    assert not store.has(UNKNOWN)
    with pytest.raises(MissingArtifactError):
        store.path(UNKNOWN)
    with pytest.raises(MissingArtifactError):
        store.verify(UNKNOWN)
    with pytest.raises(MissingArtifactError):
        store.fetch(UNKNOWN, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_digests_cannot_leave_the_store(store):
    with pytest.raises(InvalidTreeError):
        store.path("sha256:../../../etc")


def test_fetched_copies_are_ours_to_change(store, tree, tmp_path):
    digest = store.put(tree)
    out = store.fetch(digest, tmp_path / "a" / "out")
    assert digest_of(out) == digest
    with (out / "model.bin").open("r+b") as file:
        file.write(b"other")
    (out / "new").write_text("x")
    store.verify(digest)


def test_fetching_again_changes_nothing(store, tree, tmp_path):
    digest = store.put(tree)
    out = store.fetch(digest, tmp_path / "out")
    inode = out.stat().st_ino
    assert store.fetch(digest, tmp_path / "out").stat().st_ino == inode


def test_fetching_never_overwrites_something_else(store, tree, tmp_path):
    digest = store.put(tree)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("precious")
    with pytest.raises(FileExistsError):
        store.fetch(digest, tmp_path / "out")
    assert (tmp_path / "out" / "mine").read_text() == "precious"


def test_damage_is_found_and_not_handed_out(store, tree, tmp_path):
    digest = store.put(tree)
    damage(store, digest)
    with pytest.raises(CorruptArtifactError):
        store.verify(digest)
    with pytest.raises(CorruptArtifactError):
        store.fetch(digest, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".fetch-*"))


def test_putting_again_repairs_damage(store, tree):
    digest = store.put(tree)
    damage(store, digest)
    assert store.put(tree) == digest
    store.verify(digest)
    assert staged(store) == []


def test_a_missing_manifest_hides_an_artifact(store, tree):
    digest = store.put(tree)
    (store.path(digest).parent / "manifest.json").unlink()
    assert not store.has(digest)
    with pytest.raises(MissingArtifactError):
        store.path(digest)


def test_too_large_a_tree_is_refused(tmp_path, tree):
    store = ArtifactStore(tmp_path / "small", Limits(total_bytes=1000))
    with pytest.raises(InvalidTreeError, match="larger"):
        store.put(tree)
    assert store.digests() == ()


def test_concurrent_puts_of_the_same_tree(store, tree):
    barrier = threading.Barrier(6)

    def put(_):
        barrier.wait(timeout=30)
        return store.put(tree)

    with ThreadPoolExecutor(6) as pool:
        digests = set(pool.map(put, range(6)))
    assert digests == set(store.digests())
    store.verify(digests.pop())
    assert staged(store) == []


def test_a_source_that_changes_meanwhile_is_not_stored(
    store, tree, monkeypatch
):
    real = copying.copy_file

    def meddle(source, target):
        (tree / "model.bin").write_bytes(b"changed")
        real(source, target)

    monkeypatch.setattr(copying, "copy_file", meddle)
    with pytest.raises(CorruptArtifactError, match="changed"):
        store.put(tree)
    assert store.digests() == ()
    assert staged(store) == []


@pytest.mark.parametrize("broken", ["copyfileobj", "fsync"])
def test_a_full_disk_leaves_nothing_visible(store, tree, monkeypatch, broken):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    owner = copying.shutil if broken == "copyfileobj" else copying.os
    monkeypatch.setattr(copying, "_clone", lambda _old, _new: False)
    with monkeypatch.context() as patch:
        patch.setattr(owner, broken, full)
        with pytest.raises(ArtifactError, match="No space left"):
            store.put(tree)
        assert store.digests() == ()
        assert staged(store) == []
    store.verify(store.put(tree))


def test_a_full_disk_while_the_manifest_is_written(store, tree, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("reconciler.artifacts.store.write_atomically", full)
        with pytest.raises(ArtifactError, match="No space left"):
            store.put(tree)
    assert store.digests() == ()
    assert staged(store) == []


def test_a_full_disk_while_fetching(store, tree, tmp_path, monkeypatch):
    digest = store.put(tree)

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(copying, "copy_file", full)
        with pytest.raises(ArtifactError, match="No space left"):
            store.fetch(digest, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".fetch-*"))


KILLED = """
import os, signal, sys
from pathlib import Path
from reconciler.artifacts import ArtifactStore, copying
import reconciler.artifacts.store as module

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

owner, name = {"copy": (copying, "copy_file"),
               "manifest": (module, "write_atomically"),
               "rename": (module, "_rename_unless_there")}[sys.argv[3]]
setattr(owner, name, die)
ArtifactStore(Path(sys.argv[1])).put(Path(sys.argv[2]))
"""


@pytest.mark.parametrize("moment", ["copy", "manifest", "rename"])
def test_a_killed_put_leaves_nothing_visible(store, tree, moment):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(store.root), str(tree), moment],
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    assert store.digests() == ()
    assert len(staged(store)) == 1
    digest = store.put(tree)
    store.verify(digest)
    assert store.gc({digest}) == ()
    assert staged(store) == []


def test_gc_keeps_what_is_named(store, tree):
    kept = store.put(tree)
    (tree / "more").write_text("x")
    doomed = store.put(tree)
    assert store.gc({kept}, dry_run=True, min_age_seconds=0) == (doomed,)
    assert store.has(doomed)
    assert store.gc({kept}, min_age_seconds=0) == (doomed,)
    assert store.digests() == (kept,)
    assert store.gc({kept}, min_age_seconds=0) == ()
    store.verify(kept)


def test_gc_keeps_what_is_young(store, tree):
    digest = store.put(tree)
    assert store.gc(set()) == ()
    manifest = store.path(digest).parent / "manifest.json"
    os.utime(manifest, (1, 1))
    store.put(tree)  # somebody wants it again: young again
    assert store.gc(set()) == ()
    os.utime(manifest, (1, 1))
    assert store.gc(set()) == (digest,)


def test_gc_waits_for_nobody(store, tree):
    store.put(tree)
    with (store.root / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        with pytest.raises(StoreBusyError):
            store.gc(set(), min_age_seconds=0)
    assert len(store.digests()) == 1
    assert len(store.gc(set(), min_age_seconds=0)) == 1


def test_gc_of_an_empty_store(store):
    assert store.gc(set()) == ()
