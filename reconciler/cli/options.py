"""Options that every command takes."""

from __future__ import annotations

import argparse
import math


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


def question(text: str) -> str:
    """A type of arguments: not blank; what is no UTF-8 is replaced."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the question is empty")
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def positive(text: str) -> int:
    """A type of arguments: a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r} is not a whole number from 1"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def seconds(text: str) -> float:
    """A type of arguments: seconds, 0 or more."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not found >= 0:
        msg = f"{text!r} is no number of seconds"
        raise argparse.ArgumentTypeError(msg)
    return found
