"""From a document to passages: what is embedded, found and shown.

Pure. A passage keeps the lines and characters that it came from, so that an
answer can show its evidence, and is known by the digest of its text: what did
not change is never embedded again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from reconciler.retrieval.docstrings import docstrings, line_of, line_starts
from reconciler.retrieval.located import Collapsed, Located, characters

MAX_CHARACTERS = 700
"""About what an embedder of 256 tokens reads."""
MIN_CHARACTERS = 40
"""Shorter texts answer nothing."""

_HEADING = re.compile(r"#{1,6}\s+(.+?)\s*#*\s*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_FIELD = re.compile(r"^(Name|Summary): (.*?)\s*$", re.MULTILINE)
_HEAD_END = re.compile(r"\r?\n[ \t]*\r?\n")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_VERSION = 2
"""Raised when the same document gives other passages than before."""


@dataclass(frozen=True)
class Chunking:
    """How long passages are, in characters of their body."""

    max_characters: int = MAX_CHARACTERS
    min_characters: int = MIN_CHARACTERS

    @property
    def identity(self) -> str:
        """Documents are split alike if this is the same."""
        return f"{self.max_characters}/{self.min_characters}/{_VERSION}"


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
        runs: where its characters stand in the document; empty if that is
            not known (see `reconciler.retrieval.located`).
    """

    path: str
    first: int
    last: int
    title: str
    body: str
    runs: bytes = b""

    def characters(
        self, start: int = 0, end: int | None = None
    ) -> tuple[int, int] | None:
        """Where characters of the body stand in the document.

        Of the document as text: UTF-8 without a byte order mark, what is no
        UTF-8 replaced. What stands there is the body, but for white space
        and for escapes in Python's literals.

        Args:
            start: first character of the body.
            end: one past the last, which must be no space; all by default.

        Returns:
            First (inclusive) and last (exclusive), from 0; None where it is
            not known.
        """
        return characters(
            self.runs, start, len(self.body) if end is None else end
        )

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
        return list(_of_python(path, text, chunking))
    lines = line_starts(text)
    if name.name in ("METADATA", "PKG-INFO"):
        return list(_of_metadata(path, text, lines, chunking))
    return list(_of_prose(path, text, lines, 0, name.stem, chunking))


def pieces(text: Collapsed, chunking: Chunking) -> Iterator[tuple[int, int]]:
    """Cuts at the ends of sentences, else of words, else anywhere.

    Returns:
        First (inclusive) and last character (exclusive) of each piece that
        is long enough.
    """
    return (
        (start, end)
        for start, end in _cuts(text.text, chunking.max_characters)
        if end - start >= max(chunking.min_characters, 1)
    )


def _of_python(path: str, text: str, chunking: Chunking) -> Iterator[Passage]:
    name = PurePosixPath(path).with_suffix("")
    parts = name.parts[:-1] if name.name == "__init__" else name.parts
    lines = line_starts(text)
    for found in docstrings(text):
        title = ".".join([*parts, found.name] if found.name else parts)
        title = title or name.name  # of a package that is the source itself
        whole = (found.first, found.last)
        yield from _split(path, title, found.located, lines, whole, chunking)


def _of_metadata(
    path: str, text: str, lines: Sequence[int], chunking: Chunking
) -> Iterator[Passage]:
    gap = _HEAD_END.search(text)
    head, body = gap.span() if gap else (len(text), len(text))
    fields = {f[1]: f for f in reversed([*_FIELD.finditer(text, 0, head)])}
    name, summary = fields.get("Name"), fields.get("Summary")
    title = name[2] if name else PurePosixPath(path).parent.name
    if summary:
        part = Located.part(text, summary.start(2), summary.end(2))
        whole = (line_of(lines, summary.start()),) * 2
        yield from _split(path, title, part, lines, whole, chunking)
    yield from _of_prose(path, text, lines, body, title, chunking)


def _of_prose(
    path: str,
    text: str,
    lines: Sequence[int],
    start: int,
    name: str,
    chunking: Chunking,
) -> Iterator[Passage]:
    """Paragraphs from a character on, which begins a line."""
    title, begun, fenced = name, start, False
    first = line_of(lines, start) - 1
    for at, end in zip(
        lines[first:], [*lines[first + 1 :], len(text)], strict=True
    ):
        line = text[at:end]
        fenced ^= _FENCE.match(line) is not None
        heading = None if fenced else _HEADING.match(line)
        if line.strip() and heading is None:
            continue
        yield from _block(path, title, text, lines, (begun, at), chunking)
        begun = end
        if heading is not None:
            title = f"{name}, {heading.group(1)}"
    span = (begun, len(text))
    yield from _block(path, title, text, lines, span, chunking)


def _block(
    path: str,
    title: str,
    text: str,
    lines: Sequence[int],
    span: tuple[int, int],
    chunking: Chunking,
) -> Iterator[Passage]:
    part = Located.part(text, *span)
    whole = (line_of(lines, span[0]), line_of(lines, max(span[1] - 1, 0)))
    yield from _split(path, title, part, lines, whole, chunking)


def _split(
    path: str,
    title: str,
    part: Located,
    lines: Sequence[int],
    whole: tuple[int, int],
    chunking: Chunking,
) -> Iterator[Passage]:
    """Passages of a part; its lines where those of a piece are not known."""
    text = part.collapsed()
    for start, end in pieces(text, chunking):
        runs = text.runs(start, end)
        stands = characters(runs, 0, end - start)
        first, last = whole
        if stands is not None:
            first = line_of(lines, stands[0])
            last = line_of(lines, stands[1] - 1)
        yield Passage(path, first, last, title, text.text[start:end], runs)


def _cuts(text: str, longest: int) -> Iterator[tuple[int, int]]:
    start = end = 0
    for until, after in _sentence_ends(text):
        if end > start and until - start > longest:
            yield start, end
            start = end + 1
        end = until
        while end - start > longest:
            space = text.rfind(" ", start + 1, start + longest + 1)
            cut = space if space > 0 else start + longest
            yield start, cut
            start = cut + (text[cut] == " ")
        if start >= end:
            start = after
    if end > start:
        yield start, end


def _sentence_ends(text: str) -> Iterator[tuple[int, int]]:
    """Where each sentence ends, and the next one begins."""
    for gap in _SENTENCE_END.finditer(text):
        yield gap.span()
    yield len(text), len(text)
