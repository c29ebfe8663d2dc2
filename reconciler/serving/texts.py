"""The texts on which a quantised model is compared with its original."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconciler.corpus.question import render_prompt, render_text

MAX_TEXTS = 64
CANARY_TEXT = render_text(render_prompt("json.dumps")) + "Serialize"

_BUILT_IN = (
    ("json.loads", "Deserialize a string that contains a JSON document."),
    ("os.path.join", "Join two or more parts of a path."),
    ("math.sqrt", "Return the square root of a number."),
    ("random.shuffle", "Shuffle a list in place."),
    ("shutil.copyfile", "Copy the data of one file to another."),
    ("textwrap.indent", "Add a prefix to the beginning of selected lines."),
    ("heapq.heappush", "Push an item onto a heap and keep it a heap."),
    ("time.monotonic", "Return the value of a clock that never goes back."),
)


def texts(calibration: Path | None, limit: int = MAX_TEXTS) -> list[str]:
    """Up to `limit` texts spread over a dataset, or the built-in ones.

    Args:
        calibration: a dataset directory with train.jsonl, whose rows have a
            prompt and a completion, or a prompt and a chosen answer.
        limit: how many to take at most.

    Raises:
        ValueError: a row is not what such a dataset holds.
    """
    rows = list(_rows(calibration)) if calibration is not None else []
    if not rows:
        rows = [(render_prompt(s), answer) for s, answer in _BUILT_IN]
    step = max(1, len(rows) // limit)
    return [render_text(p) + answer for p, answer in rows[::step][:limit]]


def _rows(directory: Path) -> Iterator[tuple[str, str]]:
    path = directory / "train.jsonl"
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _row(json.loads(line), f"{path.name}:{number}")


def _row(row: Any, where: str) -> tuple[str, str]:
    if isinstance(row, dict):
        prompt = row.get("prompt")
        answer = row.get("completion", row.get("chosen"))
        if isinstance(prompt, str) and isinstance(answer, str):
            return prompt, answer
    msg = f"{where}: neither prompt and completion nor prompt and chosen"
    raise ValueError(msg)
