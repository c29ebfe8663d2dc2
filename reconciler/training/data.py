"""The data stage: freeze what a generation learns from. No torch here."""

from __future__ import annotations

import platform
import time

from reconciler.corpus import python_docstrings
from reconciler.runs.protocol import Request, Result, RunDirectory
from reconciler.runs.worker import parameters
from reconciler.training.dataset import write_dataset
from reconciler.training.parameters import DataParameters


def prepare(run: RunDirectory, request: Request) -> Result:
    """Write the corpus's training questions as an SFT data set."""
    asked = parameters(request, DataParameters)
    started = time.monotonic()
    examples = [e for e in python_docstrings() if e.split == "train"]
    target = run.output / "dataset"
    rows = write_dataset(
        target,
        ({"prompt": e.prompt, "completion": e.answer} for e in examples),
        {
            "kind": "sft",
            "counts": {"train": len(examples)},
            "sources": {
                "corpus": asked.corpus,
                "python": platform.python_version(),
            },
        },
    )
    return Result(
        phase="Succeeded",
        outputs={"dataset": "output/dataset"},
        metrics={"rows": float(rows)},
        facts={"corpus": asked.corpus, "rows": rows},
        seconds=round(time.monotonic() - started, 3),
    )
