"""A local directory: what is read, and that a save is told at once."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.directory import DirectoryWatch, read_directory
from reconciler.gitops.tree import SourceError, UnsafePathError

WITHIN = 2.0


def test_configuration_is_read_and_the_rest_is_not(tmp_path: Path) -> None:
    for name in ("a.yaml", "b/c.yml", "b/d.json", "e.txt", ".git/x.yaml"):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(name)
    for name in ("a.yaml~", ".a.yaml.swp", "b/.hidden.yaml"):
        (tmp_path / name).write_text("x")
    tree = read_directory(str(tmp_path), ".")
    assert tree.files == {
        "a.yaml": b"a.yaml",
        "b/c.yml": b"b/c.yml",
        "b/d.json": b"b/d.json",
    }
    assert tree.revision == f"dir@sha256:{tree.digest}"
    assert read_directory(str(tmp_path), "b").files.keys() == {
        "c.yml",
        "d.json",
    }


def test_revision_depends_on_content_only(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x")
    first = read_directory(str(tmp_path), ".").revision
    os.utime(tmp_path / "a.yaml", (1, 1))
    (tmp_path / "note.txt").write_text("x")
    assert read_directory(str(tmp_path), ".").revision == first
    (tmp_path / "a.yaml").rename(tmp_path / "b.yaml")
    assert read_directory(str(tmp_path), ".").revision != first


def test_a_file_that_was_just_emptied_is_not_taken_for_empty(
    tmp_path: Path,
) -> None:
    """An editor truncates and then writes: in between nothing is pruned."""
    file = tmp_path / "a.yaml"
    file.write_text("")
    with pytest.raises(SourceError, match=r"^a\.yaml:1: was emptied"):
        read_directory(str(tmp_path), ".")
    long_ago = time.time() - 60
    os.utime(file, (long_ago, long_ago))
    assert read_directory(str(tmp_path), ".").files == {"a.yaml": b""}
    (tmp_path / "notes.txt").write_text("")  # nobody reads this one
    assert read_directory(str(tmp_path), ".").files == {"a.yaml": b""}


@pytest.mark.parametrize("name", ["x.yaml", "folder"])
def test_links_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / name).symlink_to(tmp_path)
    with pytest.raises(UnsafePathError, match=f"{name}:1: is a symbolic"):
        read_directory(str(tmp_path / "src"), ".")


def test_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "conf").symlink_to("/etc")
    with pytest.raises(UnsafePathError):
        read_directory(str(tmp_path / "src"), "conf")


def test_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(SourceError, match=r"a.yaml:1: is not a regular"):
        read_directory(str(tmp_path), ".")


@pytest.mark.parametrize(
    ("root", "folder"), [("none", "."), (".", "none"), (".", "../x")]
)
def test_what_is_not_there(tmp_path: Path, root: str, folder: str) -> None:
    with pytest.raises(SourceError):
        read_directory(str(tmp_path / root), folder)


def test_huge_file_is_cut_and_too_many_bytes_are_refused(
    tmp_path: Path,
) -> None:
    for i in range(20):
        with (tmp_path / f"{i}.yaml").open("wb") as file:
            file.truncate(50 * 1024 * 1024)
    with pytest.raises(SourceError, match="more than 64 MiB together"):
        read_directory(str(tmp_path), ".")


async def told(event: asyncio.Event) -> None:
    async with asyncio.timeout(WITHIN + 3):
        await event.wait()
    event.clear()


async def test_saves_are_told(tmp_path: Path) -> None:
    watch, event = DirectoryWatch(), asyncio.Event()
    watch.follow("repo", str(tmp_path), event.set)
    await _until_followed(tmp_path, event)
    (tmp_path / "deep").mkdir()
    await told(event)
    (tmp_path / "deep" / "a.yaml").write_text("1")
    await told(event)
    await watch.stop()


async def test_hidden_files_are_not_told(tmp_path: Path) -> None:
    watch, event = DirectoryWatch(), asyncio.Event()
    folder = tmp_path / ".hidden" / "root"
    folder.mkdir(parents=True)
    watch.follow("repo", str(folder), event.set)
    await _until_followed(folder, event)
    (folder / ".git").mkdir()
    (folder / ".git" / "index").write_text("x")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(event.wait(), 1)
    await watch.stop()


async def _until_followed(folder: Path, event: asyncio.Event) -> None:
    """Save until the watch, which starts in a thread, tells of it."""
    async with asyncio.timeout(10):
        while not event.is_set():
            (folder / "probe.yaml").write_text(os.urandom(4).hex())
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    event.clear()


async def test_replaced_directory_is_followed_anew(tmp_path: Path) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    watch, event = DirectoryWatch(), asyncio.Event()
    watch.follow("repo", str(folder), event.set)
    await _until_followed(folder, event)
    shutil.rmtree(folder)
    watch.follow("repo", str(folder), event.set)
    folder.mkdir()
    watch.follow("repo", str(folder), event.set)
    await _until_followed(folder, event)
    await watch.stop()


async def test_stop_ends_every_task() -> None:
    before = len(asyncio.all_tasks())
    watch = DirectoryWatch()
    watch.follow("a", "/tmp", lambda: None)  # noqa: S108
    watch.follow("b", "/tmp", lambda: None)  # noqa: S108
    watch.follow("a", "/tmp", lambda: None)  # noqa: S108
    assert len(asyncio.all_tasks()) == before + 2
    await watch.stop()
    assert len(asyncio.all_tasks()) == before


async def test_controller_follows_the_directory_and_enqueues(
    make_engine: Any, make_config_map: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "a.yaml").write_text(make_config_map("a", x="1"))
    engine = make_engine({"directory": {"path": str(folder)}})
    await engine.settle()
    assert engine.condition()["message"].startswith("applied dir@sha256:")
    async with asyncio.timeout(10):
        while not engine.enqueued:
            (folder / "b.yaml").write_text(make_config_map("b"))
            await asyncio.sleep(0.1)
    await engine.settle()
    assert "ConfigMap/default/b" in engine.cluster.contents()
    await engine.controller.stop()


async def test_directory_that_vanishes_keeps_what_was_applied(
    make_engine: Any, make_config_map: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "a.yaml").write_text(make_config_map("a", x="1"))
    engine = make_engine({"directory": {"path": str(folder)}})
    await engine.settle()
    folder.rename(tmp_path / "away")
    engine.cluster.objects["ConfigMap", "default", "a"]["data"] = {"x": "9"}
    await engine.settle()
    assert engine.condition()["reason"] == "ArtifactFailed"
    assert "does not exist" in engine.condition()["message"]
    found = engine.cluster.contents()
    assert found == {"ConfigMap/default/a": {"data": {"x": "1"}}}
    (tmp_path / "away").rename(folder)
    engine.wait(16)
    await engine.settle()
    assert engine.condition()["status"] == "True"
    await engine.controller.stop()
