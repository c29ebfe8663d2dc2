"""Exercise a bundle in a process of its own.

``python -m reconciler.serving.probe`` reads a `Question` from stdin and
writes a `Report` to stdout. A model may be able to crash the process that
runs it (illegal instructions of a CPU feature, memory that goes away), so
nothing that serves or trains ever loads a bundle before this has survived it.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from reconciler.runs.protocol import Document
from reconciler.runs.worker import die_with_parent
from reconciler.serving.bundle import BundleError, Manifest, read_bundle
from reconciler.serving.generation import Limits, NotFiniteError, generate
from reconciler.serving.runtime import LoadedModel
from reconciler.serving.sampling import Sampler, log_likelihood

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CANARY_TOKENS = 8
MAX_CANARY_DRIFT = 0.05
"""Nats by which the loss on the canary text may differ from its manifest."""

MAX_SWEEP = 512


class Question(Document):
    """What to try."""

    directory: str
    device: str
    sequences: tuple[tuple[int, ...], ...] = ()
    """Token sequences to score, each of at least two tokens."""

    sweep: tuple[int, ...] = ()
    """A long sequence to feed in every length and token by token."""


class Score(Document):
    """How the model reads one sequence."""

    top: tuple[int, ...]
    """Likeliest next token at each position but the last."""

    losses: tuple[float, ...]
    """Negative log-likelihood of the actual next token, in nats."""


class Report(Document):
    """What happened. `problem` is empty if all is well."""

    problem: str = ""
    scores: tuple[Score, ...] = ()
    sweep_deviation: float = 0.0
    """Largest difference of a logit between two ways to feed a text."""

    repeatable: bool = True
    """Whether the same sequence gave the same bits twice."""

    answer: str = ""
    canary_loss: float | None = None
    seconds: float = Field(default=0.0, ge=0)


def answer(question: Question) -> Report:
    """Load the bundle and try it."""
    started = time.monotonic()
    try:
        bundle = read_bundle(Path(question.directory))
        report = _exercise(LoadedModel(bundle, question.device), question)
    except (BundleError, NotFiniteError) as error:
        report = Report(problem=str(error))
    seconds = round(time.monotonic() - started, 3)
    return report.model_copy(update={"seconds": seconds})


def _exercise(model: LoadedModel, question: Question) -> Report:
    manifest = model.manifest
    canary_loss = None
    if manifest.canary is not None:
        score, _ = _score(model, manifest.canary.tokens)
        canary_loss = mean(score.losses)
    scores, repeatable = [], True
    for sequence in question.sequences:
        score, same = _score(model, sequence)
        scores.append(score)
        repeatable = repeatable and same
    greedy = _complete(model)
    repeatable = repeatable and greedy == _complete(model)
    deviation = _sweep(model, question.sweep) if question.sweep else 0.0
    return Report(
        problem=_problem(manifest, canary_loss, repeatable),
        scores=tuple(scores),
        sweep_deviation=deviation,
        repeatable=repeatable,
        answer=greedy,
        canary_loss=canary_loss,
    )


def _problem(
    manifest: Manifest, canary_loss: float | None, repeatable: bool
) -> str:
    if not repeatable:
        return "the same input gave two different answers"
    expected = manifest.canary
    if expected is None or canary_loss is None:
        return ""
    drift = abs(canary_loss - expected.mean_loss)
    if drift > MAX_CANARY_DRIFT:
        return (
            f"the loss on the canary text is {canary_loss:.3f}; it was "
            f"{expected.mean_loss:.3f} when the model was validated"
        )
    return ""


def _complete(model: LoadedModel) -> str:
    """A greedy completion of the first canary token or of any token."""
    canary = model.manifest.canary
    prompt = canary.tokens[:2] if canary else (0,)
    samplers = [Sampler(temperature=0)]
    answers = generate(model, prompt[:1], samplers, Limits(CANARY_TOKENS))
    return answers[0].text


def _score(model: LoadedModel, sequence: Sequence[int]) -> tuple[Score, bool]:
    import numpy as np

    first = _logits(model, sequence)
    same = bool(np.array_equal(first, _logits(model, sequence)))
    following = np.asarray(sequence[1:], np.int64)
    losses = -log_likelihood(first[:-1], following)
    top = first[:-1].argmax(axis=-1)
    return Score(top=tuple(top.tolist()), losses=tuple(losses.tolist())), same


def _logits(
    model: LoadedModel, sequence: Sequence[int]
) -> NDArray[np.float32]:
    """Logits of a whole sequence, fed at once.

    Raises:
        NotFiniteError: one of them is NaN or infinite.
    """
    import numpy as np

    with model.session() as session:
        logits: NDArray[np.float32] = session.feed([sequence])[0].copy()
    if not np.isfinite(logits).all():
        raise NotFiniteError("the model computes NaN or infinity")
    return logits


def _sweep(model: LoadedModel, sequence: Sequence[int]) -> float:
    """Feed a text in every length and token by token; compare the logits.

    A causal model must say the same about a prefix however it is fed.
    Kernels that are wrong at one length only, and states that lose
    precision, show here and not in a mean over texts.
    """
    import numpy as np

    whole = _logits(model, sequence)
    worst = 0.0
    for length in sweep_lengths(len(sequence)):
        last = _logits(model, sequence[:length])[-1]
        worst = max(worst, float(np.abs(last - whole[length - 1]).max()))
    with model.session() as session:
        for position, token in enumerate(sequence):
            row = session.feed([[token]])[0, 0]
            worst = max(worst, float(np.abs(row - whole[position]).max()))
    return worst


def sweep_lengths(longest: int) -> list[int]:
    """Every length up to 64, then those around multiples of 32."""
    longest = min(longest, MAX_SWEEP)
    around = (m + d for m in range(96, longest + 1, 32) for d in (-1, 0, 1))
    lengths = {*range(1, min(longest, 64) + 1), *around, longest}
    return sorted(length for length in lengths if 1 <= length <= longest)


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean, exactly rounded."""
    return math.fsum(values) / len(values)


def main() -> int:
    """Answer the question on stdin; exit status 0 whatever the answer is.

    Ends with the process that asked: nobody else wants to know.
    """
    if not die_with_parent():
        return 1
    question = Question.model_validate_json(sys.stdin.read())
    report = answer(question)
    sys.stdout.write(report.model_dump_json(by_alias=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
