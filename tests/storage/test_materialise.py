"""Reflinks, hard links and copies give equal trees."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.storage import materialise
from reconciler.storage.materialise import place, probe
from reconciler.storage.tree import TreeBackend


def test_the_probe_leaves_nothing_and_says_what_worked(tmp_path):
    how = probe(tmp_path)
    assert how in {"Reflink", "Hardlink", "Copy"}
    assert list(tmp_path.iterdir()) == []
    source = tmp_path / "a"
    source.write_bytes(b"data")
    place(source, tmp_path / "b", how)
    assert (tmp_path / "b").read_bytes() == b"data"
    shared = source.stat().st_ino == (tmp_path / "b").stat().st_ino
    assert shared == (how == "Hardlink")


def test_without_links_of_any_kind_files_are_copied(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no")

    monkeypatch.setattr(materialise.fcntl, "ioctl", refuse)
    monkeypatch.setattr(materialise.os, "link", refuse)
    assert probe(tmp_path) == "Copy"


def test_a_full_disk_is_not_mistaken_for_a_lack_of_links(
    tmp_path, monkeypatch
):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(materialise.os, "link", full)
    monkeypatch.setattr(materialise, "_clone", full)
    with pytest.raises(OSError, match="full"):
        probe(tmp_path)


def test_too_many_links_fall_back_to_a_copy(tmp_path, monkeypatch):
    def many(*_: object, **__: object) -> None:
        raise OSError(errno.EMLINK, "many")

    monkeypatch.setattr(materialise.os, "link", many)
    source = tmp_path / "a"
    source.write_bytes(b"data")
    place(source, tmp_path / "b", "Hardlink")
    assert (tmp_path / "b").read_bytes() == b"data"
    assert (tmp_path / "b").stat().st_ino != source.stat().st_ino


@pytest.mark.parametrize("how", ["Hardlink", "Copy"])
def test_each_way_passes_verification(backend, source, how):
    backend.__dict__["materialisation"] = how
    backend.commit("docs", "g1", *source("g1", a__b="x", c="y"))
    backend.verify("docs", "g1")
    tree = backend.path("docs", "g1")
    assert ((tree / "c").stat().st_nlink > 1) == (how == "Hardlink")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["btrfs", "xfs"])
def test_reflinks_on_a_file_system_that_has_them(tmp_path, source, kind):
    maker = shutil.which(f"mkfs.{kind}")
    if maker is None or os.geteuid() != 0:
        pytest.skip(f"needs mkfs.{kind} and root")
    image, where = tmp_path / "image", tmp_path / "mounted"
    where.mkdir()
    with image.open("wb") as file:
        file.truncate(400 << 20)
    subprocess.run([maker, "-q", str(image)], check=True)
    mount = ["mount", "-o", "loop", str(image), str(where)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("no right to mount")
    try:
        backend = TreeBackend(Path(where) / "root")
        assert backend.materialisation == "Reflink"
        backend.commit("docs", "g1", *source("g1", a="x" * 100_000))
        backend.verify("docs", "g1")
        assert (backend.path("docs", "g1") / "a").stat().st_nlink == 1
    finally:
        subprocess.run(["umount", str(where)], check=True)
