"""Files with right checksums that no index of ours has written."""

from __future__ import annotations

import json
import zlib
from types import SimpleNamespace

import numpy as np
import pytest

from reconciler.retrieval import (
    CorruptFileError,
    ExactIndex,
    contents,
    files,
    home,
    journal,
)
from reconciler.retrieval.journal import Dead


@pytest.mark.parametrize(
    "dead",
    [
        Dead(-1, np.array([0])),
        Dead(9, np.array([0])),
        Dead(0, np.array([-1])),
        Dead(0, np.array([9999])),
    ],
)
def test_dead_rows_that_no_segment_has_are_refused(
    tmp_path, monkeypatch, dead
) -> None:
    """Right checksums, made by somebody else."""
    monkeypatch.setattr(contents, "TAIL_ROWS", 6)
    with ExactIndex(3, path=tmp_path) as index:
        index.add(np.arange(10), np.ones((10, 3)))
    (path,) = tmp_path.glob("journal-*")
    framed = journal._framed(dead.payload())
    path.write_bytes(path.read_bytes() + framed)
    with pytest.raises(CorruptFileError, match="no segment has"):
        ExactIndex(3, path=tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"journal": "../journal-000001"},
        {"segments": ["/etc/passwd"]},
        {"segments": "segment-000001"},
        {"journal": 7},
    ],
)
def test_a_manifest_that_names_files_of_others_is_refused(
    tmp_path, monkeypatch, change
) -> None:
    none = SimpleNamespace(crc32=lambda *_: 0)
    monkeypatch.setattr(home, "zlib", none)
    with ExactIndex(3, path=tmp_path) as index:
        index.add([1], np.ones((1, 3)))
    manifest = tmp_path / "manifest.json"
    body = {**json.loads(manifest.read_text()), **change}
    manifest.write_text(json.dumps(body))
    with pytest.raises(CorruptFileError, match="names that no index gives"):
        ExactIndex(3, path=tmp_path)


def as_version_2(path) -> None:
    """The same rows with what that version had for codes, never read."""
    data = bytearray(path.read_bytes())
    header = files._HEADER
    fields = list(header.unpack(data[: header.size]))
    fields[1] = 2
    data[: header.size] = header.pack(*fields)
    check = zlib.crc32(data[: header.size])
    data[header.size : header.size + 4] = check.to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize("dim", [8, 40])
def test_rows_of_the_version_before_are_coded_anew(tmp_path, dim) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((9000, dim)).astype(np.float32)
    with ExactIndex(dim, path=tmp_path) as index:
        index.add(np.arange(9000), rows)
        before = index.search(rows[:8], 5)
    (path,) = tmp_path.glob("segment-*")
    as_version_2(path)
    with ExactIndex(dim, path=tmp_path) as index:
        for old, new in zip(before, index.search(rows[:8], 5), strict=True):
            np.testing.assert_array_equal(old, new)
        index.compact()
    (path,) = tmp_path.glob("segment-*")
    assert (
        files._HEADER.unpack(path.read_bytes()[: files._HEADER.size])[1] == 3
    )


def test_a_version_of_the_future_is_refused(tmp_path) -> None:
    with ExactIndex(8, path=tmp_path) as index:
        index.add(np.arange(9000), np.ones((9000, 8), np.float32))
    (path,) = tmp_path.glob("segment-*")
    data = bytearray(path.read_bytes())
    data[8] = 4
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match="version 4, not 3"):
        ExactIndex(8, path=tmp_path)
