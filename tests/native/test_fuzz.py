"""The fuzz targets on arbitrary bytes; `make test-native` lets them search."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("atheris", reason="no wheel of atheris for this platform")
from reconciler.retrieval import (
    contents,
    files,
    home,
    journal,
)

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
