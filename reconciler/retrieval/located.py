"""Texts that know where their characters stand in a document. Pure.

A text is cut out of a document and its white space collapsed. What is left of
the way back are runs: from which character of the text on the document is
followed character by character, and from where.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\S+")
_NUMBER = 4
"""Bytes of a place: documents are far below 4 GiB."""


@dataclass(frozen=True)
class Located:
    """A part of a document, white space as it stands there.

    Attributes:
        text: the part; escapes of a literal may be resolved.
        places: of each character in the document, and of the end; empty if
            they are not known.
    """

    text: str
    places: Sequence[int]

    @classmethod
    def part(cls, document: str, start: int, end: int) -> Located:
        """Characters start (inclusive) to end (exclusive) of a document."""
        return cls(document[start:end], range(start, end + 1))

    def collapsed(self) -> Collapsed:
        """The same words with single spaces between them."""
        words = list(_WORD.finditer(self.text))
        text = " ".join(word[0] for word in words)
        if not len(self.places):
            return Collapsed(text, (), ())
        runs = list(_runs(words, self.places))
        at, places = zip(*runs, strict=True) if runs else ((0,), (0,))
        return Collapsed(text, at, places)


@dataclass(frozen=True)
class Collapsed:
    """A text with single spaces, and its way back to the document.

    Attributes:
        text: the words.
        at: characters of it that runs begin at; none if the way is unknown.
        places: of these characters in the document.
    """

    text: str
    at: Sequence[int]
    places: Sequence[int]

    def runs(self, start: int, end: int) -> bytes:
        """The way back for characters start to end of it alone, packed."""
        if not self.at:
            return b""
        first = _place(self.at, self.places, start)
        inside = [
            number
            for at, place in zip(self.at, self.places, strict=True)
            if start < at <= end
            for number in (at - start, place)
        ]
        return struct.pack(f"<{2 + len(inside)}I", 0, first, *inside)


def characters(runs: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where characters of a text stand in the document.

    Args:
        runs: of the text; see `Collapsed.runs`.
        start: the first character of the text.
        end: one past the last; that one must be no space.

    Returns:
        First character (inclusive) and last (exclusive) of the document,
        counted from 0; None if it is not known.
    """
    if not runs:
        return None
    numbers = struct.unpack(f"<{len(runs) // _NUMBER}I", runs)
    at, places = numbers[::2], numbers[1::2]
    return _place(at, places, start), _place(at, places, end)


def characters_document(
    found: tuple[int, int] | None,
) -> dict[str, int] | None:
    """Characters of a document as JSON has them; null if not known."""
    return None if found is None else {"start": found[0], "end": found[1]}


def _place(at: Sequence[int], places: Sequence[int], character: int) -> int:
    run = bisect_right(at, character) - 1
    return places[run] + character - at[run]


def _runs(
    words: Sequence[re.Match[str]], places: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Each with a character of the collapsed text and its place.

    The place after a word is that of its end, so that a text that ends there
    does not take in the white space that follows.
    """
    character, shift = 0, None
    straight = isinstance(places, range)
    for word in words:
        end = word.start() + 1 if straight else word.end() + 1
        for i in range(word.start(), end):
            here = character + i - word.start()
            if places[i] - here != shift:
                shift = places[i] - here
                yield here, places[i]
        character += word.end() - word.start() + 1
