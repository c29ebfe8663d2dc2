"""``reconciler controlplane``: the API server on its own, and its care."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reconciler.controlplane import credentials
from reconciler.controlplane.files import write_private
from reconciler.controlplane.server import (
    ControlPlane,
    LockedError,
    StorageError,
)
from reconciler.controlplane.upkeep import cli as upkeep

_REMOTE = """\
{host} is no loopback address: other machines could reach this server.
If that is wanted, add --remote-name NAME with the host name or address that
they use (repeatable). They need the token of the kubeconfig that is written,
or a certificate made by `reconciler controlplane user`."""

_LONGEST_NAME = 64
"""Of a common name and an organization in a certificate (RFC 5280)."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reconciler controlplane",
        description="A Kubernetes API for one machine: no cluster, one file.",
    )
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True
    )
    _add_serve(commands)
    _add_user(commands)
    upkeep.add_parsers(commands, _add_state)
    return parser


def _add_state(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        required=True,
        help="directory of the database, certificates and lock",
    )


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve", help="serve in the foreground until SIGTERM or Ctrl-C"
    )
    _add_state(serve)
    serve.add_argument(
        "--port",
        type=int,
        default=0,
        help="port to listen on; 0 takes the last one, or any",
    )
    serve.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="where to write the kubeconfig (default: in the state directory)",
    )
    serve.add_argument(
        "--listen",
        metavar="ADDRESS",
        type=ipaddress.ip_address,
        default=ipaddress.ip_address(credentials.ADDRESS),
        help="address to listen on (default: %(default)s)",
    )
    serve.add_argument(
        "--remote-name",
        metavar="NAME",
        type=_remote_name,
        action="append",
        default=[],
        help="let other machines in, which reach this one by NAME",
    )
    serve.set_defaults(run=_run_serve)


def _remote_name(text: str) -> str:
    """A host name or an address that can stand in a certificate."""
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(text))
    if not re.fullmatch(r"[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?", text):
        msg = f"{text!r} is no host name and no address"
        raise argparse.ArgumentTypeError(msg)
    return text


def _add_user(commands: Any) -> None:
    user = commands.add_parser(
        "user",
        help="make a kubeconfig with a client certificate",
        description="Makes a kubeconfig for a user, who may then do what "
        "RBAC allows. The server must have been started once; it need not "
        "run.",
    )
    _add_state(user)
    user.add_argument("name", metavar="NAME", help="name of the user")
    user.add_argument(
        "--group",
        metavar="GROUP",
        action="append",
        default=[],
        help="a group of the user; system:masters may do everything",
    )
    user.add_argument(
        "--days",
        type=int,
        default=365,
        help="how long the certificate is valid (default: %(default)s)",
    )
    user.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        required=True,
        help="where to write the kubeconfig",
    )
    user.set_defaults(run=_run_user)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 after a clean stop, 1 if the state or the port cannot be used, 2 if
    the options make no sense.
    """
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        code: int = options.run(options)
    except (LockedError, StorageError, OSError) as error:
        return _refused(str(error), 1)
    return code


def _refused(why: str, code: int) -> int:
    sys.stderr.write(f"reconciler controlplane: {why}\n")
    return code


def _run_serve(options: argparse.Namespace) -> int:
    host, names = options.listen, options.remote_name
    if not host.is_loopback and not names:
        return _refused(_REMOTE.format(host=host), 2)
    if host.is_loopback and names:
        why = f"--remote-name needs --listen: {host} is a loopback address"
        return _refused(why, 2)
    plane = ControlPlane(
        options.state,
        options.port,
        options.kubeconfig,
        host=str(host),
        names=names,
        holder="`reconciler controlplane serve`",
    )
    asyncio.run(_serve(plane))
    return 0


def _run_user(options: argparse.Namespace) -> int:
    identity = options.state / "identity"
    if not 1 <= options.days <= credentials.VALID_DAYS:
        why = f"--days must be from 1 to {credentials.VALID_DAYS}"
        return _refused(why, 2)
    for text in (options.name, *options.group):
        if not 1 <= len(text) <= _LONGEST_NAME:
            why = f"{text!r} must have from 1 to {_LONGEST_NAME} characters"
            return _refused(why, 2)
    try:
        url = (options.state / "url").read_text()
        authority = (identity / "ca.crt").read_bytes()
        user = credentials.client_user(
            identity, options.name, options.group, options.days
        )
    except FileNotFoundError:
        why = (
            f"no server was ever started on {options.state}; run "
            f"`reconciler controlplane serve --state {options.state}` first"
        )
        return _refused(why, 1)
    config = credentials.kubeconfig(url, authority, user)
    write_private(options.output, config)
    sys.stdout.write(f"{options.output}: {options.name} at {url}\n")
    return 0


async def _serve(plane: ControlPlane) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await plane.start()
    sys.stdout.write(f"ready {plane.url} kubeconfig {plane.kubeconfig}\n")
    sys.stdout.flush()
    await stop.wait()
    await plane.stop()
