"""Several processes on one store: nobody sees half an artifact."""

from __future__ import annotations

import subprocess
import sys

import pytest

from reconciler.artifacts import ArtifactStore

CROWD = """
import random, sys, tempfile
from pathlib import Path
from reconciler.artifacts import (
    ArtifactStore, MissingArtifactError, StoreBusyError, digest_of)

seed, root = int(sys.argv[1]), Path(sys.argv[2])
draw, store = random.Random(seed), ArtifactStore(root)
with tempfile.TemporaryDirectory() as folder:
    base = Path(folder)
    for turn in range(25):
        n = draw.randrange(4)
        tree = base / f"tree{turn}"
        tree.mkdir()
        (tree / "content").write_bytes(bytes([n]) * 50_000)
        digest = store.put(tree)
        assert digest == digest_of(tree)
        try:
            out = store.fetch(digest, base / f"out{turn}")
            assert (out / "content").read_bytes() == bytes([n]) * 50_000
        except MissingArtifactError:
            pass  # another process collected it meanwhile
        try:
            store.gc(set(), min_age_seconds=0)
        except StoreBusyError:
            pass
"""


@pytest.mark.slow
def test_a_crowd_puts_fetches_and_collects(tmp_path):
    store = ArtifactStore(tmp_path / "artifacts")
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", CROWD, str(seed), str(store.root)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    for process in crowd:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
    for digest in store.digests():
        store.verify(digest)
    store.gc(set(store.digests()))
    assert list((store.root / "staging").iterdir()) == []
