"""What programs read: JSON or YAML on stdout, also when a command fails.

Shapes are described in docs/cli.md and only ever grow.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from typing import Any

from ruamel.yaml import YAML

from reconciler.engine import conditions

STRUCTURED = ("json", "yaml")


def add_output(
    parser: argparse.ArgumentParser, *more: str, default: str | None = None
) -> None:
    """Declare ``-o``.

    Args:
        parser: of the command.
        more: other formats that it has.
        default: the format without ``-o``; text for people if None.
    """
    parser.add_argument(
        "-o",
        "--output",
        choices=(*STRUCTURED, *more),
        default=default,
        help="for programs (see docs/cli.md); errors are printed so too",
    )


def asked_for(words: Sequence[str]) -> str | None:
    """The format that a command line asks for, if it is one for programs.

    Also of a command line that is wrong otherwise.
    """
    for index, word in enumerate(words):
        if word in {"-o", "--output"}:
            value = words[index + 1] if index + 1 < len(words) else ""
        elif word.startswith("--output="):
            value = word.partition("=")[2]
        elif word.startswith("-o"):
            value = word.removeprefix("-o").removeprefix("=")
        else:
            continue
        return value if value in STRUCTURED else None
    return None


def render(value: dict[str, Any], output: str) -> str:
    """A value as YAML or JSON text."""
    if output == "json":
        return json.dumps(value, indent=4) + "\n"
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    text = io.StringIO()
    yaml.dump(value, text)
    return text.getvalue()


def show(value: dict[str, Any], output: str) -> None:
    """Print a value."""
    sys.stdout.write(render(value, output))
    sys.stdout.flush()


def failure(message: str, code: int) -> dict[str, Any]:
    """An error as a program reads it."""
    return {"error": {"exitCode": code, "message": message}}


def facts(item: Any) -> dict[str, Any]:
    """An object of ours in few words: what it is and how it is."""
    ready = conditions.find(item.status.conditions, conditions.READY)
    meta = item.metadata
    found = {
        "kind": item.definition.kind,
        "namespace": meta.namespace,
        "name": meta.name,
        "ready": ready.status if ready else "Unknown",
    }
    if ready:
        found |= {"reason": ready.reason, "message": ready.message}
    return found
