"""`reconciler secret`: encrypt files for Git, without any other tool."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml.nodes import Node

from reconciler.cli.errors import CommandError
from reconciler.gitops.documents import BuildError, compose, decode
from reconciler.gitops.sops.errors import SopsError
from reconciler.gitops.sops.keys import AgeKeys, IdentityError, new_identity
from reconciler.gitops.sops.metadata import Rules
from reconciler.gitops.sops.opener import Opener
from reconciler.gitops.sops.sealing import SECRETS, as_json, as_yaml, seal
from reconciler.runs.protocol import write_atomically

KEY_FILE = "SOPS_AGE_KEY_FILE"
INVALID = 2


def add_parser(commands: Any) -> None:
    """Declare the commands."""
    parser = commands.add_parser(
        "secret",
        help="encrypt Secrets for Git, as SOPS does it with age",
        description="Makes and reads SOPS files with age keys; `sops` reads "
        "and edits them too. See docs/configrepository.md.",
    )
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    keygen = actions.add_parser(
        "keygen",
        help="make an age identity",
        description="Writes a new age identity to FILE, which must not "
        "exist, and prints its recipient (age1...).",
    )
    keygen.add_argument("file", metavar="FILE", type=Path)
    keygen.set_defaults(run=_keygen)
    _add_encrypt(actions)
    decrypt = actions.add_parser(
        "decrypt",
        help="print a file in clear",
        description="Prints FILE decrypted, after its checksum was verified.",
    )
    decrypt.add_argument("file", metavar="FILE", type=Path)
    add_key(decrypt)
    decrypt.set_defaults(run=_decrypt)


def _add_encrypt(actions: Any) -> None:
    encrypt = actions.add_parser(
        "encrypt",
        help="encrypt a YAML or JSON file",
        description="Prints FILE with data and stringData encrypted; comments "
        "are left out, for they may tell what is secret.",
    )
    encrypt.add_argument("file", metavar="FILE", type=Path)
    encrypt.add_argument(
        "--age",
        metavar="RECIPIENT",
        action="append",
        required=True,
        help="who can decrypt it (age1...); may be repeated",
    )
    encrypt.add_argument(
        "--encrypted-regex",
        metavar="RE",
        default=SECRETS.encrypted_regex,
        help="fields that are encrypted, with all below them (default: "
        "%(default)s)",
    )
    encrypt.add_argument(
        "-i",
        "--in-place",
        action="store_true",
        help="write it back to FILE instead of printing it",
    )
    encrypt.set_defaults(run=_encrypt)


def add_key(parser: argparse.ArgumentParser) -> None:
    """Declare where identities are read from."""
    parser.add_argument(
        "--age-key",
        metavar="FILE",
        type=Path,
        help=f"file with age identities (default: ${KEY_FILE})",
    )


def keys_of(arguments: argparse.Namespace) -> AgeKeys | None:
    """The identities that the options or the environment name, if any.

    Raises:
        CommandError: the file cannot be read, or has none.
    """
    named = arguments.age_key or os.environ.get(KEY_FILE)
    if not named:
        return None
    try:
        return AgeKeys.file(str(named), _read(Path(named)))
    except IdentityError as error:
        raise CommandError(str(error), INVALID) from error


def _keygen(arguments: argparse.Namespace) -> int:
    identity, recipient = new_identity()
    content = f"# public key: {recipient}\n{identity}\n"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        made = os.open(arguments.file, flags, 0o600)
        with os.fdopen(made, "w") as file:
            file.write(content)
    except OSError as error:
        msg = f"{arguments.file}: {error.strerror}"
        raise CommandError(msg, INVALID) from error
    print(recipient)
    return 0


def _encrypt(arguments: argparse.Namespace) -> int:
    path: Path = arguments.file
    data = _read(path)
    rules = Rules(encrypted_regex=arguments.encrypted_regex)
    try:
        rules.check()
        nodes = _nodes(path, data)
        metadata = seal(nodes, arguments.age, rules)
    except SopsError as error:
        msg = f"{path}:{error.line}: {error.reason}"
        raise CommandError(msg, INVALID) from error
    except (BuildError, IdentityError) as error:
        raise CommandError(str(error), INVALID) from error
    if path.suffix == ".json":
        text = as_json(nodes[0], metadata)
    else:
        text = as_yaml(nodes, metadata)
    if arguments.in_place:
        _replace(path, text.encode())
    else:
        sys.stdout.write(text)
    return 0


def _decrypt(arguments: argparse.Namespace) -> int:
    path: Path = arguments.file
    keys = keys_of(arguments)
    if keys is None:
        msg = f"no key: give --age-key FILE, or set {KEY_FILE}"
        raise CommandError(msg, INVALID)
    try:
        nodes = _nodes(path, _read(path))
        if not Opener(keys).open(nodes):
            msg = f"{path} is not encrypted"
            raise CommandError(msg, INVALID)
    except SopsError as error:
        msg = f"{path}:{error.line}: {error.reason}"
        raise CommandError(msg, INVALID) from error
    except BuildError as error:
        raise CommandError(str(error), INVALID) from error
    json = path.suffix == ".json"
    sys.stdout.write(as_json(nodes[0]) if json else as_yaml(nodes))
    return 0


def _nodes(path: Path, data: bytes) -> list[Node]:
    nodes = compose(str(path), decode(str(path), data))
    if path.suffix == ".json" and len(nodes) > 1:
        line = nodes[1].start_mark.line + 1
        raise BuildError(str(path), line, "a JSON file has one document")
    return nodes


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise CommandError(msg, INVALID) from error


def _replace(path: Path, data: bytes) -> None:
    path = path.resolve()  # what a link leads to, not the link
    mode = path.stat().st_mode & 0o777
    try:
        write_atomically(path, data)
        path.chmod(mode)
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise CommandError(msg, INVALID) from error
