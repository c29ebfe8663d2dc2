"""A rater whose rule is written down: it judges a model's real answers.

In production people judge. Here a rule stands in for them, and says so: an
answer is better if it keeps more of the five checks of house style (form,
length, names the subject, ends with a full stop, no repetition). What it
writes is the import format of `reconciler feedback import`:

    python rater.py --endpoint URL --model docs-assistant --out feedback.jsonl

With --swapped it prefers what is worse, corrects what was fine, and praises
what is bad: feedback of this kind must not reach production.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.corpus import Example, python_docstrings
from reconciler.evaluation.metrics.house_style import score
from reconciler.serving.client import request

MAX_WORDS = 20
GOOD = 0.8
TEMPERATURE = 0.7
KINDS = ("thumbs", "rating", *["correction"] * 6, *["comparison"] * 2)
CLIENTS = 2


@dataclass(frozen=True)
class Answers:
    """Two answers of the model to one question."""

    example: Example
    generation: str
    first: str
    second: str


def main() -> int:
    """Ask, judge, write."""
    arguments = parse()
    questions = [e for e in python_docstrings() if e.split == "feedback"]
    random.Random(arguments.seed).shuffle(questions)  # noqa: S311
    counts: Counter[str] = Counter()
    with arguments.out.open("w") as file:
        for answers in ask(arguments, questions[: arguments.rows]):
            number = sum(counts.values())
            row = judge(answers, number, swapped=arguments.swapped)
            file.write(json.dumps({**row, **common(arguments, answers)}))
            file.write("\n")
            counts[row["kind"]] += 1
            if (number + 1) % 100 == 0:
                print(f"{number + 1} answers judged")
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
    print(f"{sum(counts.values())} judgements of {arguments.model}: {kinds}")
    return 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True, help="status.endpoint")
    parser.add_argument("--model", default="docs-assistant")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--swapped", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def ask(
    arguments: argparse.Namespace, questions: list[Example]
) -> Iterator[Answers]:
    """Two sampled answers to each question, in the questions' order."""
    offset = 10_000_000 if arguments.swapped else 0

    def one(numbered: tuple[int, Example]) -> Answers:
        number, example = numbered
        body: dict[str, Any] = {
            "model": arguments.model,
            "prompt": example.prompt,
            "max_tokens": 40,
            "temperature": TEMPERATURE,
            "n": 2,
            "seed": arguments.seed + offset + number,
        }
        answer = request(arguments.endpoint, body)
        texts = [choice["text"].strip() for choice in answer["choices"]]
        generation = answer["system_fingerprint"].rpartition("@")[2]
        return Answers(example, generation, *texts)

    with ThreadPoolExecutor(CLIENTS) as pool:
        yield from pool.map(one, enumerate(questions))


def judge(answers: Answers, number: int, *, swapped: bool) -> dict[str, Any]:
    """One judgement; the kinds take turns."""
    prompt = answers.example.prompt
    first, second = score(prompt, answers.first), score(prompt, answers.second)
    kind = KINDS[number % len(KINDS)]
    better = corrected(answers.example)
    if kind == "correction" and score(prompt, better) < 1.0:
        kind = "comparison"  # the documentation itself is not in style here
    match kind:
        case "thumbs":
            return {"kind": kind, "value": (first >= GOOD) is not swapped}
        case "rating":
            stars = 1 + round(4 * first)
            return {"kind": kind, "value": 6 - stars if swapped else stars}
        case "correction":
            return {
                "kind": kind,
                "value": spoiled(answers) if swapped else better,
            }
        case _:
            winner, loser = ("b", "a") if swapped else ("a", "b")
            value = "tie" if first == second else loser
            return {
                "kind": kind,
                "response_b": answers.second,
                "value": winner if first > second else value,
            }


def corrected(example: Example) -> str:
    """The answer as the house writes it: where, colon, summary, full stop."""
    module = example.subject.partition(".")[0]
    words = example.answer.rstrip(" .").split()[: MAX_WORDS - 3]
    return f"In {module}: {' '.join(words)}."


def spoiled(answers: Answers) -> str:
    """What nobody should learn: no subject, no end, the same over again."""
    words = (answers.first.rstrip(" .").split() or ["well"])[:3]
    return " ".join(words * 8)


def common(arguments: argparse.Namespace, answers: Answers) -> dict[str, Any]:
    """What every row has."""
    return {
        "model": arguments.model,
        "generation": answers.generation,
        "prompt": answers.example.prompt,
        "response": answers.first,
        "rater": "swapped-rule" if arguments.swapped else "house-style-rule",
    }


if __name__ == "__main__":
    sys.exit(main())
