"""The INT8 graph of a sentence model, and the proof that it may be used.

Post-training quantisation with SmoothQuant (Xiao et al., 2023, as NNCF does
it): weights and the inputs of matrix products become 8-bit integers, the rest
stays float32. The texts that it is calibrated on are docstrings of this
Python; the proof uses others of them.

It runs in a process of its own: it takes a gigabyte for half a minute, and
the tools print.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from reconciler import telemetry
from reconciler.retrieval.chunking import passages
from reconciler.retrieval.embedder import EmbedderError
from reconciler.retrieval.graphs import (
    GRAPH,
    compile_graph,
    kept_graph,
    load_tokenizer,
)
from reconciler.retrieval.library import file_digest
from reconciler.retrieval.sentence_model import (
    Recipe,
    converted,
    read_recipe,
)

MIN_MEAN = 0.99
"""Mean cosine with the float32 vectors."""
MIN_WORST = 0.95
"""No text may have less: a kernel that is wrong for one length hides in a
mean."""
TEXTS = 64
"""Texts to calibrate on, and as many to prove with."""
SECONDS = 600.0
DRIFT = "drift.json"
_SPREAD = (12, 24, 32, 33, 48, 64, 96, 128, 256)
"""Token lengths that the proof is cut to, so that kernels of all meet."""
_MODULES = (
    *("argparse", "subprocess", "threading", "datetime", "difflib"),
    *("decimal", "ftplib", "gettext", "heapq", "inspect", "ipaddress"),
    *("mailbox", "optparse", "pathlib", "pickle", "random", "shutil"),
    *("smtplib", "socket", "statistics", "string", "tarfile", "tempfile"),
    *("textwrap", "typing", "uuid", "zipfile", "imaplib", "doctest"),
)


class Drift(BaseModel):
    """How far INT8 vectors are from the float32 ones: cosines."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: float
    worst: float
    texts: int
    digest: str
    """Of the graph's weights: vectors of two graphs do not mix."""


def quantized(recipe: Recipe, cache: Path) -> tuple[Path, Drift]:
    """The directory of the INT8 graph; makes it at the first call.

    Raises:
        EmbedderError: it could not be made, or its vectors drift too far.
    """
    source = converted(recipe, cache)
    home = kept_graph(
        cache,
        f"{recipe.digest}-int8",
        lambda directory: _in_child(recipe, source, directory),
    )
    try:
        drift = Drift.model_validate_json((home / DRIFT).read_bytes())
    except (OSError, ValidationError) as error:
        msg = f"{home / DRIFT}: {error}: remove {home}, it is made again"
        raise EmbedderError(msg) from error
    return home, drift


def _in_child(recipe: Recipe, source: Path, target: Path) -> None:
    command = [sys.executable, "-m", __name__]
    command += [str(recipe.directory), str(source), str(target)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        msg = f"quantising was not done after {SECONDS:.0f} s: use float32"
        raise EmbedderError(msg) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [
            f"it ended with {done.returncode}"
        ]
        msg = f"the INT8 graph may not be used: {lines[-1]}: use float32"
        raise EmbedderError(msg)


def main(words: Sequence[str]) -> int:
    """Quantise SOURCE of a model DIRECTORY into TARGET: the child."""
    telemetry.refuse()
    directory, source, target = map(Path, words)
    try:
        _quantize(read_recipe(directory), source / GRAPH, target)
    except EmbedderError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the parent reads it
        return 1
    return 0


def _quantize(recipe: Recipe, source: Path, target: Path) -> None:
    import nncf
    import openvino

    tokenizer = load_tokenizer(recipe.directory, recipe.tokens)
    rows = [_tokens(tokenizer, text) for text in _texts()]
    graph = nncf.quantize(
        openvino.Core().read_model(source),
        nncf.Dataset(rows[:TEXTS], _inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=TEXTS,
    )
    openvino.save_model(graph, target / GRAPH, compress_to_fp16=False)
    drift = measured(source, target / GRAPH, rows[TEXTS:])
    problem = verdict(drift)
    if problem:
        raise EmbedderError(problem)
    (target / DRIFT).write_text(drift.model_dump_json(indent=1))


def measured(source: Path, target: Path, rows: Sequence[Any]) -> Drift:
    """The drift over rows of token ids, each cut to one of many lengths."""
    before, after = compile_graph(source, "CPU"), compile_graph(target, "CPU")
    cosines = []
    for number, row in enumerate(rows):
        cut = _inputs(row[:, : _SPREAD[number % len(_SPREAD)]])
        cosines.append(float((before(cut)[0] * after(cut)[0]).sum()))
    return Drift(
        mean=sum(cosines) / len(cosines),
        worst=min(cosines),
        texts=len(cosines),
        digest=file_digest(target.with_suffix(".bin")),
    )


def verdict(drift: Drift) -> str:
    """Why the graph may not be used; empty if it may. Pure."""
    if not drift.mean >= MIN_MEAN:
        return f"mean cosine {drift.mean:.4f} with float32, not {MIN_MEAN}"
    if not drift.worst >= MIN_WORST:
        return f"worst cosine {drift.worst:.4f} with float32, not {MIN_WORST}"
    return ""


def _texts() -> list[str]:
    """A text of each module, then another of each, and so on."""
    library = Path(sysconfig.get_path("stdlib"))
    found = []
    for name in _MODULES:
        path = library / f"{name}.py"
        text = path.read_text("utf-8", "replace") if path.is_file() else ""
        found.append([p.text for p in passages(path.name, text)])
    rounds = zip_longest(*found)
    return [text for each in rounds for text in each if text][: 2 * TEXTS]


def _tokens(tokenizer: Any, text: str) -> Any:
    import numpy as np

    return np.asarray(tokenizer.encode(text).ids, np.int64)[None]


def _inputs(row: Any) -> list[Any]:
    import numpy as np

    return [row, np.ones_like(row)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
