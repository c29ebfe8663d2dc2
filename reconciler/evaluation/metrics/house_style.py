"""The house style of a documentation assistant: five rules anyone can check.

A model of a few million parameters cannot know functions that it has never
seen, but it can learn how an answer should look. The score is the share of
the rules that an answer keeps. It says nothing about whether the answer is
true.
"""

from __future__ import annotations

import re
from collections import Counter

VERSION = "house-style/2"
DESCRIPTION = (
    "share of five checkable rules that an answer keeps (form, length, "
    "subject, end, no repetition): a stated rule about style, not a measure "
    "of whether the answer is true"
)
SHORTEST = 5
LONGEST = 20
MOST_REPEATS = 4
SHORTEST_PART = 3

_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_PLAIN = re.compile(r"\bdoes\s+`?([A-Za-z_]\w*)`?\s+do\b")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_WORD = re.compile(r"\w+")


def subject_of(prompt: str) -> str | None:
    """The name that a prompt asks about, or None if it names nothing."""
    dotted = _DOTTED.search(prompt)
    if dotted is not None:
        return dotted.group()
    plain = _PLAIN.search(prompt)
    return None if plain is None else plain.group(1)


def rules(prompt: str, answer: str) -> dict[str, bool]:
    """Which of the five rules `answer` keeps.

    ``form``: one line that starts with a capital letter, a digit, a
    backquote or the name that was asked about. ``length``: 5 to 20 words.
    ``subject``: mentions a component of that name (module, class or
    function), or one of its words of at least three letters. ``end``: ends
    with exactly one full stop. ``repetition``: no three words in a row twice
    and no word more than four times. An answer without a word keeps none of
    them.
    """
    text = answer.strip()
    words = [word.lower() for word in _WORD.findall(text)]
    subject = subject_of(prompt)
    spoken = bool(words)
    return {
        "form": spoken and _has_form(subject, text),
        "length": spoken and SHORTEST <= len(text.split()) <= LONGEST,
        "subject": spoken and _mentions(subject, text),
        "end": spoken and text.endswith(".") and not text.endswith(".."),
        "repetition": spoken and not _repeats(words),
    }


def score(prompt: str, answer: str) -> float:
    """Share of the rules kept, in [0, 1] by steps of 0.2."""
    kept = rules(prompt, answer)
    return sum(kept.values()) / len(kept)


def _has_form(subject: str | None, text: str) -> bool:
    if len(text.splitlines()) != 1:
        return False
    first = text[0]
    if first.isupper() or first.isdigit() or first == "`":
        return True
    if subject is None:
        return False
    names = (subject, subject.rpartition(".")[2])
    return any(re.match(rf"{re.escape(n)}(?!\w)", text) for n in names)


def _mentions(subject: str | None, text: str) -> bool:
    """Whether a word of the text is, or begins with, a part of the name."""
    if subject is None:
        return False
    parts = tuple(
        part.lower()
        for name in subject.split(".")
        for part in (name.strip("_"), *_PARTS.findall(name))
        if len(part) >= SHORTEST_PART
    )
    if not parts:
        last = re.escape(subject.rpartition(".")[2])
        return bool(re.search(rf"(?<!\w){last}(?!\w)", text, re.IGNORECASE))
    spoken = [*_WORD.findall(text), *_PARTS.findall(text)]
    return any(word.lower().startswith(parts) for word in spoken)


def _repeats(words: list[str]) -> bool:
    if max(Counter(words).values()) > MOST_REPEATS:
        return True
    triples = list(zip(words, words[1:], words[2:], strict=False))
    return len(set(triples)) < len(triples)
