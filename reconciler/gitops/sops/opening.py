"""Opens the nodes of an encrypted YAML or JSON file in place.

The tree is walked as SOPS walks it, so that the checksum is over the same
values in the same order: SHA-512, encrypted with the data key and bound to
the time of the last change.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from typing_extensions import override

from reconciler.gitops.sops.cipher import decrypt, encrypt
from reconciler.gitops.sops.errors import SopsError
from reconciler.gitops.sops.metadata import FIELD, Metadata
from reconciler.gitops.sops.scalars import Plain, joined, plain

MAX_DEPTH = 64
ONLY_ENCRYPTED = hashlib.sha256(b"sops").digest()
"""What a checksum over encrypted values alone starts with."""

IDENTITY = ("apiVersion", "kind", "metadata")
"""Fields of a Kubernetes object that have to be readable."""

_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_TAG = "tag:yaml.org,2002:"
_TAGS = {"int": "int", "float": "float", "bool": "bool"}


class Opened(ScalarNode):
    """A scalar that was encrypted, in clear; not to be shown or changed."""

    @override
    def __repr__(self) -> str:
        return f"Opened({self.tag})"


def sealed(nodes: Sequence[Node]) -> MappingNode | None:
    """The ``sops`` mapping of a file's first document, if it has one."""
    return _metadata_of(nodes[0]) if nodes else None


def _metadata_of(node: Node) -> MappingNode | None:
    if not isinstance(node, MappingNode):
        return None
    found = [item for key, item in node.value if key.value == FIELD]
    mapping = found[0] if found else None
    return mapping if isinstance(mapping, MappingNode) else None


def in_clear(node: Node) -> bool:
    """Whether a document is a Secret none of whose values was encrypted."""
    fields = node.value if isinstance(node, MappingNode) else []
    if not any((k.value, v.value) == ("kind", "Secret") for k, v in fields):
        return False
    values = [
        item
        for key, part in fields
        if key.value in ("data", "stringData")
        and isinstance(part, MappingNode)
        for _, item in part.value
        if item.value
    ]
    return bool(values) and not any(isinstance(v, Opened) for v in values)


def without_metadata(node: Node) -> None:
    """Take ``sops`` out of a document.

    Raises:
        SopsError: it is there twice.
    """
    if not isinstance(node, MappingNode):
        line = node.start_mark.line + 1
        raise SopsError("is encrypted, and no mapping", line)
    rest = [(k, v) for k, v in node.value if k.value != FIELD]
    if len(node.value) - len(rest) > 1:
        line = node.start_mark.line + 1
        msg = f"key {FIELD!r} appears twice"
        raise SopsError(msg, line)
    node.value = rest


def open_nodes(
    nodes: Sequence[Node],
    metadata: Metadata,
    key: bytes,
    *,
    check: bool,
    readable: Sequence[str] = IDENTITY,
) -> None:
    """Decrypt the documents of a file in place, without their metadata.

    Args:
        nodes: the documents.
        metadata: of the file.
        key: its data key.
        check: whether to verify the checksum.
        readable: fields that may not be encrypted, with all below them.

    Raises:
        SopsError: a value cannot be decrypted, or the checksum is another.
    """
    walk = _Walk(metadata, key, readable)
    for node in nodes:
        without_metadata(node)
        walk.value(node, ())
    if check:
        walk.verify()


@dataclass
class _Walk:
    metadata: Metadata
    key: bytes = field(repr=False)
    readable: Sequence[str]
    seen: set[int] = field(default_factory=set)
    depth: int = 0

    def __post_init__(self) -> None:
        self.digest = new_digest(self.metadata)

    def verify(self) -> None:
        """Compare the checksum.

        Raises:
            SopsError: a value or the order of values was changed.
        """
        meta = self.metadata
        try:
            told = decrypt(meta.mac, self.key, meta.modified).text
        except SopsError as error:
            msg = f"{FIELD}.mac: {error.reason}"
            raise SopsError(msg) from error
        found = self.digest.hexdigest().upper()
        if not hmac.compare_digest(told.encode(), found.encode()):
            reason = (
                f"{FIELD}.mac: the checksum is another: something was "
                "changed since the file was encrypted"
            )
            raise SopsError(reason)

    def value(self, node: Node, path: tuple[str, ...]) -> None:
        self._once(node, path)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            reason = f"is nested more than {MAX_DEPTH} deep"
            raise self._error(node, path[:3], reason)
        if isinstance(node, MappingNode):
            self._mapping(node, path)
        elif isinstance(node, SequenceNode):
            for index, item in enumerate(node.value):
                node.value[index] = self._item(item, path)
        self.depth -= 1

    def _mapping(self, node: MappingNode, path: tuple[str, ...]) -> None:
        for index, (key, item) in enumerate(node.value):
            self._once(key, path)
            if not isinstance(key, ScalarNode):
                raise self._error(key, path, "a key has to be plain text")
            below = (*path, text_of(key))
            node.value[index] = (key, self._item(item, below))

    def _item(self, node: Node, path: tuple[str, ...]) -> Node:
        if not isinstance(node, ScalarNode):
            self.value(node, path)
            return node
        self._once(node, path)
        try:
            return self._scalar(node, path)
        except SopsError as error:
            raise self._error(node, path, error.reason) from error

    def _scalar(self, node: ScalarNode, path: tuple[str, ...]) -> ScalarNode:
        found = scalar(node)
        if found is None:
            return node
        encrypted = self.metadata.rules.encrypted(path)
        if not encrypted:
            if not self.metadata.only_encrypted:
                self.digest.update(found.text.encode())
            return node
        if found.type != "str":
            raise SopsError("is not encrypted, and has to be")
        opened = decrypt(found.text, self.key, additional(path))
        self.digest.update(opened.text.encode())
        if path[0] in self.readable and found.text:
            reason = (
                "has to be readable: encrypt only data and stringData "
                "(--encrypted-regex '^(data|stringData)$')"
            )
            raise SopsError(reason)
        return _in_clear(node, opened)

    def _once(self, node: Node, path: tuple[str, ...]) -> None:
        """SOPS writes no aliases; two paths to one value would be strange."""
        if id(node) in self.seen:
            reason = "aliases are not supported in an encrypted file"
            raise self._error(node, path, reason)
        self.seen.add(id(node))

    def _error(
        self, node: Node, path: tuple[str, ...], reason: str
    ) -> SopsError:
        where = ".".join(path)
        text = f"{where}: {reason}" if where else reason
        return SopsError(text, node.start_mark.line + 1)


def new_digest(metadata: Metadata) -> hashlib._Hash:
    """The checksum before the first value."""
    start = ONLY_ENCRYPTED if metadata.only_encrypted else b""
    return hashlib.sha512(start)


def sealed_digest(digest: hashlib._Hash, key: bytes, modified: str) -> str:
    """The checksum as the metadata has it."""
    return encrypt(Plain("str", digest.hexdigest().upper()), key, modified)


def additional(path: Sequence[str]) -> str:
    """What a value is bound to; items of a list have the path of the list."""
    return ":".join(path) + ":"


def text_of(node: ScalarNode) -> str:
    """Its text.

    Raises:
        SopsError: it is none.
    """
    try:
        return joined(str(node.value))
    except ValueError as error:
        raise SopsError(str(error), node.start_mark.line + 1) from error


def scalar(node: ScalarNode) -> Plain | None:
    """A scalar as SOPS reads it; None for null.

    Raises:
        SopsError: SOPS would not take it.
    """
    if node.style is not None:
        return Plain("str", text_of(node))
    try:
        return plain(text_of(node))
    except ValueError as error:
        raise SopsError(str(error)) from error


def _in_clear(node: ScalarNode, opened: Plain) -> ScalarNode:
    kind = _TAGS.get(opened.type, "str")
    if kind == "float" and _WHOLE.fullmatch(opened.text):
        kind = "int"  # SOPS takes every number of a JSON file for a float
    tag = _TAG + kind
    style = None if opened.type in _TAGS else '"'
    return Opened(
        tag, opened.text, node.start_mark, node.end_mark, style=style
    )
