"""Objects, manifests, names, the lock and the owner's mark."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.artifacts.tree import FileEntry
from reconciler.storage.errors import (
    CorruptGenerationError,
    ForeignDirectoryError,
    HeldError,
    InvalidNameError,
    StorageError,
)
from reconciler.storage.integrity import fingerprint, problems
from reconciler.storage.locking import locked
from reconciler.storage.manifest import File, Manifest, read_manifest
from reconciler.storage.names import check_paths, checked_name
from reconciler.storage.objects import ObjectStore
from reconciler.storage.ownership import claim, destroy, owner_of
from reconciler.storage.paths import DatasetPaths, make_folder
from reconciler.storage.tree import TreeBackend


def entry(content: bytes, path: str = "f") -> FileEntry:
    return FileEntry(path, len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture
def objects(tmp_path):
    return ObjectStore(tmp_path / "objects")


def put(objects, tmp_path, content: bytes):
    source = tmp_path / "source"
    source.write_bytes(content)
    return objects.add(source, entry(content))


def test_an_object_is_read_only_and_named_by_its_hash(objects, tmp_path):
    path = put(objects, tmp_path, b"data")
    assert path.name == hashlib.sha256(b"data").hexdigest()
    assert path.stat().st_mode & 0o777 == 0o444
    assert objects.intact(entry(b"data"))


def test_adding_again_does_not_write(objects, tmp_path):
    first = put(objects, tmp_path, b"data").stat()
    second = put(objects, tmp_path, b"data").stat()
    assert (first.st_ino, first.st_mtime_ns) == (
        second.st_ino,
        second.st_mtime_ns,
    )


def test_a_file_that_changed_since_it_was_hashed_is_refused(objects, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"new!")
    with pytest.raises(CorruptGenerationError):
        objects.add(source, entry(b"data"))
    assert objects.total_bytes() == 0
    assert list((objects.root / "staging").iterdir()) == []


def test_a_link_put_in_place_of_a_file_is_not_followed(objects, tmp_path):
    (tmp_path / "secret").write_bytes(b"data")
    source = tmp_path / "source"
    source.symlink_to("secret")
    with pytest.raises(OSError, match="symbolic"):
        objects.add(source, entry(b"data"))


def test_sweeping_removes_what_nobody_names(objects, tmp_path):
    put(objects, tmp_path, b"keep")
    put(objects, tmp_path, b"drop")
    (objects.root / "staging" / "half").write_bytes(b"x")
    assert objects.sweep({entry(b"keep").sha256}) == 1
    assert objects.total_bytes() == 4
    assert not (objects.root / "staging").exists()


def manifest(*files: bytes) -> Manifest:
    entries = [entry(data, f"f{n}") for n, data in enumerate(files)]
    return Manifest(
        name="g1",
        digest="sha256:" + "0" * 64,
        sequence=1,
        created_at="2026-11-25T02:00:00Z",
        files=tuple(
            File(path=e.path, size=e.size, sha256=e.sha256) for e in entries
        ),
    )


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    written = manifest(b"a", b"bc")
    written.write(tmp_path / "m.json")
    assert read_manifest(tmp_path / "m.json") == written
    assert written.total_bytes == 3
    assert written.stored(held=True).held
    assert read_manifest(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.update(sequence=0),
        lambda data: data.pop("digest"),
        lambda data: data.update(more=1),
        lambda data: data["files"][0].update(sha256="../../etc/passwd"),
        lambda data: data["files"][0].update(size=-1),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path, damage):
    data = json.loads(manifest(b"a").to_json())
    damage(data)
    (tmp_path / "m.json").write_text(json.dumps(data))
    with pytest.raises(CorruptGenerationError, match="damaged"):
        read_manifest(tmp_path / "m.json")


@given(st.binary(max_size=200))
def test_garbage_is_never_a_manifest(tmp_path_factory, garbage):
    path = tmp_path_factory.mktemp("m") / "m.json"
    path.write_bytes(garbage)
    with pytest.raises(CorruptGenerationError):
        read_manifest(path)


def grown(tmp_path, *files: bytes):
    tree = tmp_path / "tree"
    tree.mkdir()
    for number, data in enumerate(files):
        (tree / f"f{number}").write_bytes(data)
    return tree


def test_an_intact_tree_has_no_problems(tmp_path):
    tree = grown(tmp_path, b"a", b"b")
    assert problems(tree, manifest(b"a", b"b")) == ()


def test_a_link_to_the_right_bytes_is_a_change(tmp_path):
    tree = grown(tmp_path, b"a")
    (tmp_path / "elsewhere").write_bytes(b"a")
    (tree / "f0").unlink()
    (tree / "f0").symlink_to("../elsewhere")
    assert problems(tree, manifest(b"a")) == ("f0 changed",)


def test_a_linked_folder_is_extra(tmp_path):
    tree = grown(tmp_path, b"a")
    (tree / "more").symlink_to("/etc")
    assert problems(tree, manifest(b"a")) == ("more is extra",)


def test_a_link_in_place_of_the_tree_is_a_missing_tree(tmp_path):
    tree = grown(tmp_path, b"a")
    (tmp_path / "link").symlink_to("tree")
    found = problems(tmp_path / "link", manifest(b"a"))
    assert found == ("the directory is missing",)
    assert problems(tree, manifest(b"a")) == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "f0").write_bytes(b"longer"),
        lambda tree: os.utime(tree / "f0", ns=(1, 1)),
        lambda tree: (tree / "f0").rename(tree / "f9"),
        lambda tree: (tree / "new").write_bytes(b""),
        lambda tree: (tree / "f1").unlink(),
    ],
)
def test_a_fingerprint_sees_changes_without_reading(tmp_path, change):
    tree = grown(tmp_path, b"a", b"b")
    before = fingerprint(tree)
    assert fingerprint(tree) == before
    change(tree)
    assert fingerprint(tree) != before


@given(st.text(max_size=300))
def test_a_name_that_passes_is_one_plain_component(text):
    try:
        name = checked_name(text, "dataset")
    except InvalidNameError:
        return
    assert "/" not in name
    assert name not in {"", ".", ".."}
    assert not name.startswith((".", "-"))
    assert len(os.fsencode(name)) <= 253


@given(st.text(min_size=1, max_size=50))
def test_a_path_that_passes_stays_inside(text):
    try:
        check_paths([text])
    except InvalidNameError:
        return
    assert os.path.normpath(text) == text
    assert not text.startswith("/")
    assert ".." not in text.split("/")


@pytest.mark.parametrize(
    "path",
    ["/abs", "a//b", "a/../b", "./a", "a/", "a\x00", "a\x7f", "x" * 256],
)
def test_paths_that_are_refused(path):
    with pytest.raises(InvalidNameError):
        check_paths([path])


def test_places_of_a_dataset_stay_below_its_root(tmp_path):
    at = DatasetPaths.below(tmp_path, "docs")
    places = [at.manifest("g"), at.tree("g"), at.unfinished("g"), at.current]
    places.append(at.hold("g", "t"))
    for place in places:
        assert place.is_relative_to(tmp_path / "datasets" / "docs")
    assert len(set(places)) == len(places)


def test_folders_are_made_once(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="exists"):
        make_folder(tmp_path / "file")


def hold_lock(path, ready, done):
    with locked(path, 5):
        ready.set()
        done.wait(20)


def test_the_lock_excludes_other_processes_and_dies_with_them(tmp_path):
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    path = tmp_path / "lock"
    other = context.Process(target=hold_lock, args=(path, ready, done))
    other.start()
    assert ready.wait(20)
    with pytest.raises(StorageError, match="locked"), locked(path, 0.05):
        pytest.fail("two at once")
    other.kill()
    other.join()
    with locked(path, 5):
        pass


def test_trouble_with_the_disk_is_a_storage_error(tmp_path):
    with (
        pytest.raises(StorageError, match="No space"),
        locked(tmp_path / "lock", 1),
    ):
        raise OSError(28, "No space left on device")


def test_claiming_twice_is_claiming_once(backend):
    claim(backend, "default/a")
    before = (backend.root / "owner.json").stat().st_mtime_ns
    claim(backend, "default/a")
    assert (backend.root / "owner.json").stat().st_mtime_ns == before
    assert owner_of(backend.root) == "default/a"
    with pytest.raises(ForeignDirectoryError, match="default/a"):
        claim(backend, "default/b")


def test_a_root_that_only_we_used_may_be_claimed(backend, source):
    backend.commit("docs", "g1", *source("g1"))
    claim(backend, "default/a")
    backend.verify("docs", "g1")


def test_a_file_in_place_of_the_root_is_foreign(tmp_path):
    (tmp_path / "root").write_text("mine")
    with pytest.raises(ForeignDirectoryError, match="not a directory"):
        owner_of(tmp_path / "root")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"owner"', "\x00"])
def test_an_unreadable_mark_is_nobodys_licence(backend, text):
    claim(backend, "default/a")
    (backend.root / "owner.json").write_text(text)
    with pytest.raises(StorageError):
        destroy(backend, "default/a")
    assert backend.root.exists()


def test_destroying_spares_what_others_put_there(backend, source):
    claim(backend, "default/a")
    backend.commit("docs", "g1", *source("g1"))
    (backend.root / "notes.txt").write_text("of a person")
    with pytest.raises(ForeignDirectoryError):
        destroy(backend, "default/b")
    backend.verify("docs", "g1")
    destroy(backend, "default/a")
    assert [path.name for path in backend.root.iterdir()] == ["notes.txt"]


def test_nothing_is_destroyed_while_anything_is_held(backend, source):
    claim(backend, "default/a")
    backend.commit("docs", "g1", *source("g1"))
    backend.commit("docs", "g2", *source("g2"))
    backend.hold("docs", "g2", "t")
    with pytest.raises(HeldError, match="docs/g2"):
        destroy(backend, "default/a")
    backend.verify("docs", "g1")


def test_a_digest_that_is_none_is_refused(backend, source):
    top, _ = source("g1")
    with pytest.raises(StorageError, match="hexadecimal"):
        backend.commit("docs", "g1", top, "md5:123")


def test_a_source_that_is_not_there_is_an_error_not_a_generation(
    backend, tmp_path
):
    with pytest.raises(StorageError):
        backend.commit("docs", "g", tmp_path / "no", "sha256:" + "0" * 64)
    assert backend.generations("docs") == ()


def test_a_backend_looks_without_creating(tmp_path):
    idle = TreeBackend(tmp_path / "nothing")
    assert idle.current("docs") is None
    assert idle.generations("docs") == ()
    assert idle.holds("docs", "g1") == ()
    assert not (tmp_path / "nothing").exists()
