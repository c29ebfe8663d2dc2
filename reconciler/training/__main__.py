"""``python -m reconciler.training <run directory>``: data and train."""

from __future__ import annotations

import sys

from reconciler.runs.protocol import Request, Result, RunDirectory
from reconciler.runs.supervisor import main
from reconciler.runs.worker import InvalidRequestError


def work(run: RunDirectory, request: Request) -> Result:
    """Carry out the stage that the request names.

    What a stage needs is imported by the worker, not by its supervisor.
    """
    match request.parameters.get("stage"):
        case "data":
            from reconciler.training.data import prepare

            return prepare(run, request)
        case "train":
            from reconciler.training.train import train

            return train(run, request)
        case other:
            msg = f"parameters.stage: {other!r} is neither data nor train"
            raise InvalidRequestError(msg)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], work))
