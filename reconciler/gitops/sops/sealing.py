"""Makes SOPS files: encrypts the values of YAML and JSON for age recipients.

What is written is what SOPS 3.11 writes, so that ``sops`` can read, edit and
rotate it. Only comments are left out: they may tell what the values are.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from reconciler.gitops.sops.cipher import KEY_BYTES, encrypt
from reconciler.gitops.sops.errors import SopsError
from reconciler.gitops.sops.keys import sealed_for
from reconciler.gitops.sops.metadata import FIELD, Metadata, Rules
from reconciler.gitops.sops.opening import (
    IDENTITY,
    MAX_DEPTH,
    additional,
    new_digest,
    scalar,
    sealed,
    sealed_digest,
    text_of,
)

SECRETS = Rules(encrypted_regex="^(data|stringData)$")
"""What is secret of a Secret."""

FORMAT = "3.11.0"
"""The version of SOPS whose format this is."""

_STR = "tag:yaml.org,2002:str"
_WIDTH = 2**20


def seal(
    nodes: Sequence[Node],
    recipients: Sequence[str],
    rules: Rules = SECRETS,
    now: datetime | None = None,
) -> Metadata:
    """Encrypt the documents of a file in place; returns its metadata.

    Args:
        nodes: the documents of the file.
        recipients: age recipients, any of whom can decrypt.
        rules: which fields are encrypted.
        now: what is written as the time of the change.

    Raises:
        SopsError: it is encrypted already, cannot be, or need not be.
        IdentityError: one is no age recipient.
    """
    if any(sealed([node]) is not None for node in nodes):
        raise SopsError("is encrypted already")
    key = os.urandom(KEY_BYTES)
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    draft = Metadata(
        sealed_for(recipients, key),
        rules,
        f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        mac="",
    )
    walk = _Walk(draft, key)
    for node in nodes:
        if not isinstance(node, MappingNode):
            reason = "is no mapping, and cannot be encrypted"
            raise SopsError(reason, node.start_mark.line + 1)
        walk.value(node, ())
    if not walk.count:
        reason = "has nothing to encrypt: no field of it is meant"
        raise SopsError(reason)
    mac = sealed_digest(walk.digest, key, draft.modified)
    return Metadata(draft.recipients, rules, draft.modified, mac)


@dataclass
class _Walk:
    metadata: Metadata
    key: bytes = field(repr=False)
    count: int = 0
    seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.digest = new_digest(self.metadata)

    def value(self, node: Node, path: tuple[str, ...], depth: int = 0) -> Node:
        if depth > MAX_DEPTH:
            reason = f"is nested more than {MAX_DEPTH} deep"
            raise self._error(node, path[:3], reason)
        if id(node) in self.seen:
            reason = "aliases cannot be encrypted; write the value out"
            raise self._error(node, path, reason)
        self.seen.add(id(node))
        if isinstance(node, MappingNode):
            node.value = [
                (key, self.value(item, self._below(key, path), depth + 1))
                for key, item in node.value
            ]
        elif isinstance(node, SequenceNode):
            node.value = [
                self.value(item, path, depth + 1) for item in node.value
            ]
        elif isinstance(node, ScalarNode):
            return self._scalar(node, path)
        return node

    def _below(self, key: Node, path: tuple[str, ...]) -> tuple[str, ...]:
        if not isinstance(key, ScalarNode):
            raise self._error(key, path, "a key has to be plain text")
        return (*path, text_of(key))

    def _scalar(self, node: ScalarNode, path: tuple[str, ...]) -> ScalarNode:
        try:
            found = scalar(node)
        except SopsError as error:
            raise self._error(node, path, error.reason) from error
        if found is None:
            return node
        self.digest.update(found.text.encode())
        if not self.metadata.rules.encrypted(path):
            return node
        if path[0] in IDENTITY:
            reason = "has to stay readable; encrypt only what is secret"
            raise self._error(node, path, reason)
        self.count += 1
        text = encrypt(found, self.key, additional(path))
        style = None if text else '"'
        return ScalarNode(
            _STR, text, node.start_mark, node.end_mark, style=style
        )

    def _error(
        self, node: Node, path: tuple[str, ...], reason: str
    ) -> SopsError:
        text = f"{'.'.join(path)}: {reason}" if path else reason
        return SopsError(text, node.start_mark.line + 1)


def as_yaml(nodes: Sequence[Node], metadata: Metadata | None = None) -> str:
    """Documents as YAML, each with the metadata."""
    return "---\n".join(_document(node, metadata) for node in nodes)


def _document(node: Node, metadata: Metadata | None) -> str:
    if metadata is not None:
        _append(node, metadata)
    _block(node)
    yaml = YAML(typ="safe", pure=True)  # it serializes once
    yaml.width = _WIDTH
    yaml.allow_unicode = True
    stream = io.StringIO()
    yaml.serialize(node, stream)
    return stream.getvalue()


def as_json(node: Node, metadata: Metadata | None = None) -> str:
    """One document as JSON, with the metadata."""
    value = _value(node)
    if metadata is not None:
        value[FIELD] = _raw(metadata)
    return json.dumps(value, indent="\t", ensure_ascii=False) + "\n"


def _append(node: Node, metadata: Metadata) -> None:
    yaml = YAML(pure=True)  # it keeps the order
    yaml.width = _WIDTH
    stream = io.StringIO()
    yaml.dump({FIELD: _raw(metadata)}, stream)
    made = YAML(typ="safe", pure=True).compose(stream.getvalue())
    node.value = [*node.value, *made.value]


def _block(node: Node) -> None:
    """Lay it out in lines, and texts of several lines as they are."""
    if isinstance(node, MappingNode):
        node.flow_style = not node.value
        for _, item in node.value:
            _block(item)
    elif isinstance(node, SequenceNode):
        node.flow_style = not node.value
        for item in node.value:
            _block(item)
    elif isinstance(node, ScalarNode) and "\n" in node.value:
        node.style = "|"


def _raw(metadata: Metadata) -> dict[str, Any]:
    rules = {k: v for k, v in vars(metadata.rules).items() if v}
    age = [{"recipient": r.name, "enc": r.enc} for r in metadata.recipients]
    return {
        "age": age,
        "lastmodified": metadata.modified,
        "mac": metadata.mac,
        **rules,
        "version": FORMAT,
    }


def _value(node: Node) -> Any:
    """The JSON value of a document that was read from JSON."""
    if isinstance(node, MappingNode):
        return {text_of(k): _value(v) for k, v in node.value}
    if isinstance(node, SequenceNode):
        return [_value(item) for item in node.value]
    found = scalar(node) if isinstance(node, ScalarNode) else None
    if found is None:
        return None
    if found.type == "int":
        return int(found.text)
    if found.type == "float":
        return float(found.text)
    return found.text == "True" if found.type == "bool" else found.text
