"""What may go, and what goes, of artifacts that nobody names."""

from __future__ import annotations

import fcntl
import json
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.artifacts import ArtifactStore, StoreBusyError
from reconciler.artifacts.retention import judge, named_in
from reconciler.artifacts.upkeep import LEDGER, tidy

KEEP = 100.0
NAMES = st.sets(st.sampled_from("abcdef"))


def test_digests_are_found_wherever_they_are_mentioned() -> None:
    one, two = "sha256:" + "a" * 64, "sha256:" + "0" * 64
    text = json.dumps({"status": {"x": [one, f"of {two}, tested"]}})
    assert named_in(text) == {one, two}
    assert named_in("sha256:" + "a" * 63) == frozenset()


def test_the_time_counts_from_when_the_name_was_gone() -> None:
    first = judge({"a", "b"}, {"b"}, {}, 1000.0, KEEP)
    assert (first.unnamed, first.due) == ({"a": 1000.0}, frozenset())
    second = judge({"a", "b"}, {"b"}, first.unnamed, 1099.0, KEEP)
    assert (second.unnamed, second.due) == (first.unnamed, frozenset())
    third = judge({"a", "b"}, {"b"}, second.unnamed, 1100.0, KEEP)
    assert third.due == {"a"}


def test_a_name_that_comes_back_starts_the_time_over() -> None:
    again = judge({"a", "b"}, {"a", "b"}, {"a": 1000.0}, 1099.0, KEEP)
    assert again.unnamed == {}
    lost = judge({"a", "b"}, {"b"}, again.unnamed, 1150.0, KEEP)
    assert lost.due == frozenset()


def test_a_clock_that_ran_ahead_does_not_keep_anything_for_ever() -> None:
    verdict = judge({"a", "b"}, {"b"}, {"a": 9e9}, 1000.0, KEEP)
    assert verdict.unnamed == {"a": 1000.0}


@given(
    NAMES,
    NAMES,
    st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 2000)),
)
def test_nothing_that_is_named_ever_goes(stored, named, before) -> None:
    verdict = judge(stored, named, before, 1000.0, KEEP)
    assert verdict.due <= stored - named
    assert verdict.due <= set(verdict.unnamed)
    assert set(verdict.unnamed) <= stored - named
    if not named:
        assert verdict.due == frozenset()


@pytest.fixture
def store(tmp_path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def put(store, tmp_path, name) -> str:
    """Store something, long ago."""
    source = tmp_path / name
    source.mkdir()
    (source / "file").write_text(name)
    digest = store.put(source)
    manifest = store.path(digest).parent / "manifest.json"
    os.utime(manifest, (1.0, 1.0))
    return digest


def test_what_nobody_names_goes_after_its_time(store, tmp_path) -> None:
    kept, gone = put(store, tmp_path, "kept"), put(store, tmp_path, "gone")
    abandoned = store.root / "staging" / "abandoned"
    abandoned.mkdir(parents=True)
    now = time.time()
    assert tidy(store, {kept}, now, KEEP) == ()
    assert not abandoned.exists()
    assert json.loads((store.root / LEDGER).read_text()) == {gone: now}
    assert tidy(store, {kept}, now + KEEP - 1, KEEP) == ()
    assert tidy(store, {kept}, now + KEEP, KEEP) == (gone,)
    assert store.digests() == (kept,)
    assert tidy(store, {kept}, now + KEEP, KEEP) == ()
    assert json.loads((store.root / LEDGER).read_text()) == {}


def test_a_steady_store_is_not_written_to(store, tmp_path) -> None:
    kept = put(store, tmp_path, "kept")
    tidy(store, {kept}, 1000.0, KEEP)
    assert not (store.root / LEDGER).exists()


def test_what_is_stored_again_stays(store, tmp_path) -> None:
    """The same content, for a new object that has not told of it yet."""
    kept, back = put(store, tmp_path, "kept"), put(store, tmp_path, "back")
    tidy(store, {kept}, 1000.0, KEEP)
    store.put(tmp_path / "back")
    assert tidy(store, {kept}, 1000.0 + KEEP, KEEP) == ()
    assert store.has(back)


def test_nothing_goes_where_nothing_is_named(store, tmp_path) -> None:
    lost = put(store, tmp_path, "lost")
    for later in (0.0, KEEP, 100 * KEEP):
        assert tidy(store, frozenset(), 1000.0 + later, KEEP) == ()
    assert store.has(lost)


def test_a_damaged_ledger_keeps_for_longer(store, tmp_path) -> None:
    kept, other = put(store, tmp_path, "kept"), put(store, tmp_path, "other")
    for text in ("{", "[]", '{"a": "b"}', '{"a": null}'):
        (store.root / LEDGER).write_text(text)
        assert tidy(store, {kept}, 1e12, KEEP) == ()
        assert store.has(other)


def test_a_store_in_use_is_left_alone(store, tmp_path) -> None:
    kept, gone = put(store, tmp_path, "kept"), put(store, tmp_path, "gone")
    tidy(store, {kept}, 1000.0, KEEP)
    with (store.root / "lock").open("a") as user:
        fcntl.flock(user, fcntl.LOCK_SH)
        with pytest.raises(StoreBusyError):
            tidy(store, {kept}, 1000.0 + KEEP, KEEP)
    assert store.has(gone)


def test_a_store_that_was_never_used_is_not_created(store) -> None:
    assert tidy(store, {"sha256:x"}, 1000.0, KEEP) == ()
    assert not store.root.exists()
