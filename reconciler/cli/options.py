"""Options that every command takes."""

from __future__ import annotations

import argparse


def add_common(parser: argparse.ArgumentParser, *, default: bool) -> None:
    """Options that may stand before or after the command."""
    absent = None if default else argparse.SUPPRESS
    group = parser.add_argument_group("which API server")
    group.add_argument(
        "--state",
        metavar="DIR",
        default=absent,
        help="state directory of `reconciler up` (default: .reconciler)",
    )
    group.add_argument(
        "--kubeconfig",
        metavar="FILE",
        default=absent,
        help="API server to talk to instead",
    )
    group.add_argument(
        "-n",
        "--namespace",
        default="default" if default else argparse.SUPPRESS,
        help="namespace (default: default)",
    )
