"""Set one field of a YAML file and leave every other byte as it is.

ruamel.yaml tells where the value is; the text is changed in that place and
parsed again to prove that nothing else changed. A dump of the whole file
would keep comments, but not every indentation, line length and quote.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from reconciler.engine.resource import GROUP
from reconciler.gitops.documents import (
    BuildError,
    compose,
    decode,
    documents,
)
from reconciler.gitops.sops.opening import sealed

BOM = b"\xef\xbb\xbf"
FIELD = "generation"


class EditError(Exception):
    """The file cannot be changed in that one place only."""


@dataclass(frozen=True)
class ModelName:
    """Which Model is to be pinned."""

    namespace: str
    name: str
    target_namespace: str
    """Namespace of objects that name none."""

    def matches(self, value: Any) -> bool:
        """Whether a document is that Model."""
        if not isinstance(value, dict) or value.get("kind") != "Model":
            return False
        if not str(value.get("apiVersion")).startswith(f"{GROUP}/"):
            return False
        meta = value.get("metadata") or {}
        namespace = meta.get("namespace") or self.target_namespace
        return (namespace, meta.get("name")) == (self.namespace, self.name)


def pin(file: str, data: bytes, model: ModelName, generation: str) -> bytes:
    """The file with ``spec.generation`` of a Model set.

    Raises:
        BuildError: the file is no YAML.
        EditError: the Model is not in it, or its spec is written in a way
            (an alias, a merge) that a change would change elsewhere too.
    """
    values = (d.value for d in documents(file, data))
    at = next((i for i, v in enumerate(values) if model.matches(v)), None)
    if at is None:
        msg = f"{file}: Model {model.name} is not a document of this file"
        raise EditError(msg)
    return pin_document(file, data, at, generation)


def pin_document(file: str, data: bytes, at: int, generation: str) -> bytes:
    """The file with ``spec.generation`` of one document set.

    Args:
        file: its name, for messages.
        data: its content.
        at: which document, from 0.
        generation: the new value.

    Raises:
        BuildError: the file is no YAML.
        EditError: the spec is written in a way that a change would change
            elsewhere too.
    """
    text = decode(file, data)
    nodes = compose(file, text)
    before = [d.value for d in documents(file, data)]
    if sealed(nodes) is not None:
        msg = f"{file}: is encrypted: an edit would break its checksum"
        raise EditError(msg)
    changed = _splice(file, text, nodes[at], generation)
    result = (BOM if data.startswith(BOM) else b"") + changed.encode()
    _prove(file, before, at, result, generation)
    return result


def _prove(
    file: str, before: list[Any], at: int, result: bytes, generation: str
) -> None:
    wanted = copy.deepcopy(before)
    wanted[at]["spec"][FIELD] = generation
    try:
        found = [d.value for d in documents(file, result)]
    except BuildError as error:
        msg = f"{file}: the change would break the file: {error.reason}"
        raise EditError(msg) from error
    if found != wanted:
        msg = f"{file}: spec.generation cannot be set without side effects"
        raise EditError(msg)


def _splice(file: str, text: str, document: Node, generation: str) -> str:
    spec = _child(document, "spec")
    if spec is None or not isinstance(spec[1], MappingNode):
        msg = f"{file}: the Model has no spec of its own"
        raise EditError(msg)
    field = _child(spec[1], FIELD)
    if field is None:
        return _insert(file, text, spec[1], generation)
    key, value = field
    if not isinstance(value, ScalarNode):
        msg = f"{file}: spec.generation is not plain text"
        raise EditError(msg)
    if "${" in value.value:
        msg = f"{file}: spec.generation is a variable; write it out"
        raise EditError(msg)
    start, end = value.start_mark.index, value.end_mark.index
    if start == end:  # nothing is written after the colon
        colon = text.index(":", key.end_mark.index) + 1
        return f"{text[:colon]} {_scalar(generation)}{text[colon:]}"
    end = start + len(text[start:end].rstrip())  # blanks after a block
    new = _quoted(generation, value.style)
    return text[:start] + new + text[end:]


def _insert(file: str, text: str, spec: MappingNode, generation: str) -> str:
    """A first key of the spec."""
    if spec.flow_style:
        at = text.index("{", spec.start_mark.index) + 1
        more = ", " if spec.value else ""
        key, value = FIELD, _scalar(generation)
        if spec.value and spec.value[0][0].style == '"':
            key, value = f'"{FIELD}"', f'"{generation}"'
        return f"{text[:at]}{key}: {value}{more}{text[at:]}"
    first = spec.value[0][0].start_mark.index
    start = max(text.rfind("\n", 0, first), text.rfind("\r", 0, first)) + 1
    indent = text[start:first]
    if indent.strip(" "):
        msg = f"{file}: the spec does not start on a line of its own"
        raise EditError(msg)
    newline = "\r\n" if "\r\n" in text else "\n"
    line = f"{indent}{FIELD}: {_scalar(generation)}{newline}"
    return text[:start] + line + text[start:]


def _child(node: Node, name: str) -> tuple[ScalarNode, Node] | None:
    if not isinstance(node, MappingNode):
        return None
    for key, value in node.value:
        if isinstance(key, ScalarNode) and key.value == name:
            return key, value
    return None


def _quoted(value: str, style: str | None) -> str:
    if style in ("'", '"'):
        return f"{style}{value}{style}"
    return _scalar(value)


def _scalar(value: str) -> str:
    """Plain, unless YAML would read it as a number or null."""
    read = documents("", f"x: {value}".encode())[0].value["x"]
    return value if read == value else f'"{value}"'
