"""Trains the critics: ``python -m reconciler.retrieval.selfrag.training``.

Reads documents of this machine, splits them by package, fits the heads on
the training packages, and tunes thresholds on the validation packages. Test
packages are not read; `benchmarks/bench_selfrag.py` does that.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from reconciler.retrieval.models import installed_model
from reconciler.retrieval.selfrag.extractive import ExtractiveGenerator
from reconciler.retrieval.selfrag.remembering import RememberingEmbedder
from reconciler.retrieval.selfrag.similarity import unit
from reconciler.retrieval.selfrag.training.documents import documents
from reconciler.retrieval.selfrag.training.questions import bench
from reconciler.retrieval.selfrag.training.train import train
from reconciler.retrieval.sentence_embedder import SentenceEmbedder
from reconciler.retrieval.sentence_model import read_recipe

REMEMBERED = 1 << 18


def main(words: Sequence[str] | None = None) -> int:
    """Train and write the file."""
    parser = argparse.ArgumentParser(
        prog="python -m reconciler.retrieval.selfrag.training",
        description=__doc__,
    )
    parser.add_argument("out", type=Path, help="the file of heads to write")
    parser.add_argument(
        "--model",
        type=Path,
        default=installed_model(),
        help="a sentence-transformers directory (all-MiniLM-L6-v2)",
    )
    parser.add_argument(
        "--packages",
        type=Path,
        default=Path(sysconfig.get_path("purelib")),
        help="directory of Python packages (this Python's)",
    )
    parser.add_argument(
        "--graphs", type=Path, default=Path(".reconciler/graphs")
    )
    parser.add_argument(
        "--questions", type=int, default=800, help="of each split (800)"
    )
    arguments = parser.parse_args(words)
    if arguments.model is None:
        parser.error("name a model: --model DIR")
    model = SentenceEmbedder(
        arguments.model, arguments.graphs, precision="int8"
    )
    embedder = RememberingEmbedder(model, REMEMBERED)
    found = documents(arguments.packages)
    say(f"{len(found)} documents")
    headlines = unit(embedder.embed([d.headline for d in found]))
    count = arguments.questions
    with tempfile.TemporaryDirectory() as home:
        heads = asyncio.run(
            train(
                bench("train", found, headlines, count),
                bench("validation", found, headlines, count),
                embedder,
                ExtractiveGenerator(embedder),
                Path(home),
                read_recipe(arguments.model).digest,
                say,
            )
        )
    arguments.out.write_text(heads.model_dump_json(indent=1) + "\n")
    say(f"{arguments.out}: {heads.thresholds}, {heads.evidence}")
    return 0


def say(text: str) -> None:
    """One line with the time."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
