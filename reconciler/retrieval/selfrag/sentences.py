"""Sentences of a text, and its words. Pure."""

from __future__ import annotations

import re

_END = re.compile(r"(?<=[.!?:])\s+(?=[\"'`(*A-Z0-9:>-])|\s+(?=\.\. )")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|al|Fig|No)\.$")
_WORD = re.compile(r"[A-Za-z][a-z]+|[A-Z]+(?![a-z])|[0-9]+(?:\.[0-9]+)?")
_STOP_TEXT = """\
a about all also an and any are as at be been but by can could did do does
each for from had has have how i if in into is it its me more my no not of
on one only or other our out over shall should so some such than that the
their them then there these they this those to under up use used using was
we were what when where which while who whose why will with would you your
"""
_STOP = frozenset(_STOP_TEXT.split())
_STEM = 6
MIN_CHARACTERS = 20
"""Shorter pieces are headings and numbers of lists."""


def spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text are: start (incl.), end (excl.)."""
    found, start = [], 0
    for end in _END.finditer(text):
        if _ABBREVIATION.search(text[start : end.start()]):
            continue
        found.append((start, end.start()))
        start = end.end()
    found.append((start, len(text)))
    return [(a, b) for a, b in found if b - a >= MIN_CHARACTERS]


def words(text: str) -> list[str]:
    """Content words, lower case, cut to stems; CamelCase is split."""
    lower = (word.lower() for word in _WORD.findall(text))
    return [
        word[:_STEM]
        for word in lower
        if word not in _STOP and (len(word) > 1 or word.isdigit())
    ]


def numbers(text: str) -> frozenset[str]:
    """The numbers in a text."""
    return frozenset(re.findall(r"\d+(?:\.\d+)?", text))


def negations(text: str) -> int:
    """How many words of a text negate."""
    pattern = r"\b(?:not|no|never|none|cannot|without)\b|n't\b"
    return len(re.findall(pattern, text.lower()))
