"""Copies arrive whole, on their own inodes, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from reconciler.artifacts import (
    ArtifactError,
    CorruptArtifactError,
    copying,
    digest_of,
)
from reconciler.artifacts.copying import (
    copy_file,
    copy_tree,
    discarded_on_error,
    remove_tree,
)
from reconciler.artifacts.tree import FileEntry, scan


@pytest.fixture
def source(tmp_path):
    tree = tmp_path / "source"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "deep").write_bytes(b"deep" * 1000)
    (tree / "flat").write_bytes(b"")
    return tree


@pytest.mark.parametrize("clones", [True, False])
@pytest.mark.parametrize("read_only", [True, False])
def test_copies_are_equal_and_separate(
    source, tmp_path, monkeypatch, clones, read_only
):
    if not clones:
        monkeypatch.setattr(copying, "_clone", lambda _old, _new: False)
    target = tmp_path / "target"
    copy_tree(source, target, scan(source), read_only=read_only)
    assert digest_of(target) == digest_of(source)
    for name in ("flat", "a/b/deep"):
        old, new = (source / name).stat(), (target / name).stat()
        assert old.st_ino != new.st_ino
        assert new.st_nlink == 1
        assert bool(new.st_mode & 0o200) is not read_only
    assert bool((target / "a").stat().st_mode & 0o200) is not read_only
    (source / "flat").write_bytes(b"changed")
    assert (target / "flat").read_bytes() == b""


def test_only_what_was_scanned_is_copied(source, tmp_path):
    entries = scan(source)
    (source / "later").write_text("x")
    copy_tree(source, tmp_path / "target", entries, read_only=False)
    assert not (tmp_path / "target" / "later").exists()


def test_a_file_that_changed_since_the_scan_is_noticed(source, tmp_path):
    entries = scan(source)
    (source / "flat").write_text("x")
    with pytest.raises(CorruptArtifactError, match="changed"):
        copy_tree(source, tmp_path / "target", entries, read_only=True)


def test_a_file_that_vanished_since_the_scan_is_noticed(source, tmp_path):
    entries = scan(source)
    (source / "flat").unlink()
    with pytest.raises(ArtifactError, match="failed"):
        copy_tree(source, tmp_path / "target", entries, read_only=True)


def test_a_disk_that_lies_is_noticed(source, tmp_path, monkeypatch):
    def rot(old, new, _size):
        new.write(old.read()[:-1] + b"?")

    monkeypatch.setattr(copying, "_clone", lambda _old, _new: False)
    monkeypatch.setattr(copying.shutil, "copyfileobj", rot)
    with pytest.raises(CorruptArtifactError, match="damaged"):
        copy_tree(source, tmp_path / "target", scan(source), read_only=True)


def test_an_existing_target_is_not_overwritten(source, tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "mine").write_text("precious")
    with pytest.raises(ArtifactError, match="exists"):
        copy_tree(source, tmp_path / "target", scan(source), read_only=True)
    assert (tmp_path / "target" / "mine").read_text() == "precious"


def test_a_link_put_in_place_of_a_file_is_not_followed(source, tmp_path):
    entries = scan(source)
    (source / "flat").unlink()
    (source / "flat").symlink_to("/etc/passwd")
    with pytest.raises(ArtifactError):
        copy_tree(source, tmp_path / "target", entries, read_only=True)
    assert not (tmp_path / "target" / "flat").exists()


def test_a_single_file_is_never_overwritten(source, tmp_path):
    (tmp_path / "there").write_text("precious")
    with pytest.raises(FileExistsError):
        copy_file(source / "flat", tmp_path / "there")
    assert (tmp_path / "there").read_text() == "precious"


def test_everything_is_synced_before_it_counts(source, tmp_path, monkeypatch):
    synced = set()
    real = os.fsync

    def spy(handle):
        synced.add(str(Path(f"/proc/self/fd/{handle}").readlink()))
        real(handle)

    monkeypatch.setattr(copying.os, "fsync", spy)
    target = tmp_path / "target"
    copy_tree(source, target, scan(source), read_only=True)
    names = ("", "a", "a/b", "a/b/deep", "flat")
    assert synced == {str(target / name) for name in names}


def test_read_only_trees_can_be_removed(source, tmp_path):
    target = tmp_path / "target"
    copy_tree(source, target, scan(source), read_only=True)
    remove_tree(target)
    assert not target.exists()
    remove_tree(target)  # a second time is fine


def test_unfinished_trees_go_and_the_error_stays(source):
    with (
        pytest.raises(OSError, match="full") as caught,
        discarded_on_error(source),
    ):
        raise OSError(errno.ENOSPC, "full")
    assert caught.value.errno == errno.ENOSPC
    assert not source.exists()


def test_finished_trees_stay(source):
    with discarded_on_error(source) as tree:
        assert tree == source
    assert source.exists()


def test_entries_sort_by_path():
    entries = [FileEntry("b", 1, "x"), FileEntry("a", 2, "y")]
    assert [entry.path for entry in sorted(entries)] == ["a", "b"]
