from __future__ import annotations

import numpy as np
import pytest

from reconciler.retrieval import ExactIndex


def test_many_readers_or_one_writer(tmp_path) -> None:
    vectors = np.eye(4, dtype=np.float32)
    with ExactIndex(4, path=tmp_path) as index:
        index.add([3, 1, 2, 9], vectors)
        index.delete([9])
        with pytest.raises(BlockingIOError):
            ExactIndex(4, path=tmp_path, read_only=True)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    with (
        ExactIndex(4, path=tmp_path, read_only=True) as one,
        ExactIndex(4, path=tmp_path, read_only=True) as two,
    ):
        assert one.ids().tolist() == [1, 2, 3]
        assert two.search(vectors[:1], 1)[0].tolist() == [[3]]
        with pytest.raises(BlockingIOError):
            ExactIndex(4, path=tmp_path)
        for change in (
            lambda: one.add([5], vectors[:1]),
            lambda: one.delete([1]),
            one.compact,
        ):
            with pytest.raises(ValueError, match="read only"):
                change()
        assert one.ids().tolist() == [1, 2, 3]
    after = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert after == before


def test_reading_needs_an_index(tmp_path) -> None:
    with pytest.raises(ValueError, match="needs a path"):
        ExactIndex(4, read_only=True)
    with pytest.raises(FileNotFoundError):
        ExactIndex(4, path=tmp_path / "absent", read_only=True)
    assert not (tmp_path / "absent").exists()
