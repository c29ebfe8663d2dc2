"""Files with right checksums that no index of ours has written."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from reconciler.retrieval import (
    CorruptFileError,
    ExactIndex,
    contents,
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
