"""The Secret with which the repository is read and written."""

from __future__ import annotations

import argparse
import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.cli.errors import CommandError
from reconciler.gitops.bootstrap import deploykey, hostkeys
from reconciler.gitops.bootstrap.deploykey import DeployKey, DeployKeyError
from reconciler.gitops.bootstrap.hostkeys import Host, HostKeyError
from reconciler.gitops.credentials import CredentialsError, unlocked

KEPT_THERE = "the Secret"
PASSWORD = "GIT_PASSWORD"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class Identity:
    """What the Secret should hold."""

    values: Mapping[str, bytes] = field(repr=False)
    key: DeployKey | None = None
    made: bool = False
    """Whether the key is new."""

    place: str = ""
    """Where the key came from or went to."""


def wanted(
    arguments: argparse.Namespace, url: str, live: Mapping[str, bytes] | None
) -> Identity | None:
    """The credentials for a URL; None if it needs none.

    Args:
        arguments: of the command.
        url: of the repository.
        live: content of the Secret, if it exists.

    Raises:
        CommandError: a key or a host key is missing or wrong.
    """
    scheme = url.partition("://")[0]
    try:
        if scheme == "ssh":
            return _ssh(arguments, url, live)
        return _http(arguments, live)
    except (CredentialsError, DeployKeyError, HostKeyError) as error:
        raise CommandError(str(error)) from error


def _ssh(
    arguments: argparse.Namespace, url: str, live: Mapping[str, bytes] | None
) -> Identity:
    hosts = _known_hosts(arguments, Host.of(url), live)
    comment = f"reconciler-{arguments.namespace}-{arguments.name}"
    key, made, place = _key(arguments, live, comment)
    if live and place == KEPT_THERE:
        values = dict(live)  # with its password, if a person made it
    else:
        values = {"identity": key.private}
        values["identity.pub"] = f"{key.public}\n".encode()
    return Identity(values | {"known_hosts": hosts}, key, made, place)


def _key(
    arguments: argparse.Namespace,
    live: Mapping[str, bytes] | None,
    comment: str,
) -> tuple[DeployKey, bool, str]:
    """The key, whether it is new, and where it is kept.

    One that was given wins over the one in the Secret, and that one over a
    new one: a run that was interrupted does not lead to a second key.
    """
    file: Path | None = arguments.private_key_file
    if file is not None:
        dry = arguments.dry_run
        key, made = deploykey.kept(file, comment, dry_run=dry)
        return key, made, str(file)
    if live and live.get("identity"):
        private, password = live["identity"], live.get("password")
        if password:
            private = unlocked(private, password)
        return deploykey.read(private, comment), False, KEPT_THERE
    return deploykey.generate(comment), True, "the Secret only"


def _known_hosts(
    arguments: argparse.Namespace,
    host: Host,
    live: Mapping[str, bytes] | None,
) -> bytes:
    """The pinned host key: as named, as in the Secret, or as known."""
    if arguments.host_key:
        return hostkeys.pinned(host, arguments.host_key)
    if live and live.get("known_hosts"):
        return live["known_hosts"]
    found = hostkeys.known(arguments.known_hosts, host)
    if not found:
        raise hostkeys.unknown(host, arguments.known_hosts)
    return found


def _http(
    arguments: argparse.Namespace, live: Mapping[str, bytes] | None
) -> Identity | None:
    values = dict(live or {})
    password = os.environ.get(PASSWORD, "").encode()
    if arguments.password_file is not None:
        password = _read(arguments.password_file).strip()
    if password:
        values["username"] = arguments.username.encode()
        values["password"] = password
    if arguments.ca_file is not None:
        values["ca.crt"] = _read(arguments.ca_file)
    return Identity(values) if values else None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        msg = f"{file}: {error.strerror}"
        raise CommandError(msg) from error


def secret_body(
    namespace: str, name: str, values: Mapping[str, bytes]
) -> dict[str, Any]:
    """The Secret."""
    data = {k: base64.b64encode(v).decode() for k, v in values.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": data,
    }
