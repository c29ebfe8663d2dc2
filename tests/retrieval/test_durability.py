"""What a directory of an index survives, and what it refuses."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reconciler.retrieval import CorruptFileError, ExactIndex, contents

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def small_tail(monkeypatch):
    monkeypatch.setattr(contents, "TAIL_ROWS", 20)
    monkeypatch.setattr(contents, "SEGMENT_ROWS", 50)


def content(index: ExactIndex) -> dict[int, bytes]:
    ids, rows = index._contents.live_rows()
    return {int(i): row.tobytes() for i, row in zip(ids, rows, strict=True)}


def opened(path: Path) -> dict[int, bytes]:
    with ExactIndex(34, path=path) as index:
        return content(index)


def written(path: Path) -> dict[int, bytes]:
    """An index with segments, dead rows and a tail."""
    with ExactIndex(34, path=path) as index:
        index.add(np.arange(70), RNG.standard_normal((70, 34)))
        index.delete([3, 60])
        index.add(np.arange(100, 115), RNG.standard_normal((15, 34)))
        index.add([5, 101], RNG.standard_normal((2, 34)))
        index.delete([110, 8])
        return content(index)


def test_what_was_written_is_read(tmp_path) -> None:
    expected = written(tmp_path)
    assert len(expected) == 81
    assert opened(tmp_path) == expected
    assert opened(tmp_path) == expected


def test_a_reopened_index_answers_and_goes_on(tmp_path) -> None:
    written(tmp_path)
    query = RNG.standard_normal((3, 34))
    with ExactIndex(34, path=tmp_path) as index:
        before = index.search(query, 9)
        index.add(np.arange(200, 260), RNG.standard_normal((60, 34)))
        index.delete(np.arange(200, 260))
        index.compact()
        assert index.stats().dead == 0
        expected = content(index)
    with ExactIndex(34, path=tmp_path) as index:
        after = index.search(query, 9)
        np.testing.assert_array_equal(before[0], after[0])
        np.testing.assert_array_equal(before[1], after[1])
        assert content(index) == expected


def test_old_files_are_removed(tmp_path) -> None:
    with ExactIndex(34, path=tmp_path) as index:
        for start in range(0, 300, 30):
            index.add(np.arange(start, start + 30), np.ones((30, 34)))
        index.compact()
        names = sorted(path.name for path in tmp_path.iterdir())
    assert len([n for n in names if n.startswith("journal")]) == 1
    assert len([n for n in names if n.startswith("segment")]) == 6
    (tmp_path / "segment-999999").write_bytes(b"left over")
    opened(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_one_process_at_a_time(tmp_path) -> None:
    with (
        ExactIndex(34, path=tmp_path),
        pytest.raises(BlockingIOError),
    ):
        ExactIndex(34, path=tmp_path)
    opened(tmp_path)


def test_a_closed_index_refuses_writes_and_still_answers(tmp_path) -> None:
    index = ExactIndex(34, path=tmp_path)
    index.add([1], np.ones((1, 34)))
    index.close()
    for count in (1, 30):
        with pytest.raises(ValueError, match="closed"):
            index.add(np.arange(count), np.ones((count, 34)))
    with pytest.raises(ValueError, match="closed"):
        index.delete([1])
    with pytest.raises(ValueError, match="closed"):
        index.compact()
    assert index.search(np.ones((1, 34)), 1)[0].tolist() == [[1]]


def test_another_dimension_or_metric_is_refused(tmp_path) -> None:
    written(tmp_path)
    with pytest.raises(ValueError, match="34 dimensions and metric cosine"):
        ExactIndex(35, path=tmp_path)
    with pytest.raises(ValueError, match="not 34 and l2"):
        ExactIndex(34, "l2", path=tmp_path)


WRITER = """
import sys
import numpy as np
from reconciler.retrieval import ExactIndex, contents

contents.TAIL_ROWS = 40
index = ExactIndex(34, path=sys.argv[1])
rng = np.random.default_rng(int(sys.argv[2]))
for i in range(100_000):
    ids = rng.integers(0, 1000, rng.integers(1, 60))
    if rng.random() < 0.25:
        index.delete(ids)
        print("-", i, *ids, flush=True)
    else:
        index.add(ids, np.full((len(ids), 34), i + 1.0))
        print("+", i, *ids, flush=True)
    if rng.random() < 0.05:
        index.compact()
"""


def acknowledged(lines: list[str]) -> dict[int, float]:
    state: dict[int, float] = {}
    for line in lines:
        what, number, *ids = line.split()
        for id_ in map(int, ids):
            if what == "+":
                state[id_] = float(number) + 1
            else:
                state.pop(id_, None)
    return state


@pytest.mark.parametrize("seed", range(6))
def test_kill_loses_nothing_acknowledged(tmp_path, seed) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "index"), str(seed)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [
        process.stdout.readline()
        for _ in range(int(np.random.default_rng(seed).integers(5, 60)))
    ]
    process.kill()
    lines += [n for n in process.stdout.readlines() if n.endswith("\n")]
    process.wait(timeout=30)
    found = {
        id_: float(np.frombuffer(row, np.float32)[0])
        for id_, row in opened(tmp_path / "index").items()
    }
    expected = acknowledged(lines)
    # One write that was not acknowledged may have been done.
    last = len(lines)
    changed = {
        id_
        for id_ in found.keys() | expected.keys()
        if found.get(id_) != expected.get(id_)
    }
    assert all(found.get(id_, last + 1.0) == last + 1.0 for id_ in changed)
    assert len(changed) <= 60


def test_a_journal_cut_anywhere_gives_a_prefix(tmp_path) -> None:
    home = tmp_path / "index"
    states = []
    with ExactIndex(34, path=home) as index:
        for i in range(6):
            states.append(content(index))
            index.add([i], RNG.standard_normal((1, 34)))
        states.append(content(index))
    (journal,) = home.glob("journal-*")
    data = journal.read_bytes()
    seen = set()
    for length in (*range(28, len(data), 7), len(data)):
        copy = tmp_path / "cut"
        shutil.copytree(home, copy)
        (copy / journal.name).write_bytes(data[:length])
        seen.add(states.index(opened(copy)))
        assert opened(copy) in states
        shutil.rmtree(copy)
    assert seen == set(range(len(states)))


def test_a_cut_journal_takes_new_records(tmp_path) -> None:
    with ExactIndex(34, path=tmp_path) as index:
        index.add([1], np.ones((1, 34)))
        index.add([2], np.ones((1, 34)))
    (journal,) = tmp_path.glob("journal-*")
    journal.write_bytes(journal.read_bytes()[:-5])
    with ExactIndex(34, path=tmp_path) as index:
        assert sorted(content(index)) == [1]
        index.add([3], np.ones((1, 34)))
    assert sorted(opened(tmp_path)) == [1, 3]


def test_any_flipped_byte_is_refused(tmp_path) -> None:
    home = tmp_path / "index"
    expected = written(home)
    for path in sorted(home.iterdir()):
        data = path.read_bytes()
        step = max(1, len(data) // 120)
        for at in range(0, len(data), step):
            damaged = bytearray(data)
            damaged[at] ^= 0x10
            path.write_bytes(damaged)
            with pytest.raises(CorruptFileError) as caught:
                opened(home)
            assert caught.value.path == path
            assert caught.value.offset <= at
            assert str(caught.value.offset) in str(caught.value)
        path.write_bytes(data)
    assert opened(home) == expected


def test_a_cut_or_missing_file_is_refused(tmp_path) -> None:
    home = tmp_path / "index"
    expected = written(home)
    for path in [*home.glob("segment-*"), home / "manifest.json"]:
        data = path.read_bytes()
        for length in (0, 10, 4095, len(data) - 1):
            if length >= len(data):
                continue
            path.write_bytes(data[:length])
            with pytest.raises(CorruptFileError):
                opened(home)
        path.write_bytes(data)
    for path in [*home.glob("segment-*"), *home.glob("journal-*")]:
        data = path.read_bytes()
        path.unlink()
        with pytest.raises(CorruptFileError, match="missing"):
            opened(home)
        path.write_bytes(data)
    assert opened(home) == expected


class FullDisk:
    """Makes the n-th fsync fail, as a full disk does."""

    def __init__(self, monkeypatch, after: int) -> None:
        self.left = after
        self.real = os.fsync
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, descriptor: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.real(descriptor)


def add_with_full_disk(index, monkeypatch, after, rows) -> bool:
    with monkeypatch.context() as patch:
        FullDisk(patch, after)
        try:
            index.add(np.arange(len(rows)), rows)
        except OSError:
            return False
    return True


@pytest.mark.parametrize(
    ("count", "after"),
    [(2, 0), (2, 1), *((60, n) for n in (0, 1, 2, 3, 4, 6))],
)
def test_a_full_disk_changes_nothing(
    tmp_path, monkeypatch, after, count
) -> None:
    written(tmp_path)
    rows = RNG.standard_normal((count, 34)).astype(np.float32)
    with ExactIndex(34, path=tmp_path) as index:
        expected = content(index)
        if add_with_full_disk(index, monkeypatch, after, rows):
            assert (count, after) in ((2, 1), (60, 6))
            expected |= {i: row.tobytes() for i, row in enumerate(rows)}
        assert content(index) == expected
        index.add([999], rows[:1])
        expected |= {999: rows[0].tobytes()}
        assert content(index) == expected
    assert opened(tmp_path) == expected


def test_a_switch_that_the_disk_does_not_confirm_ends_the_writes(
    tmp_path, monkeypatch
) -> None:
    before = written(tmp_path)
    rows = RNG.standard_normal((60, 34)).astype(np.float32)
    with ExactIndex(34, path=tmp_path) as index:
        assert not add_with_full_disk(index, monkeypatch, 5, rows)
        with pytest.raises(ValueError, match="closed"):
            index.add([999], rows[:1])
    after = before | {i: row.tobytes() for i, row in enumerate(rows)}
    assert opened(tmp_path) == after
