"""The `reconciler` command: parsing, dispatch, exit codes.

Exit codes: 0 done, 1 it failed or a difference was found, 2 wrong usage. With
`-o json` or `-o yaml` an error is on stdout too, in that format.
Heavy packages (torch, openvino, kopf) are imported only by what needs them.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from typing_extensions import override

from reconciler import __version__, kernels
from reconciler.cli.errors import CommandError
from reconciler.cli.options import add_common
from reconciler.cli.output import asked_for, failure, show

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
    "ask",
    "rerank",
    "migrate",
    "operator",
    "completion",
)
DECLARED = {"requests": ("reconcile", "suspend", "resume")}
"""Module -> its commands, where they are not called as the module is."""

USAGE = 2
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


class _UsageError(Exception):
    """The command line is wrong."""

    def __init__(self, parser: argparse.ArgumentParser, message: str) -> None:
        super().__init__(message)
        self.text = f"{parser.format_usage()}{parser.prog}: error: {message}"


class _Parser(argparse.ArgumentParser):
    """Tells of errors instead of leaving."""

    @override
    def error(self, message: str) -> NoReturn:
        raise _UsageError(self, message)


def parser(modules: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The whole command line, or the part of it that some modules declare."""
    root = _Parser(
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
    for name in modules:
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


def modules_for(words: Sequence[str]) -> Sequence[str]:
    """Which modules a command line may need; to import all takes a second.

    A command's name may be a value (``--state get tree``): every module that
    is named anywhere counts.
    """
    if words[:1] == ["--version"]:
        return ()
    if words[:1] in (["-h"], ["--help"]):
        return COMMANDS
    named = [
        module
        for module in COMMANDS
        if not {*DECLARED.get(module, (module,))}.isdisjoint(words)
    ]
    return named or COMMANDS


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["controlplane"]:
        from reconciler.controlplane.cli import main as controlplane

        return controlplane(words[1:])
    output = asked_for(words)
    try:
        arguments = parser(modules_for(words)).parse_args(words)
    except _UsageError as error:
        print(error.text, file=sys.stderr)
        if output:
            show(failure(str(error), USAGE), output)
        sys.exit(USAGE)
    try:
        code: int = arguments.run(arguments)
    except CommandError as error:
        print(error if error.code == 0 else f"error: {error}", file=sys.stderr)
        if output and not error.told:
            show(failure(str(error), error.code), output)
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
