"""One question about one subject, and the split that the subject is in."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "feedback", "heldout"]

PROMPT_TEMPLATE = "What does {subject} do?"
"""How people ask; `subject` is a dotted name such as ``json.dumps``."""

_PROMPT = re.compile(
    re.escape(PROMPT_TEMPLATE).replace(r"\{subject\}", r"([\w.]+)")
)


@dataclass(frozen=True)
class Example:
    """A question, its reference answer, and what it may be used for."""

    id: str
    """Stable identity: the same subject always has the same one."""

    subject: str
    """Dotted name of the function, method or class asked about."""

    prompt: str
    """The question, as a person asks it."""

    answer: str
    """The reference: summary of the subject's docstring, one line."""

    split: Split
    """train: to learn from. feedback: to ask people about. heldout: to
    judge by."""


def split_of(subject: str) -> Split:
    """The split of a subject: 80 % train, 10 % feedback, 10 % held out.

    It depends on the name only, so that it is the same on every machine and
    does not move when a corpus grows.
    """
    bucket = int(hashlib.sha256(subject.encode()).hexdigest()[:8], 16) % 10
    if bucket == 0:
        return "heldout"
    return "feedback" if bucket == 1 else "train"


def render_prompt(subject: str) -> str:
    """The question about a subject."""
    return PROMPT_TEMPLATE.format(subject=subject)


def render_text(prompt: str) -> str:
    """The exact text that a model reads before its answer.

    Training, evaluation and serving all use it; applying it twice changes
    nothing.
    """
    return prompt.strip() + "\n"


def subject_of(prompt: str) -> str | None:
    """The subject that a prompt asks about, or None if it is free text."""
    found = _PROMPT.fullmatch(prompt.strip())
    return None if found is None else found.group(1)


def is_held_out(prompt: str) -> bool:
    """Whether a prompt asks about a held-out subject: never train on it."""
    subject = subject_of(prompt)
    return subject is not None and split_of(subject) == "heldout"


def example(subject: str, answer: str) -> Example:
    """The example for a subject and its reference answer."""
    digest = hashlib.sha256(subject.encode()).hexdigest()
    return Example(
        id=digest[:16],
        subject=subject,
        prompt=render_prompt(subject),
        answer=answer,
        split=split_of(subject),
    )
