"""Judgements as documents: what people said is a good answer."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from reconciler.feedback.connecting import connected
from reconciler.feedback.export import read_rows
from reconciler.feedback.judgement import Judgement
from reconciler.feedback.resource import Rewards
from reconciler.feedback.rewards import rewards_of
from reconciler.indexes.home import WRITING
from reconciler.runs.protocol import sync_directory

_EXPORT_SECONDS = 600


def write_rows(
    dsn: str,
    through: int,
    rewards: Rewards,
    path: Path,
    *,
    model: str | None,
    min_reward: float,
) -> int:
    """Write the documents of all judgements below a position.

    Args:
        dsn: libpq connection string.
        through: position before which rows are taken.
        rewards: the reward mapping.
        path: where to; replaced whole.
        model: only answers of this model; None takes all.
        min_reward: answers with a mean reward above this are taken.

    Returns:
        How many documents there are.

    Raises:
        HorizonError: transactions below `through` are still open.
        FeedbackError: the server cannot be used.
        OSError: the disk refused.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with (
        _replacing(path) as file,
        connected(dsn, statement_seconds=_EXPORT_SECONDS) as connection,
    ):
        judged = read_rows(connection, 0, through, model)
        for row in documents(judged, rewards, min_reward):
            file.write(json.dumps(row) + "\n")
            count += 1
    return count


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """A file that takes the place of another one once it is whole.

    Its name is its own: an export that was given up may still be writing.
    """
    handle, name = tempfile.mkstemp(suffix=WRITING, dir=path.parent)
    staging = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def documents(
    judged: Iterable[Judgement], rewards: Rewards, min_reward: float
) -> Iterator[dict[str, str]]:
    """One document for each answer that is good enough; pure.

    That is one whose mean reward over all judgements is above `min_reward`.
    The text of a correction always is one: somebody wrote it for that.
    """
    answers: dict[tuple[str, str], _Answer] = {}
    for row in judged:
        for reward in rewards_of(row, rewards):
            _heard(answers, row, reward.response).rewards.append(reward.value)
        if row.kind == "correction":
            _heard(answers, row, str(row.value)).corrected = True
    for (prompt, text), answer in answers.items():
        if text.strip() and answer.is_good(min_reward):
            yield {"path": answer.path, "title": prompt, "text": text}


@dataclass
class _Answer:
    """What was said of one answer to one prompt."""

    path: str
    rewards: list[float] = field(default_factory=list)
    corrected: bool = False

    def is_good(self, least: float) -> bool:
        if self.corrected:
            return True
        return sum(self.rewards) / len(self.rewards) > least


def _heard(
    answers: dict[tuple[str, str], _Answer], row: Judgement, text: str
) -> _Answer:
    digest = hashlib.sha256(f"{row.prompt}\0{text}".encode()).hexdigest()
    path = f"{row.model}/{row.generation}/{digest[:16]}"
    return answers.setdefault((row.prompt, text), _Answer(path))
