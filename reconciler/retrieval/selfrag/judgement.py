"""What a person says about an answer, as a FeedbackStore takes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

MODEL = "self-rag"
"""Under this name judgements of answers are stored."""

Kind = Literal["thumbs", "rating", "correction"]


def judgement_row(
    answer: Mapping[str, Any], kind: Kind, value: bool | int | str, rater: str
) -> dict[str, Any]:
    """A row for `reconciler feedback import`.

    It has no id: the same judgement of the same answer by the same rater is
    the same row, however often it is sent. An abstention is an empty
    response: thumbs up for it says that it was right to abstain.

    Args:
        answer: a line of `reconciler ask -o json`.
        kind: of the judgement.
        value: True or False, a whole number from 1, or the answer as it
            should have been.
        rater: who says so.

    Raises:
        ValueError: not such a line.
    """
    fields = [answer.get(name) for name in ("question", "answer", "source")]
    if not all(isinstance(field, str) for field in fields):
        raise ValueError("not a line of `reconciler ask -o json`")
    question, text, source = fields
    return {
        "kind": kind,
        "model": MODEL,
        "generation": source,
        "prompt": question,
        "response": text,
        "value": value,
        "rater": rater,
    }
