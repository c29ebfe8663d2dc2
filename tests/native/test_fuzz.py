"""The fuzz targets on arbitrary bytes; `make test-native` lets them search."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("atheris", reason="no wheel of atheris for this platform")
from reconciler.retrieval import (
    CorruptFileError,
    ExactIndex,
    contents,
    files,
    home,
    journal,
)
from reconciler.retrieval.journal import Dead

HARNESS = Path(__file__).parent / "fuzz" / "fuzz_index.py"


@pytest.fixture
def targets(monkeypatch, tmp_path):
    """The harness as a module; what it changes is put back."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    for name in ("TAIL_ROWS", "SEGMENT_ROWS"):
        monkeypatch.setattr(contents, name, getattr(contents, name))
    for module in (files, home, journal):
        monkeypatch.setattr(module, "zlib", module.zlib)
    spec = importlib.util.spec_from_file_location("fuzz_index", HARNESS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["Files", "Calls"])
def test_arbitrary_bytes(targets, name) -> None:
    target, rng = getattr(targets, name)(), np.random.default_rng(7)
    for i in range(250):
        target(rng.integers(0, 256, 40 + 6 * i, np.uint8).tobytes())


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
