"""Which keys open which files of a revision."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from reconciler.engine.resource import GROUP
from reconciler.gitops.sops.cipher import is_encrypted
from reconciler.gitops.sops.envelopes import Compose, inside
from reconciler.gitops.sops.errors import SopsError
from reconciler.gitops.sops.keys import AgeKeys
from reconciler.gitops.sops.metadata import Metadata
from reconciler.gitops.sops.opening import (
    Opened,
    open_nodes,
    sealed,
    without_metadata,
)

LEFT = (f"{GROUP}/decrypt", "kustomize.toolkit.fluxcd.io/decrypt")
"""Annotations: ``disabled`` leaves an encrypted object to somebody else."""

_STR = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class Opener:
    """Opens encrypted files, or refuses them.

    Attributes:
        keys: the identities; None: an encrypted file is refused.
        closed: leave encrypted values as they are, to compare them only.
        sources: the files that kustomize built from: what it made of an
            encrypted one is trusted if that one is.
        stand_ins: data that kustomize generated Secrets from, to what it
            stands for, both base64.
    """

    keys: AgeKeys | None = None
    closed: bool = False
    sources: Sources | None = field(default=None, compare=False)
    stand_ins: Mapping[str, str] = field(
        default_factory=dict, compare=False, repr=False
    )

    def open(
        self, nodes: Sequence[Node], compose: Compose | None = None
    ) -> bool:
        """Decrypt a file's documents in place; whether they were encrypted.

        Args:
            nodes: the documents.
            compose: parses YAML that is a value; None: values are no files.

        Raises:
            SopsError: what cannot be decrypted or trusted, and why.
        """
        mapping = sealed(nodes)
        if mapping is None:
            self._refuse_rest(nodes)
            found = [self._values(node, compose) for node in nodes]
            return any(found)
        if _left(nodes[0]):
            return True
        if self.closed:
            _close(nodes)
            return True
        metadata = Metadata.of(mapping)
        if self.keys is None:
            reason = (
                "is encrypted with SOPS, and there is no key to open it; "
                "set spec.decryption"
            )
            raise SopsError(reason, nodes[0].start_mark.line + 1)
        key = self.keys.data_key(metadata)
        if self.sources is not None:
            self.sources.verify(metadata, key)
        open_nodes(nodes, metadata, key, check=self.sources is None)
        return True

    def _values(self, node: Node, compose: Compose | None) -> bool:
        """Open data of a Secret: stand-ins, and files that are encrypted.

        Returns:
            Whether there were any.
        """
        kind, data = _child(node, "kind"), _child(node, "data")
        if kind is None or kind.value != "Secret" or self.closed:
            return False
        if not isinstance(data, MappingNode) or _left(node):
            return False
        found = False
        for index, (key, item) in enumerate(data.value):
            text = str(item.value)
            value = self.stand_ins.get(text)
            if value is None and compose and isinstance(item, ScalarNode):
                value = self._inside(key, item, compose)
            if value is not None:
                found = True
                data.value[index] = (key, _opened(item, value))
        return found

    def _inside(
        self, key: Node, item: ScalarNode, compose: Compose
    ) -> str | None:
        try:
            data = base64.b64decode(item.value)
        except ValueError:
            return None  # the server says so
        name = str(key.value)
        try:
            found = inside(name, data, compose, self.keys)
        except SopsError as error:
            line = item.start_mark.line + 1
            msg = f"data.{name}: {error.reason}"
            raise SopsError(msg, line) from error
        return None if found is None else base64.b64encode(found).decode()

    def _refuse_rest(self, nodes: Sequence[Node]) -> None:
        """Nothing that is encrypted goes to the server as it is."""
        if self.closed:
            return
        for node in nodes:
            if sealed([node]) is not None:
                reason = (
                    "has sops metadata, and the first document of the file "
                    "has none"
                )
                raise SopsError(reason, node.start_mark.line + 1)
            found = None if _left(node) else _encrypted_value(node)
            if found is not None:
                reason = (
                    "an encrypted value without sops metadata in the same "
                    "file; encrypt one object in a file of its own"
                )
                raise SopsError(reason, found.start_mark.line + 1)


@dataclass
class Sources:
    """The encrypted files that an overlay is built from.

    kustomize sorts fields, so that the checksum of what it prints is another
    one. The checksum is verified in the file that the object comes from.
    """

    files: Mapping[str, bytes]
    compose: Compose
    _known: dict[str, list[tuple[str, Metadata]]] | None = None
    _verified: set[str] = field(default_factory=set)

    def verify(self, metadata: Metadata, key: bytes) -> None:
        """Verify the file that the metadata are of.

        Raises:
            SopsError: there is no such file, or it was tampered with.
        """
        found = [
            file
            for file, known in self._index().get(metadata.mac, [])
            if known == metadata
        ]
        if not found:
            reason = (
                "the sops metadata are not those of a file of the source; a "
                "patch may not change them"
            )
            raise SopsError(reason)
        for file in found:
            if file not in self._verified:
                self._verify(file, metadata, key)
                self._verified.add(file)

    def _verify(self, file: str, metadata: Metadata, key: bytes) -> None:
        nodes = self.compose(file, self.files[file])
        try:
            open_nodes(nodes, metadata, key, check=True)
        except SopsError as error:
            msg = f"{file}:{error.line}: {error.reason}"
            raise SopsError(msg) from error

    def _index(self) -> dict[str, list[tuple[str, Metadata]]]:
        if self._known is None:
            self._known = {}
            for file, data in sorted(self.files.items()):
                metadata = self._metadata(file, data)
                if metadata is not None:
                    entries = self._known.setdefault(metadata.mac, [])
                    entries.append((file, metadata))
        return self._known

    def _metadata(self, file: str, data: bytes) -> Metadata | None:
        if b"sops" not in data or not file.endswith(
            (".yaml", ".yml", ".json")
        ):
            return None
        try:
            mapping = sealed(self.compose(file, data))
            return Metadata.of(mapping) if mapping is not None else None
        except SopsError:
            return None  # of another environment: not what was built


def _left(node: Node) -> bool:
    """Whether an object asks not to be decrypted."""
    metadata = _child(node, "metadata")
    annotations = _child(metadata, "annotations")
    asked = (_child(annotations, name) for name in LEFT)
    return any(
        isinstance(found, ScalarNode) and found.value.lower() == "disabled"
        for found in asked
    )


def _child(node: Node | None, name: str) -> Node | None:
    if not isinstance(node, MappingNode):
        return None
    return next((v for k, v in node.value if k.value == name), None)


def _encrypted_value(root: Node) -> ScalarNode | None:
    seen, waiting = set(), [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, MappingNode):
            waiting += [item for _, item in node.value]
        elif isinstance(node, SequenceNode):
            waiting += node.value
        elif isinstance(node, ScalarNode) and is_encrypted(str(node.value)):
            return node
    return None


def _close(nodes: Sequence[Node]) -> None:
    """Without metadata; values stay encrypted, and are never substituted."""
    for node in nodes:
        without_metadata(node)
        waiting: list[Node] = [node]
        seen: set[int] = set()
        while waiting:
            here = waiting.pop()
            if id(here) in seen:
                continue
            seen.add(id(here))
            if isinstance(here, MappingNode):
                here.value = [(k, _shut(v)) for k, v in here.value]
                waiting += [v for _, v in here.value]
            elif isinstance(here, SequenceNode):
                here.value = [_shut(v) for v in here.value]
                waiting += here.value


def _shut(node: Node) -> Node:
    if not isinstance(node, ScalarNode) or not is_encrypted(str(node.value)):
        return node
    return _opened(node, str(node.value))


def _opened(node: Node, text: str) -> Opened:
    return Opened(_STR, text, node.start_mark, node.end_mark, style='"')
