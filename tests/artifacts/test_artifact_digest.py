"""The digest depends on names and bytes, and on nothing else."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.artifacts import ArtifactError, InvalidTreeError, digest_of
from reconciler.artifacts.tree import Limits, hex_of, scan

NAMES = st.text("abcé .-", min_size=1, max_size=6).filter(
    lambda name: name not in {".", ".."}
)
TREES = st.dictionaries(NAMES, st.binary(max_size=64), min_size=1, max_size=6)


def write(root: Path, files: dict[str, bytes]) -> Path:
    root.mkdir(parents=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@settings(max_examples=40)
@given(files=TREES, data=st.data())
def test_time_mode_and_order_do_not_matter(tmp_path_factory, files, data):
    base = tmp_path_factory.mktemp("trees")
    order = data.draw(st.permutations(sorted(files)))
    first = write(base / "a", files)
    second = write(base / "b", {name: files[name] for name in order})
    for name in order:
        os.utime(second / name, (1, 1))
        (second / name).chmod(0o755)
    (second / "empty").mkdir()
    assert digest_of(first) == digest_of(second)


@settings(max_examples=40)
@given(one=TREES, other=TREES)
def test_different_content_has_a_different_digest(
    tmp_path_factory, one, other
):
    base = tmp_path_factory.mktemp("trees")
    same = digest_of(write(base / "a", one)) == digest_of(
        write(base / "b", other)
    )
    assert same == (one == other)


def test_where_a_file_is_matters(tmp_path):
    flat = write(tmp_path / "a", {"x": b"1", "y": b"2"})
    deep = write(tmp_path / "b", {"x": b"1", "d/y": b"2"})
    swapped = write(tmp_path / "c", {"x": b"2", "y": b"1"})
    assert len({digest_of(flat), digest_of(deep), digest_of(swapped)}) == 3


def test_the_digest_is_the_documented_one(tmp_path):
    """Stored digests must stay readable: this value must never change."""
    tree = write(tmp_path / "a", {"b/c": b"hello", "a": b""})
    assert digest_of(tree) == (
        "sha256:"
        "e62aca45b812f5f5ed029de9065a1178fb0106d4f5949ea29e5cc0a81abe020a"
    )


def test_entries_are_measured(tmp_path):
    tree = write(tmp_path / "a", {"big": b"x" * 3_000_000})
    (entry,) = scan(tree)
    assert (entry.path, entry.size) == ("big", 3_000_000)


def test_links_are_refused(tmp_path):
    tree = write(tmp_path / "a", {"x": b"1"})
    (tree / "link").symlink_to("x")
    with pytest.raises(InvalidTreeError, match="link"):
        digest_of(tree)


def test_links_to_directories_are_refused(tmp_path):
    tree = write(tmp_path / "a", {"x": b"1"})
    (tree / "link").symlink_to(tmp_path)
    with pytest.raises(InvalidTreeError, match="link"):
        digest_of(tree)


def test_fifos_are_refused_without_reading_them(tmp_path):
    tree = write(tmp_path / "a", {"x": b"1"})
    os.mkfifo(tree / "fifo")
    with pytest.raises(InvalidTreeError, match="fifo"):
        digest_of(tree)


def test_sockets_are_refused(tmp_path, monkeypatch):
    tree = write(tmp_path / "a", {"x": b"1"})
    monkeypatch.chdir(tree)  # socket paths are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(InvalidTreeError, match="socket"):
            digest_of(tree)


def test_names_must_be_utf8(tmp_path):
    tree = write(tmp_path / "a", {"x": b"1"})
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff")).write_bytes(b"")
    with pytest.raises(InvalidTreeError, match="UTF-8"):
        digest_of(tree)


def test_an_empty_directory_is_no_artifact(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(InvalidTreeError, match="no files"):
        digest_of(tmp_path / "a")


def test_a_file_is_no_artifact(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    with pytest.raises(InvalidTreeError, match="not a directory"):
        digest_of(tmp_path / "a")


def test_a_missing_directory_is_an_error(tmp_path):
    with pytest.raises(ArtifactError, match="cannot be read"):
        digest_of(tmp_path / "a")


@pytest.mark.parametrize("limits", [Limits(files=1), Limits(total_bytes=3)])
def test_what_is_too_large_is_refused(tmp_path, limits):
    tree = write(tmp_path / "a", {"x": b"12", "y": b"34"})
    with pytest.raises(InvalidTreeError, match="larger"):
        digest_of(tree, limits)
    assert digest_of(tree, Limits(files=2, total_bytes=4)).startswith("sha256")


def test_an_unreadable_file_is_an_error(tmp_path, monkeypatch):
    tree = write(tmp_path / "a", {"x": b"1"})

    def refuse(path, *_args):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("reconciler.artifacts.tree.os.open", refuse)
    with pytest.raises(ArtifactError, match="Permission denied"):
        digest_of(tree)


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256:",
        "sha256:../../etc",
        "md5:" + "a" * 64,
        "sha256:" + "A" * 64,
        "sha256:" + "a" * 64 + "\n",
        "sha256:" + "a" * 65,
    ],
)
def test_only_whole_digests_are_accepted(digest):
    with pytest.raises(InvalidTreeError):
        hex_of(digest)
