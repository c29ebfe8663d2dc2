"""The decode loop: one prompt, one or more answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from reconciler.serving.runtime import LoadedModel, Session
from reconciler.serving.sampling import Sampler

Finish = Literal["stop", "length"]


class NotFiniteError(Exception):
    """The model computed NaN or infinity."""


class CancelledError(Exception):
    """The caller gave up waiting."""


@dataclass(frozen=True)
class Limits:
    """When an answer ends, apart from the model's own end token."""

    max_tokens: int
    stop: tuple[str, ...] = ()


@dataclass
class Answer:
    """One generated answer."""

    sampler: Sampler
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    finish: Finish | None = None


def generate(
    model: LoadedModel,
    prompt: Sequence[int],
    samplers: Sequence[Sampler],
    limits: Limits,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Answer]:
    """Continue a prompt once per sampler.

    Raises:
        NotFiniteError: the model computes NaN.
        CancelledError: `cancelled` returned True between two tokens.
        ValueError: the prompt is empty or leaves no room for an answer.
    """
    room = model.manifest.context_length - len(prompt)
    if not prompt or room < 1:
        msg = (
            f"the prompt has {len(prompt)} tokens; from 1 to "
            f"{model.manifest.context_length - 1} fit"
        )
        raise ValueError(msg)
    limits = Limits(min(limits.max_tokens, room), limits.stop)
    answers = [Answer(sampler) for sampler in samplers]
    if limits.max_tokens < 1:
        for answer in answers:
            answer.finish = "length"
        return answers
    with model.session() as session:
        _decode(model, session, prompt, answers, limits, cancelled)
    for answer in answers:
        _settle(model, answer, limits)
    return answers


def _decode(
    model: LoadedModel,
    session: Session,
    prompt: Sequence[int],
    answers: list[Answer],
    limits: Limits,
    cancelled: Callable[[], bool],
) -> None:
    import numpy as np

    # Every answer starts from the one row of the prompt.
    rows = session.feed([prompt])[:, -1][[0] * len(answers)]
    beams = [0] * len(answers)
    active = answers
    while True:
        if cancelled():
            raise CancelledError
        if not np.isfinite(rows).all():
            raise NotFiniteError("the model computes NaN or infinity")
        for answer, logits in zip(active, rows, strict=True):
            _extend(model, answer, answer.sampler.choose(logits), limits)
        kept = [i for i, a in enumerate(active) if a.finish is None]
        if not kept:
            return
        active = [active[i] for i in kept]
        continued = [beams[i] for i in kept]
        rows = session.feed([[a.tokens[-1]] for a in active], continued)[:, -1]
        beams = list(range(len(active)))


def _extend(
    model: LoadedModel, answer: Answer, token: int, limits: Limits
) -> None:
    """Add a token to an answer and see whether that ends it."""
    if token in model.manifest.end_tokens:
        answer.finish = "stop"
        return
    answer.tokens.append(token)
    if limits.stop and _stopped(model.decode(answer.tokens), limits):
        answer.finish = "stop"
    elif len(answer.tokens) >= limits.max_tokens:
        answer.finish = "length"


def _stopped(text: str, limits: Limits) -> bool:
    return first_stop(text, limits.stop) is not None


def _settle(model: LoadedModel, answer: Answer, limits: Limits) -> None:
    """Turn tokens into text, without what follows a stop string."""
    text = model.decode(answer.tokens)
    answer.text = text[: first_stop(text, limits.stop)]


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the first of the stop strings begins in a text, if any does."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return min(found, default=None)
