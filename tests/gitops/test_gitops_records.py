"""What is kept on disk between lives, and what damage does to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.gitops.records import Records
from reconciler.gitops.tree import (
    MAX_FILES,
    Limits,
    SourceError,
    Tree,
    clean_folder,
    digest_files,
    is_configuration,
)

FIRST = Tree("main@sha1:1", {"a.yaml": b"x: \xc3\xbc\n", "b/c.yaml": b""})
SECOND = Tree("main@sha1:2", {"a.yaml": b"y"})
THIRD = Tree("main@sha1:3", {"a.yaml": b"z"})
MAIN, PROPOSALS = "refs/heads/main", "refs/heads/proposals"


def test_a_revision_reads_back(tmp_path: Path) -> None:
    Records(tmp_path / "r", "u").save(FIRST, [])
    found = Records(tmp_path / "r", "u").load("main@sha1:1")
    assert found == FIRST
    assert found is not None
    assert found.digest == FIRST.digest


def test_only_the_newest_and_the_asked_for_are_kept(tmp_path: Path) -> None:
    records = Records(tmp_path, "u")
    records.save(FIRST, [None])
    records.save(SECOND, ["main@sha1:1"])
    records.save(THIRD, ["main@sha1:1"])
    assert records.load("main@sha1:1") == FIRST
    assert records.load("main@sha1:2") is None
    assert records.load("main@sha1:3") == THIRD


def test_another_folder_of_a_revision_replaces_what_was_kept(
    tmp_path: Path,
) -> None:
    other = Tree(FIRST.revision, {"c.yaml": b"z"})
    records = Records(tmp_path, "u")
    records.save(FIRST, [])
    records.save(other, [])
    assert records.load(FIRST.revision) == other
    Records(tmp_path, "u").save(FIRST, [])
    assert records.load(FIRST.revision) == FIRST


def test_what_was_kept_already_is_not_written_again(tmp_path: Path) -> None:
    Records(tmp_path, "u").save(FIRST, [])
    (kept,) = tmp_path.rglob("*.json")
    before = kept.stat().st_ino
    Records(tmp_path, "u").save(FIRST, [])
    assert kept.stat().st_ino == before


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b"null"])
def test_damaged_files_count_as_absent(tmp_path: Path, damage: bytes) -> None:
    records = Records(tmp_path, "u")
    records.save(FIRST, [])
    records.add_promotion("a/b/c", "sha", MAIN)
    for found in tmp_path.rglob("*.json"):
        found.write_bytes(damage)
    again = Records(tmp_path, "u")
    assert again.load("main@sha1:1") is None
    assert again.promotions == {}
    again.add_promotion("a/b/c", "sha", MAIN)
    assert Records(tmp_path, "u").promotions == {"a/b/c": "sha"}


def test_promotions_keep_their_order(tmp_path: Path) -> None:
    records = Records(tmp_path, "u")
    for name in ("z", "a", "m"):
        records.add_promotion(name, f"sha-{name}", MAIN)
    assert list(Records(tmp_path, "u").promotions) == ["z", "a", "m"]


def test_it_is_known_to_which_branch_a_promotion_went(tmp_path: Path) -> None:
    records = Records(tmp_path, "u")
    records.add_promotion("a/b/c", "sha-1", PROPOSALS)
    assert records.pushed_to("a/b/c", PROPOSALS)
    assert not records.pushed_to("a/b/c", MAIN)
    assert not records.pushed_to("a/b/d", PROPOSALS)
    records.add_promotion("a/b/c", "sha-2", MAIN)
    again = Records(tmp_path, "u")
    assert again.pushed_to("a/b/c", MAIN)
    assert again.promotions == {"a/b/c": "sha-2"}


def test_records_that_name_no_branch_are_of_the_followed_one(
    tmp_path: Path,
) -> None:
    content = '{"uid": "u", "commits": {"a/b/c": "sha"}}'
    (tmp_path / "promotions.json").write_text(content)
    assert Records(tmp_path, "u").pushed_to("a/b/c", MAIN)


def test_repository_made_anew_starts_without_promotions(
    tmp_path: Path,
) -> None:
    Records(tmp_path, "old").add_promotion("a/b/c", "sha", MAIN)
    assert Records(tmp_path, "new").promotions == {}


def test_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: Any
) -> None:
    records = Records(tmp_path, "u")
    records.add_promotion("a/b/c", "sha", MAIN)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SourceError, match="No space left"):
        records.add_promotion("a/b/d", "sha", MAIN)
    monkeypatch.undo()
    assert Records(tmp_path, "u").promotions == {"a/b/c": "sha"}
    assert [p.name for p in tmp_path.iterdir()] == ["promotions.json"]


files = st.dictionaries(
    st.text("ab/.", min_size=1, max_size=6), st.binary(max_size=6), max_size=4
)


@given(files, files)
def test_digest_tells_trees_apart(
    one: dict[str, bytes], two: dict[str, bytes]
) -> None:
    assert (digest_files(one) == digest_files(two)) == (one == two)


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("a.yaml", True),
        ("a/b.yml", True),
        ("a.json", True),
        ("a.yaml.bak", False),
        ("yaml", False),
        (".a.yaml", False),
        (".git/a.yaml", False),
        ("a/.b/c.yaml", False),
    ],
)
def test_which_files_are_read(path: str, read: bool) -> None:
    assert is_configuration(path) is read


@pytest.mark.parametrize(
    ("path", "clean"), [(".", ""), ("./a/", "a"), ("a/./b", "a/b"), ("", "")]
)
def test_folders_are_cleaned(path: str, clean: str) -> None:
    assert clean_folder(path) == clean


def test_too_many_files_are_refused() -> None:
    limits = Limits(files=MAX_FILES)
    with pytest.raises(SourceError, match="more than 10000 files"):
        limits.add("one-more.yaml", 1)
