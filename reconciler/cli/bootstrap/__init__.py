"""`reconciler bootstrap`: from an empty repository to one that is followed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from reconciler.cli.errors import CommandError
from reconciler.cli.output import add_output

TIMEOUT_SECONDS = 60.0


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "bootstrap",
        help="have a Git repository followed, from nothing",
        description="Makes a deploy key (ssh) and the Secret with it, "
        "commits a ConfigRepository that follows its own folder, pushes, and "
        "applies it here. May be repeated: what is done already stays as it "
        "is, and what was interrupted is finished. Exit code 0: done, 1: "
        "something is in the way (the message says what to do), 2: wrong "
        "usage.",
    )
    parser.add_argument(
        "url", metavar="URL|DIR", help="https://, ssh://, file://, or a folder"
    )
    _add_layout(parser)
    _add_credentials(parser)
    parser.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="bound of each git command, and of the wait until it is applied "
        "(default: 60)",
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="do not wait until it is"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be done; nothing is written anywhere",
    )
    add_output(parser, "text", default="text")
    parser.set_defaults(run=run)


def _add_layout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name",
        default="fleet",
        help="name of the ConfigRepository (default: fleet)",
    )
    parser.add_argument(
        "--branch", default="main", help="branch to follow (default: main)"
    )
    parser.add_argument(
        "--path",
        default="",
        metavar="FOLDER",
        help="folder of the repository to follow (default: clusters/NAME)",
    )
    parser.add_argument(
        "--interval", default="1m", help="how often it is read (default: 1m)"
    )
    parser.add_argument(
        "--write-back",
        action="store_true",
        help="let promotions be committed to it",
    )
    parser.add_argument(
        "--init",
        action="store_true",
        help="make an empty bare repository where DIR has none",
    )


def _add_credentials(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--secret-name",
        metavar="NAME",
        help="Secret with the credentials (default: NAME-git)",
    )
    parser.add_argument(
        "--private-key-file",
        type=Path,
        metavar="FILE",
        help="ssh: the deploy key; made there if it does not exist. Without "
        "it, a new key is kept in the Secret only",
    )
    parser.add_argument(
        "--known-hosts",
        type=Path,
        metavar="FILE",
        default=Path.home() / ".ssh" / "known_hosts",
        help="ssh: where the host key is known from (~/.ssh/known_hosts)",
    )
    parser.add_argument(
        "--host-key",
        metavar="SHA256:...",
        help="ssh: the host key that the server has to show, instead",
    )
    parser.add_argument(
        "--username", default="git", help="https: user name (default: git)"
    )
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help="https: file with the token or password; or $GIT_PASSWORD",
    )
    parser.add_argument(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help="https: certificate of a private authority",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it, or say what would be done."""
    from reconciler.cli.bootstrap.report import Report
    from reconciler.cli.bootstrap.steps import Bootstrap
    from reconciler.cli.session import Session, kubeconfig_of
    from reconciler.gitops.bootstrap.layout import LayoutError

    report = Report(dry_run=arguments.dry_run)
    kubeconfig = kubeconfig_of(arguments.kubeconfig, arguments.state)
    try:
        with Session(kubeconfig) as session:
            Bootstrap(arguments, session, report).play()
    except LayoutError as error:
        report.error = CommandError(str(error), code=2)
    except CommandError as error:
        report.error = error
    if shown := report.rendered(arguments.output):
        print(shown)
    if report.error is not None:
        report.error.told = True
        raise report.error
    return 0
