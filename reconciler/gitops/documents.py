"""YAML 1.2 from strangers: JSON values with line numbers, bounded.

ruamel.yaml parses; the nodes are turned into JSON values here and not by a
constructor, so that a duplicate key, an alias bomb, a tag or a value that
JSON lacks is refused with its line, and a date stays the text that it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from reconciler.engine.resource import GROUP
from reconciler.gitops.sops.errors import SopsError
from reconciler.gitops.sops.opener import Opener, Sources
from reconciler.gitops.sops.opening import Opened, in_clear
from reconciler.gitops.variables import SubstitutionError, Variables

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 200_000
"""Values of one file after its aliases are expanded."""

_TAG = "tag:yaml.org,2002:"
_INT64 = 2**63
_TYPED = re.compile(r"[-+.0-9a-fox]+|true|false", re.IGNORECASE)
_DECIMAL = re.compile(r"[-+]?[0-9]+")

VERBATIM = (
    f"{GROUP}/substitute",
    "kustomize.toolkit.fluxcd.io/substitute",
)
"""Annotations or labels: ``disabled`` keeps a document as it is written."""


class BuildError(Exception):
    """A file of the repository cannot become objects."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


@dataclass(frozen=True)
class Document:
    """One YAML document."""

    line: int
    """Where it starts, from 1."""

    value: Any = field(repr=False)
    secret: bool = False
    """Whether it was encrypted, or has a variable from a Secret in it."""

    exposed: bool = False
    """Whether it is a Secret of which the source tells every value."""


def decode(file: str, data: bytes) -> str:
    """The text of a file.

    Raises:
        BuildError: it is too large or not UTF-8.
    """
    if len(data) > MAX_FILE_BYTES:
        limit = MAX_FILE_BYTES // 1024 // 1024
        reason = f"has {len(data)} bytes, more than {limit} MiB"
        raise BuildError(file, 1, reason)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        bad = data[error.start]
        reason = f"is not UTF-8 text (byte 0x{bad:02x})"
        raise BuildError(file, line, reason) from error


def compose(file: str, text: str) -> list[Node]:
    """The node tree of each document that is not empty.

    Raises:
        BuildError: the text is not YAML, or nested too deeply.
    """
    yaml = YAML(typ="safe", pure=True)
    # YAML 1.2.2, 3.2.2.2: an alias means the last anchor of that name.
    yaml.composer.warn_double_anchors = False
    try:
        nodes = list(yaml.compose_all(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        reason = str(error.problem or error.context or "is not YAML")
        raise BuildError(file, line, reason.splitlines()[0]) from error
    except ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        reason = f"has a character that YAML forbids: {error.reason}"
        raise BuildError(file, line, reason) from error
    except RecursionError:
        raise BuildError(file, 1, "is nested too deeply") from None
    except (YAMLError, ValueError) as error:
        reason = f"is not YAML: {str(error).splitlines()[0]}"
        raise BuildError(file, 1, reason) from error
    return [node for node in nodes if node is not None]


def sources(files: Mapping[str, bytes]) -> Sources:
    """The files of an overlay, to look for encrypted ones among them."""
    return Sources(files, nodes_of)


def nodes_of(file: str, data: bytes) -> list[Node]:
    """The documents of a file that may be encrypted.

    Raises:
        SopsError: it is no YAML.
    """
    try:
        return compose(file, decode(file, data))
    except BuildError as error:
        raise SopsError(error.reason, error.line) from error


def documents(
    file: str,
    data: bytes,
    variables: Variables | None = None,
    opener: Opener | None = None,
) -> list[Document]:
    """All documents of a file as JSON values.

    Args:
        file: its name, for messages.
        data: its content.
        variables: what ``${`` stands for; None: nothing else.
        opener: what opens an encrypted file; None: it is left as it is.

    Raises:
        BuildError: what is wrong and on which line.
    """
    nodes = compose(file, decode(file, data))
    try:
        encrypted = opener.open(nodes, nodes_of) if opener else False
    except SopsError as error:
        raise BuildError(file, error.line, error.reason) from error
    budget = _Budget(file)
    return [
        budget.document(
            node, None if _verbatim(node) else variables, secret=encrypted
        )
        for node in nodes
    ]


def _verbatim(node: Node) -> bool:
    """Whether a document asks for no substitution."""
    metadata = _child(node, "metadata")
    parts = [_child(metadata, name) for name in ("annotations", "labels")]
    asked = [_child(part, name) for part in parts for name in VERBATIM]
    return any(found and found.value == "disabled" for found in asked)


def _child(node: Node | None, name: str) -> Node | None:
    if not isinstance(node, MappingNode):
        return None
    return next((v for k, v in node.value if k.value == name), None)


@dataclass
class _Budget:
    """Converts nodes while it counts what aliases expand to."""

    file: str
    nodes: int = 0
    variables: Variables | None = None
    secret: bool = False
    substituted: int = 0
    """Characters that variables became."""

    def document(
        self, node: Node, variables: Variables | None, *, secret: bool
    ) -> Document:
        self.variables, self.secret = variables, secret
        value = self.value(node, 0)
        substituted = self.secret and not secret
        exposed = not substituted and in_clear(node)
        line = node.start_mark.line + 1
        return Document(line, value, self.secret, exposed)

    def refuse(self, node: Node, reason: str) -> BuildError:
        return BuildError(self.file, node.start_mark.line + 1, reason)

    def value(self, node: Node, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            reason = f"expands to more than {MAX_NODES} values"
            raise self.refuse(node, reason)
        if depth > MAX_DEPTH:
            reason = f"is nested more than {MAX_DEPTH} deep"
            raise self.refuse(node, reason)
        if isinstance(node, MappingNode):
            return self.mapping(node, depth)
        if isinstance(node, SequenceNode):
            self._plain(node, "seq")
            return [self.value(item, depth + 1) for item in node.value]
        return self.scalar(node)

    def mapping(self, node: MappingNode, depth: int) -> dict[str, Any]:
        self._plain(node, "map")
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, item in node.value:
            if key.tag == _TAG + "merge":
                for part in self._merged(item):
                    merged = self.mapping(part, depth + 1) | merged
                continue
            name = self._key(key)
            if name in own:
                reason = f"key {name!r} appears twice"
                raise self.refuse(key, reason)
            own[name] = self.value(item, depth + 1)
        return merged | own

    def _merged(self, node: Node) -> Iterator[MappingNode]:
        parts = node.value if isinstance(node, SequenceNode) else [node]
        for part in parts:
            if not isinstance(part, MappingNode):
                raise self.refuse(node, "<< needs a mapping")
            yield part

    def _key(self, key: Node) -> str:
        if not isinstance(key, ScalarNode):
            raise self.refuse(key, "a key has to be plain text")
        return self._text(key, str(key.value))

    def _plain(self, node: Node, expected: str) -> None:
        if node.tag != _TAG + expected:
            raise self._tagged(node)

    def _tagged(self, node: Node) -> BuildError:
        return self.refuse(node, f"tag {node.tag} is not supported")

    def scalar(self, node: Node) -> Any:
        kind = str(node.tag).removeprefix(_TAG)
        text = str(node.value)
        variables = None if isinstance(node, Opened) else self.variables
        if variables is not None and "${" in text:
            return self.replaced(node, text, variables)
        match kind:
            case "str" | "timestamp" | "merge" | "value":
                return self._text(node, text)
            case "null":
                return None
            case "bool":
                return text.lower() in ("true", "yes", "on")
            case "int":
                return self._integer(node, text)
            case "float":
                return self._number(node, text)
            case _:
                raise self._tagged(node)

    def replaced(self, node: Node, text: str, variables: Variables) -> Any:
        """A value with variables in it: text, or a number or truth value.

        It is text if it is quoted or a block in the file, and if it is
        anything but a number, true or false.
        """
        try:
            found = variables.substitute(text)
        except SubstitutionError as error:
            raise self.refuse(node, str(error)) from error
        self.secret = self.secret or found.secret
        self.substituted += len(found.value)
        if self.substituted > MAX_FILE_BYTES:
            reason = "becomes too large with its variables"
            raise self.refuse(node, reason)
        plain = getattr(node, "style", None) is None
        if plain and _TYPED.fullmatch(found.value):
            return _typed(found.value)
        return self._text(node, found.value)

    def _text(self, node: Node, text: str) -> str:
        """JSON writes large characters as two escapes: join them."""
        if text.isascii():
            return text
        try:
            joined = text.encode("utf-16-le", "surrogatepass")
            return joined.decode("utf-16-le")
        except UnicodeDecodeError as error:
            reason = "has half of a surrogate pair"
            raise self.refuse(node, reason) from error

    def _integer(self, node: Node, text: str) -> int:
        try:
            number = _parse_integer(text)
        except ValueError as error:
            reason = f"{_shown(node, text)!r} is no integer of 64 bits"
            raise self.refuse(node, reason) from error
        return number

    def _number(self, node: Node, text: str) -> float:
        try:
            number = float(text.replace("_", ""))
        except ValueError:
            number = math.nan  # .inf and .nan, which JSON lacks too
        if not math.isfinite(number):
            reason = f"{_shown(node, text)} is no JSON number"
            raise self.refuse(node, reason)
        return number


def _shown(node: Node, text: str) -> str:
    return "***" if isinstance(node, Opened) else text[:30]


def _typed(text: str) -> Any:
    """What YAML 1.2 takes a plain text for; the text if it is nothing else."""
    lower = text.lower()
    if lower in ("true", "false"):
        return lower == "true"
    try:
        return _parse_integer(text)
    except ValueError:
        if _DECIMAL.fullmatch(text):
            return text  # too large: digits must not get lost
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _parse_integer(text: str) -> int:
    """Decimal, ``0o17`` or ``0x1f``; leading zeros are decimal (YAML 1.2)."""
    plain = text.replace("_", "").lower()
    unsigned = plain.lstrip("+-")
    base = 0 if unsigned[:2] in ("0o", "0x", "0b") else 10
    number = int(plain, base)
    if not -_INT64 <= number < _INT64:
        raise ValueError(text)
    return number
