"""The `reconciler` command: parsing, dispatch, exit codes.

Exit codes: 0 done, 1 it failed or a difference was found, 2 wrong usage.
Heavy packages (torch, openvino, kopf) are imported only by what needs them.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from typing_extensions import override

from reconciler import __version__, kernels
from reconciler.cli.errors import CommandError
from reconciler.cli.options import add_common

COMMANDS = (
    "up",
    "bootstrap",
    "demo",
    "get",
    "tree",
    "trace",
    "events",
    "diff",
    "secret",
    "requests",
    "feedback",
    "generate",
    "search",
    "rerank",
    "migrate",
    "operator",
    "completion",
)
EPILOG = """\
first steps:
  reconciler demo                    see the whole loop on this machine
  reconciler up                      run it here (state in .reconciler/)
  reconciler get                     what there is, like kubectl get reconciler
  reconciler tree                    where it came from

Every command but controlplane takes --state DIR (a local state directory) or
--kubeconfig FILE (any Kubernetes API server). kubectl works with both.
"""


class _Version(argparse.Action):
    """Prints the version and leaves; loads the kernels only then."""

    @override
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"{__version__} ({kernels.described()})")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(
        prog="reconciler",
        description="A declarative, GitOps-style reconciler for "
        "self-improving models.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument(
        "--version",
        action=_Version,
        nargs=0,
        help="show the version, and which kernels it uses",
    )
    add_common(root, default=True)
    commands = root.add_subparsers(
        dest="command", metavar="COMMAND", required=True
    )
    for name in COMMANDS:
        importlib.import_module(f"reconciler.cli.{name}").add_parser(commands)
    for name, parser_of in commands.choices.items():
        # They stand behind the action of `feedback import`; `secret` asks no
        # API server.
        if name not in ("feedback", "secret"):
            add_common(parser_of, default=False)
    commands.add_parser(
        "controlplane",
        help="the embedded Kubernetes API server on its own",
        add_help=False,
    )
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["controlplane"]:
        from reconciler.controlplane.cli import main as controlplane

        return controlplane(words[1:])
    arguments = parser().parse_args(words)
    try:
        code: int = arguments.run(arguments)
    except CommandError as error:
        print(error if error.code == 0 else f"error: {error}", file=sys.stderr)
        return error.code
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; that is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
