"""`reconciler diff`: what applying a folder would change."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "diff",
        help="show what applying a folder would change",
        description="Compares the YAML of a folder with the live objects: "
        "added, changed field by field, and (with --repository NAME) pruned. "
        "Exit code 0: no difference, 1: differences, 2: the folder is "
        "invalid. Nothing is written.",
    )
    parser.add_argument(
        "-f", "--filename", required=True, metavar="DIR", help="the folder"
    )
    parser.add_argument(
        "--repository",
        metavar="NAME",
        help="also show what this ConfigRepository would prune",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the differences."""
    raise NotImplementedError
