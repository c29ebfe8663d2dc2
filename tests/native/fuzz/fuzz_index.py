"""Coverage-guided fuzzing of ExactIndex: its files, and its calls.

    python tests/native/fuzz/fuzz_index.py files CORPUS -runs=20000
    python tests/native/fuzz/fuzz_index.py calls CORPUS -runs=20000

`files` puts arbitrary bytes into one file of a real index. Checksums are
switched off (each is 0), so that what comes after them is reached: a file
made by somebody else can have right checksums and any content. An index
either opens and answers or refuses with CorruptFileError or ValueError.

`calls` makes arbitrary adds, deletes and searches, and compares the answers
with the definition.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import atheris

with atheris.instrument_imports(include=["reconciler.retrieval"]):
    import reconciler.retrieval.contents as contents_module
    import reconciler.retrieval.files as files_module
    import reconciler.retrieval.home as home_module
    import reconciler.retrieval.index as index_module
    import reconciler.retrieval.journal as journal_module

import numpy as np

from reconciler.retrieval import reference
from reconciler.retrieval.arrays import Metric

DIM = 5
contents_module.TAIL_ROWS = 6
contents_module.SEGMENT_ROWS = 12


def without_checksums() -> None:
    """Let every checksum be right."""
    none = SimpleNamespace(crc32=lambda *_: 0)
    for module in (files_module, home_module, journal_module):
        module.zlib = none  # type: ignore[attr-defined]


def template(home: Path) -> list[Path]:
    """A small index with segments, dead rows and a tail."""
    rng = np.random.default_rng(3)
    with index_module.ExactIndex(DIM, path=home, threads=1) as index:
        index.add(np.arange(14), rng.standard_normal((14, DIM)))
        index.delete([3])
        index.add(np.arange(20, 24), rng.standard_normal((4, DIM)))
        index.delete([21])
    return sorted(p for p in home.iterdir() if p.name != "lock")


class Files:
    """One file of an index, with other bytes in it."""

    def __init__(self) -> None:
        without_checksums()
        self.work = Path(tempfile.mkdtemp(prefix="fuzz-index-"))
        self.home = self.work / "index"
        self.files = template(self.home)
        self.good = {path: path.read_bytes() for path in self.files}

    def __call__(self, data: bytes) -> None:
        """Open an index one of whose files was changed."""
        provider = atheris.FuzzedDataProvider(data)
        for path in self.home.iterdir():
            if path not in self.good:
                path.unlink()
        for path, content in self.good.items():
            path.write_bytes(content)
        path = self.files[provider.ConsumeIntInRange(0, len(self.files) - 1)]
        path.write_bytes(self._damaged(provider, self.good[path]))
        try:
            with index_module.ExactIndex(
                DIM, path=self.home, threads=1
            ) as index:
                ids, scores = index.search(np.ones((2, DIM), np.float32), 9)
                assert ids.shape == scores.shape == (2, 9)
                index.add([77], np.ones((1, DIM)))
                index.delete([0, 77])
        except (files_module.CorruptFileError, ValueError):
            return

    @staticmethod
    def _damaged(provider: atheris.FuzzedDataProvider, good: bytes) -> bytes:
        damaged = bytearray(good)
        for _ in range(provider.ConsumeIntInRange(1, 4)):
            at = provider.ConsumeIntInRange(0, len(good))
            piece = provider.ConsumeBytes(provider.ConsumeIntInRange(0, 24))
            if provider.ConsumeBool():
                damaged[at : at + len(piece)] = piece
            else:
                damaged[at:at] = piece
        if provider.ConsumeBool():
            del damaged[provider.ConsumeIntInRange(0, len(damaged)) :]
        return bytes(damaged)


class Calls:
    """Arbitrary calls, checked against brute force."""

    def __call__(self, data: bytes) -> None:
        """A short life of an index in memory."""
        provider = atheris.FuzzedDataProvider(data)
        dim = provider.ConsumeIntInRange(1, 40)
        metric = provider.PickValueInList(["cosine", "ip", "l2"])
        index = index_module.ExactIndex(dim, metric=metric, threads=1)
        rows: dict[int, np.ndarray] = {}
        for _ in range(provider.ConsumeIntInRange(1, 8)):
            if provider.ConsumeBool():
                self._add(provider, index, rows, dim)
            else:
                gone = provider.ConsumeInt(8)
                assert index.delete([gone]) == int(gone in rows)
                rows.pop(gone, None)
        self._search(provider, index, rows, metric)

    @staticmethod
    def _add(provider, index, rows, dim) -> None:  # type: ignore[no-untyped-def]
        count = provider.ConsumeIntInRange(0, 20)
        raw = provider.ConsumeBytes(4 * count * dim)
        flat = np.zeros(count * dim, np.float32)
        whole = np.frombuffer(raw[: len(raw) // 4 * 4], np.float32)
        flat[: len(whole)] = whole
        new = flat.reshape(count, dim)
        # Beyond int64 numpy would make floats, which an index refuses.
        most = np.iinfo(np.int64).max - count
        ids = np.arange(count) + min(provider.ConsumeInt(8), most)
        try:
            index.add(ids, new)
        except ValueError:
            assert not np.isfinite(new).all()
            return
        rows.update(zip(ids.tolist(), new, strict=True))

    @staticmethod
    def _search(provider, index, rows, metric) -> None:  # type: ignore[no-untyped-def]
        assert len(index) == len(rows)
        if not rows:
            return
        known = np.array(sorted(rows), np.int64)
        stored = np.stack([rows[i] for i in known.tolist()])
        k = provider.ConsumeIntInRange(1, len(known))
        query = stored[:1] * np.float32(0.5)
        ids, scores = index.search(query, k)
        kind = Metric.named(metric)
        lengths = reference.norms(stored)
        keys = reference.keys(query[0], stored, lengths, kind)
        best, expected = reference.best(keys, known, None, k)
        assert ids[0].tolist() == expected.tolist()
        assert scores[0].tobytes() == reference.to_scores(best, kind).tobytes()


def main() -> None:
    """Fuzz one target; libFuzzer's options follow its name."""
    target = {"files": Files, "calls": Calls}[sys.argv[1]]()
    corpus = Path(sys.argv[2])
    rng = np.random.default_rng(1)
    for i in range(40):
        seed = rng.integers(0, 256, 50 + 40 * i, np.uint8)
        (corpus / f"seed-{i}").write_bytes(seed.tobytes())
    options = [sys.argv[0], *sys.argv[3:], "-len_control=0", str(corpus)]
    atheris.Setup(options, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
