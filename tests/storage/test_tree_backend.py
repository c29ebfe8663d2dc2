"""Generations, the pointer, holds and retention."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from reconciler.artifacts import digest_of
from reconciler.storage.errors import (
    CorruptGenerationError,
    GenerationConflictError,
    InvalidNameError,
    MissingGenerationError,
    StorageError,
)
from reconciler.storage.tree import TreeBackend


def fill(backend, source, *names):
    for name in names:
        top, digest = source(name)
        backend.commit("docs", name, top, digest)


def test_commit_copies_a_directory_and_keeps_its_digest(backend, source):
    top, digest = source("g1", a__b="x", c="y" * 5000)
    stored = backend.commit("docs", "g1", top, digest)
    assert (stored.name, stored.digest, stored.bytes) == ("g1", digest, 5001)
    assert digest_of(backend.path("docs", "g1")) == digest
    backend.verify("docs", "g1")


def test_a_generation_does_not_share_inodes_with_its_source(backend, source):
    top, digest = source("g1")
    backend.commit("docs", "g1", top, digest)
    (top / "model.bin").write_text("changed")
    backend.verify("docs", "g1")


def test_files_and_directories_are_read_only(backend, source):
    top, digest = source("g1", a__b="x")
    backend.commit("docs", "g1", top, digest)
    tree = backend.path("docs", "g1")
    modes = {
        stat.S_IMODE(path.stat().st_mode)
        for path in [tree, tree / "a", tree / "a" / "b"]
    }
    assert modes == {0o555, 0o444}


def test_equal_files_are_stored_once(backend, source):
    for name in ("g1", "g2"):
        top, digest = source(name, weights="w" * 10_000, note=name)
        backend.commit("docs", name, top, digest)
    assert backend.objects.total_bytes() == 10_004


def test_committing_again_changes_nothing(backend, source):
    top, digest = source("g1")
    first = backend.commit("docs", "g1", top, digest)
    inode = backend.path("docs", "g1").stat().st_ino
    assert backend.commit("docs", "g1", top, digest) == first
    assert backend.path("docs", "g1").stat().st_ino == inode


def test_a_name_is_never_given_to_other_content(backend, source):
    fill(backend, source, "g1")
    top, digest = source("g2")
    with pytest.raises(GenerationConflictError, match="docs/g1 exists"):
        backend.commit("docs", "g1", top, digest)
    backend.verify("docs", "g1")


def test_a_source_that_is_not_its_digest_is_refused(backend, source):
    top, _ = source("g1")
    _, other = source("g2")
    with pytest.raises(CorruptGenerationError):
        backend.commit("docs", "g1", top, other)
    assert backend.generations("docs") == ()


def test_activation_moves_back_and_forth(backend, source):
    fill(backend, source, "g1", "g2")
    assert backend.current("docs") is None
    for name in ("g1", "g2", "g1", "g2"):
        backend.activate("docs", name)
        assert backend.current("docs") == name
        current = backend.root / "datasets/docs/current"
        assert (current / "model.bin").read_text() == name


def test_readers_see_one_of_both_generations_at_any_time(backend, source):
    fill(backend, source, "g1", "g2")
    backend.activate("docs", "g1")
    current = backend.root / "datasets/docs/current/model.bin"
    seen: set[str] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(current.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(100):
        backend.activate("docs", f"g{1 + turn % 2}")
    done.set()
    reader.join()
    assert seen <= {"g1", "g2"}


def test_activating_the_current_one_writes_nothing(backend, source):
    fill(backend, source, "g1")
    backend.activate("docs", "g1")
    before = (backend.root / "datasets/docs/current").lstat().st_ino
    backend.activate("docs", "g1")
    assert (backend.root / "datasets/docs/current").lstat().st_ino == before


def test_only_what_exists_can_be_activated(backend, source):
    fill(backend, source, "g1")
    backend.activate("docs", "g1")
    with pytest.raises(MissingGenerationError):
        backend.activate("docs", "g9")
    assert backend.current("docs") == "g1"


def test_generations_are_in_order_of_commit_not_of_name(backend, source):
    fill(backend, source, "g10", "g9", "g2")
    names = [g.name for g in backend.generations("docs")]
    assert names == ["g10", "g9", "g2"]


def test_prune_keeps_the_newest_the_current_and_the_held(backend, source):
    fill(backend, source, "g1", "g2", "g3", "g4", "g5")
    backend.activate("docs", "g1")
    backend.hold("docs", "g2", "promotion")
    assert backend.prune("docs", keep_last=1) == ("g3", "g4")
    assert [g.name for g in backend.generations("docs")] == ["g1", "g2", "g5"]
    assert backend.prune("docs", keep_last=1) == ()


def test_prune_gives_the_room_back(backend, source):
    fill(backend, source, "g1", "g2")
    backend.prune("docs", keep_last=1)
    assert backend.objects.total_bytes() == 2
    assert not (backend.root / "datasets/docs/generations/g1").exists()


def test_objects_of_other_datasets_survive_a_prune(backend, source):
    top, digest = source("g1")
    backend.commit("other", "g1", top, digest)
    fill(backend, source, "g1", "g2")
    backend.prune("docs", keep_last=1)
    backend.verify("other", "g1")


def test_a_released_hold_no_longer_protects(backend, source):
    fill(backend, source, "g1", "g2")
    backend.hold("docs", "g1", "a")
    backend.hold("docs", "g1", "b")
    backend.hold("docs", "g1", "b")
    assert backend.holds("docs", "g1") == ("a", "b")
    backend.release("docs", "g1", "a")
    assert backend.prune("docs", keep_last=1) == ()
    backend.release("docs", "g1", "b")
    backend.release("docs", "g1", "b")
    assert backend.prune("docs", keep_last=1) == ("g1",)


def test_only_what_exists_can_be_held(backend):
    backend.ensure("docs")
    with pytest.raises(MissingGenerationError):
        backend.hold("docs", "g1", "promotion")


def test_verify_names_what_changed(backend, source):
    top, digest = source("g1", a="a", b="b", c="c")
    backend.commit("docs", "g1", top, digest)
    tree = backend.path("docs", "g1")
    tree.chmod(0o755)
    (tree / "a").unlink()
    (tree / "b").chmod(0o644)
    (tree / "b").write_text("B")
    (tree / "d").symlink_to("c")
    with pytest.raises(CorruptGenerationError) as caught:
        backend.verify("docs", "g1")
    for part in ("a is missing", "b changed", "d is extra"):
        assert part in str(caught.value)


def test_a_lost_tree_is_built_again_from_its_objects(backend, source, lose):
    fill(backend, source, "g1")
    lose(backend.path("docs", "g1"))
    backend.repair("docs", "g1")
    backend.verify("docs", "g1")


def test_a_lost_tree_with_damaged_objects_is_not_invented(
    backend, source, lose
):
    fill(backend, source, "g1")
    lose(backend.path("docs", "g1"))
    for path in backend.objects.root.glob("??/*"):
        path.chmod(0o644)
        path.write_text("garbage")
    with pytest.raises(CorruptGenerationError, match=r"model\.bin"):
        backend.repair("docs", "g1")
    assert not backend.path("docs", "g1").exists()


def test_a_damaged_object_is_replaced_by_the_next_commit(backend, source):
    fill(backend, source, "g1")
    path = next(backend.objects.root.glob("??/*"))
    path.unlink()
    path.write_text("x")
    top, digest = source("g2", model="g1", other="o")
    backend.commit("docs", "g2", top, digest)
    backend.verify("docs", "g2")


def test_a_damaged_manifest_stops_retention(backend, source):
    fill(backend, source, "g1", "g2", "g3")
    (backend.root / "datasets/docs/manifests/g3.json").write_text("{")
    with pytest.raises(CorruptGenerationError, match=r"g3\.json is damaged"):
        backend.prune("docs", keep_last=1)
    backend.verify("docs", "g1")


def test_a_manifest_cannot_lead_out_of_its_tree(backend, source, lose):
    fill(backend, source, "g1")
    manifest = backend.root / "datasets/docs/manifests/g1.json"
    lose(backend.path("docs", "g1"))
    text = manifest.read_text().replace("model.bin", "../../../escape")
    manifest.write_text(text)
    with pytest.raises(InvalidNameError, match="escape"):
        backend.repair("docs", "g1")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "-rf", "A", "x\n", ".hidden", "a..b"],
)
def test_names_that_could_lead_elsewhere_are_refused(backend, source, name):
    top, digest = source("g1")
    backend.commit("docs", "g1", top, digest)
    for attempt in (
        lambda: backend.commit("docs", name, top, digest),
        lambda: backend.commit(name, "g1", top, digest),
        lambda: backend.hold("docs", "g1", name),
        lambda: backend.activate("docs", name),
        lambda: backend.current(name),
    ):
        with pytest.raises(InvalidNameError):
            attempt()


def test_links_and_odd_files_are_refused(backend, source):
    top, digest = source("g1")
    (top / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(StorageError, match="link"):
        backend.commit("docs", "g1", top, digest)
    (top / "passwd").unlink()
    (top / "bad\nname").write_text("x")
    with pytest.raises(InvalidNameError):
        backend.commit("docs", "g1", top, digest_of(top))
    assert backend.generations("docs") == ()
    assert backend.objects.total_bytes() == 0


def test_a_pointer_that_is_no_pointer_of_ours_is_no_current(backend):
    backend.ensure("docs")
    (backend.root / "datasets/docs/current").symlink_to("/etc")
    assert backend.current("docs") is None


def test_a_second_writer_gives_up_after_its_timeout(backend):
    other = TreeBackend(backend.root, lock_timeout_seconds=0.05)
    with backend.locked(), pytest.raises(StorageError, match="locked"):
        other.ensure("docs")
    other.ensure("docs")


def test_many_writers_at_once_end_as_if_one_after_the_other(backend, source):
    made = [source(f"g{n}") for n in range(6)]
    failures: list[Exception] = []

    def write(n: int, top: Path, digest: str) -> None:
        try:
            own = TreeBackend(backend.root)
            own.commit("docs", f"g{n}", top, digest)
            own.hold("docs", f"g{n}", "t")
            own.prune("docs", 1)
        except Exception as error:
            failures.append(error)
            raise

    threads = [
        threading.Thread(target=write, args=(n, *pair))
        for n, pair in enumerate([*made, *made])
        if n < len(made)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    survivors = {g.name for g in backend.generations("docs")}
    for name in survivors:
        backend.verify("docs", name)
    assert survivors == {g.name for g in backend.generations("docs")}
    sequences = [m.sequence for m in backend.manifests("docs")]
    assert len(set(sequences)) == len(sequences)
