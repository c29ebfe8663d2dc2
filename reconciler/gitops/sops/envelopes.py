"""Encrypted files of any content: what a Secret is generated from.

SOPS keeps YAML and JSON as they are, anything else as the text ``data`` of a
JSON file, and env files line by line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml.error import StringMark
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from reconciler.gitops.sops.errors import SopsError
from reconciler.gitops.sops.keys import AgeKeys
from reconciler.gitops.sops.metadata import Metadata
from reconciler.gitops.sops.opening import Opened, open_nodes, sealed
from reconciler.gitops.sops.sealing import as_json, as_yaml

Compose = Callable[[str, bytes], list[Node]]
Lines = list[tuple[str, str]]

_STR = "tag:yaml.org,2002:str"
_FLAT = re.compile(
    r"sops_(?P<name>\w+?)(?:__list_(?P<at>\d+)__map_(?P<of>\w+))?"
)
_MARKERS = (b"mac: ENC[", b'"mac": "ENC[', b"sops_mac=ENC[")
_MOST = 1000


@dataclass(frozen=True)
class Content:
    """What is in an encrypted file, in clear."""

    whole: bytes = field(default=b"", repr=False)
    lines: Lines = field(default_factory=list, repr=False)
    """Of an env file: names and values."""

    secret: frozenset[str] = frozenset()
    """Names of the lines that were encrypted."""


def content(
    name: str,
    file: str,
    data: bytes,
    compose: Compose,
    keys: AgeKeys | None,
) -> Content | None:
    """Open a file; None if it is not encrypted.

    Args:
        name: what the file is called in the Secret: tells its format.
        file: its path, for messages.
        data: its bytes.
        compose: parses YAML.
        keys: the identities.

    Raises:
        SopsError: it is encrypted, and cannot be opened or trusted.
    """
    if name.endswith(".env"):
        return _lines(data, keys)
    if b"sops" not in data or b"ENC[" not in data:
        return None
    if name.endswith(".ini"):
        raise SopsError("ini files that are encrypted are not supported")
    nodes = compose(file, data)
    mapping = sealed(nodes)
    if mapping is None:
        return None
    _open(nodes, Metadata.of(mapping), keys)
    return Content(_text(name, nodes).encode())


def inside(
    name: str, data: bytes, compose: Compose, keys: AgeKeys | None
) -> bytes | None:
    """What is in a value of a Secret that is an encrypted file, in clear.

    Returns:
        None if it is no encrypted file.

    Raises:
        SopsError: it is one, and cannot be opened or trusted.
    """
    if not any(marker in data for marker in _MARKERS):
        return None
    found = content(name, name, data, compose, keys)
    if found is None:
        reason = (
            "is an encrypted file of another format than its name tells "
            "(.yaml, .json, .env, else a binary file)"
        )
        raise SopsError(reason)
    lines = "".join(f"{key}={value}\n" for key, value in found.lines)
    return lines.encode() if found.lines else found.whole


def _text(name: str, nodes: list[Node]) -> str:
    if name.endswith((".yaml", ".yml")):
        return as_yaml(nodes)
    if name.endswith((".json", ".dockerconfigjson")):
        return as_json(nodes[0])
    root = nodes[0]
    fields = root.value if isinstance(root, MappingNode) else []
    found = [v for k, v in fields if k.value == "data"]
    if len(found) != 1 or not isinstance(found[0], ScalarNode):
        reason = (
            "is no binary file of SOPS; a YAML or JSON file has to be called "
            "so in the Secret too"
        )
        raise SopsError(reason)
    return str(found[0].value)


def _open(nodes: list[Node], metadata: Metadata, keys: AgeKeys | None) -> None:
    if keys is None:
        reason = (
            "is encrypted with SOPS, and there is no key to open it; set "
            "spec.decryption"
        )
        raise SopsError(reason)
    key = keys.data_key(metadata)
    open_nodes(nodes, metadata, key, check=True, readable=())


def _lines(data: bytes, keys: AgeKeys | None) -> Content | None:
    """An env file; a line break in a value is an escape in the file."""
    if b"sops_mac=" not in data:
        return None
    pairs = [
        (name, value)
        for line in data.decode("utf-8", "replace").split("\n")
        if "=" in line and not line.startswith("#")
        for name, _, value in [line.partition("=")]
    ]
    metadata = Metadata.read(_unflattened(pairs))
    rest = [(n, v) for n, v in pairs if not n.startswith("sops_")]
    root = MappingNode("tag:yaml.org,2002:map", [_pair(n, v) for n, v in rest])
    root.start_mark = root.end_mark = _nowhere()
    _open([root], metadata, keys)
    return Content(
        lines=[
            (k.value, str(v.value).replace("\n", "\\n")) for k, v in root.value
        ],
        secret=frozenset(
            k.value for k, v in root.value if isinstance(v, Opened)
        ),
    )


def _pair(name: str, value: str) -> tuple[ScalarNode, ScalarNode]:
    mark, text = _nowhere(), value.replace("\\n", "\n")
    return (
        ScalarNode(_STR, name, mark, mark, style='"'),
        ScalarNode(_STR, text, mark, mark, style='"'),
    )


def _nowhere() -> StringMark:
    return StringMark("", 0, 0, 0, "", 0)


def _unflattened(pairs: Lines) -> Mapping[str, Any]:
    """``sops_age__list_0__map_enc`` is ``age[0].enc``."""
    raw: dict[str, Any] = {}
    for flat, value in pairs:
        found = _FLAT.fullmatch(flat)
        if found is None:
            continue
        text = value.replace("\\n", "\n")
        if found["at"] is None:
            raw[found["name"]] = text
            continue
        items = raw.setdefault(found["name"], [])
        at = int(found["at"][:6])
        if not isinstance(items, list) or at > min(len(items), _MOST):
            msg = f"sops.{found['name']}: the list is not in order"
            raise SopsError(msg)
        items += [{}] if at == len(items) else []
        items[at][found["of"]] = text
    return raw
