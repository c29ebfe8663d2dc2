"""Generate crds/: ``python -m reconciler.cli.crds [--check] crds/``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reconciler.cli.kinds import KINDS
from reconciler.engine.crd import write_crds


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files, or with ``--check`` fail if they are out of date."""
    parser = argparse.ArgumentParser(
        prog="python -m reconciler.cli.crds",
        description="Generate the CustomResourceDefinitions of all kinds.",
    )
    parser.add_argument("directory", type=Path, help="where the files are")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit 1 if a file is not what would be written",
    )
    options = parser.parse_args(argv)
    drifted = write_crds(KINDS, options.directory, check=options.check)
    word = "out of date" if options.check else "written"
    for name in drifted:
        sys.stdout.write(f"{options.directory / name}: {word}\n")
    return 1 if options.check and drifted else 0


if __name__ == "__main__":
    raise SystemExit(main())
