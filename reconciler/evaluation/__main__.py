"""``python -m reconciler.evaluation <run directory>``: the evaluate stage."""

from __future__ import annotations

import sys

from reconciler.runs.protocol import Request, Result, RunDirectory
from reconciler.runs.supervisor import main


def work(run: RunDirectory, request: Request) -> Result:
    """Evaluate. torch is loaded by the worker, not by its supervisor."""
    from reconciler.evaluation.worker import evaluate

    return evaluate(run, request)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], work))
