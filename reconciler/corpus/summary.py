"""The summary of a docstring: its first sentence, as one line of text."""

from __future__ import annotations

import inspect
import re

MIN_WORDS = 3
MAX_CHARACTERS = 200

_SIGNATURE = re.compile(r"^[\w.]+\([^)]*\)\s*(?:->\s*\S+|=|--|-|:)*\s*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`'\"(])")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf)\.$")
_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_QUOTES = re.compile(r"``([^`]*)``")


def summarise(docstring: str) -> str | None:
    """The first sentence, or None if there is nothing fit to be an answer.

    Markup is reduced to plain text, a leading call signature is dropped, and
    text that is too short, too long or not plain ASCII is refused.
    """
    paragraph = _first_paragraph(docstring)
    text = _QUOTES.sub(r"\1", _ROLE.sub(r"\1", paragraph))
    text = _SIGNATURE.sub("", " ".join(text.split()))
    return _fit(_first_sentence(text))


def _first_paragraph(docstring: str) -> str:
    lines = inspect.cleandoc(docstring).strip().splitlines()
    taken: list[str] = []
    for line in lines:
        if not line.strip() and taken:
            break
        taken.append(line)
    return "\n".join(taken)


def _first_sentence(text: str) -> str:
    for end in _SENTENCE_END.finditer(text):
        if not _ABBREVIATION.search(text[: end.start()]):
            return text[: end.start()]
    return text


def _fit(text: str) -> str | None:
    plain = text.isascii() and text.isprintable() and text[:1].isalpha()
    long_enough = len(text.split()) >= MIN_WORDS
    return text if plain and long_enough and _short(text) else None


def _short(text: str) -> bool:
    return len(text) <= MAX_CHARACTERS
