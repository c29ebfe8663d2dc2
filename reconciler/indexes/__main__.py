"""``python -m reconciler.indexes <run directory>``: build an index."""

from __future__ import annotations

import sys

from reconciler.runs.protocol import Request, Result, RunDirectory
from reconciler.runs.supervisor import main


def work(run: RunDirectory, request: Request) -> Result:
    """Build. numpy and OpenVINO are loaded by the worker alone."""
    from reconciler.indexes.worker import work

    return work(run, request)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], work))
