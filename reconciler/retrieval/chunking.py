"""From a document to passages: what is embedded, found and shown.

Pure. A passage keeps the lines that it came from, so that an answer can show
its evidence, and is known by the digest of its text: what did not change is
never embedded again.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

MAX_CHARACTERS = 700
"""About what an embedder of 256 tokens reads."""
MIN_CHARACTERS = 40
"""Shorter texts answer nothing."""

_HEADING = re.compile(r"#{1,6}\s+(.+?)\s*#*\s*$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_Documented = (
    ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
)


@dataclass(frozen=True)
class Chunking:
    """How long passages are, in characters of their body."""

    max_characters: int = MAX_CHARACTERS
    min_characters: int = MIN_CHARACTERS

    @property
    def identity(self) -> str:
        """Documents are split alike if this is the same."""
        return f"{self.max_characters}/{self.min_characters}"


DEFAULT_CHUNKING = Chunking()


@dataclass(frozen=True)
class Passage:
    """A piece of a document.

    Attributes:
        path: the document, relative to its source, with slashes.
        first: the first line, from 1.
        last: the last line, inclusive.
        title: what it is about: a heading, a dotted name, a package.
        body: the text, white space collapsed.
    """

    path: str
    first: int
    last: int
    title: str
    body: str

    @property
    def text(self) -> str:
        """What is embedded."""
        return f"{self.title}: {self.body}"

    @property
    def id(self) -> int:
        """The first 63 bits of the SHA-256 of the text."""
        data = self.text.encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.sha256(data).digest()[:8]) >> 1


def passages(
    path: str, text: str, chunking: Chunking = DEFAULT_CHUNKING
) -> list[Passage]:
    """The passages of a document, in its order.

    Python files give their docstrings, package metadata its description,
    anything else its paragraphs under its headings.
    """
    name = PurePosixPath(path)
    if name.suffix == ".py":
        return list(_docstrings(path, text, chunking))
    if name.name in ("METADATA", "PKG-INFO"):
        return list(_metadata(path, text, chunking))
    return list(_prose(path, text.splitlines(), 1, name.stem, chunking))


def pieces(text: str, chunking: Chunking) -> Iterator[str]:
    """A text cut at the ends of sentences, else of words, else anywhere."""
    yield from _pieces(" ".join(text.split()), chunking)


def _docstrings(path: str, text: str, chunking: Chunking) -> Iterator[Passage]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in old modules
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    name = PurePosixPath(path).with_suffix("")
    parts = name.parts[:-1] if name.name == "__init__" else name.parts
    yield from _documented(path, tree, ".".join(parts), chunking)


def _documented(
    path: str, node: _Documented, name: str, chunking: Chunking
) -> Iterator[Passage]:
    found = ast.get_docstring(node, clean=False)
    if found is not None:
        place = node.body[0]
        text = inspect.cleandoc(found)
        end = place.end_lineno or place.lineno
        for piece in pieces(text, chunking):
            yield Passage(path, place.lineno, end, name, piece)
    for child in node.body:
        if isinstance(child, _Documented) and not child.name.startswith("_"):
            yield from _documented(
                path, child, f"{name}.{child.name}", chunking
            )


def _metadata(path: str, text: str, chunking: Chunking) -> Iterator[Passage]:
    head, _, body = text.partition("\n\n")
    fields = dict(
        line.split(": ", 1) for line in head.splitlines() if ": " in line
    )
    name = fields.get("Name", PurePosixPath(path).parent.name)
    lines = head.count("\n") + 1
    summary = fields.get("Summary", "")
    if len(summary) >= chunking.min_characters:
        yield Passage(path, 1, lines, name, summary)
    yield from _prose(path, body.splitlines(), lines + 2, name, chunking)


def _prose(
    path: str, lines: list[str], offset: int, name: str, chunking: Chunking
) -> Iterator[Passage]:
    title, start, block = name, 0, list[str]()
    for number, line in enumerate([*lines, ""]):
        heading = _HEADING.match(line)
        if line.strip() and heading is None:
            start = start if block else number
            block.append(line)
            continue
        for piece in pieces(" ".join(block), chunking):
            yield Passage(
                path, offset + start, offset + number - 1, title, piece
            )
        block = []
        if heading is not None:
            title = f"{name}, {heading.group(1)}"


def _pieces(text: str, chunking: Chunking) -> Iterator[str]:
    longest, piece = chunking.max_characters, ""
    for sentence in _SENTENCE_END.split(text):
        if piece and len(piece) + len(sentence) >= longest:
            yield from _long_enough(piece, chunking)
            piece = ""
        piece = f"{piece} {sentence}".strip()
        while len(piece) > longest:
            space = piece.rfind(" ", 0, longest + 1)
            end = space if space > 0 else longest
            yield from _long_enough(piece[:end], chunking)
            piece = piece[end:].lstrip()
    yield from _long_enough(piece, chunking)


def _long_enough(piece: str, chunking: Chunking) -> Iterator[str]:
    if piece and len(piece) >= chunking.min_characters:
        yield piece
