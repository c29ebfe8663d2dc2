"""Two networks, the same questions: what each answers, and its scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from reconciler.corpus import Example, render_text
from reconciler.evaluation.gate import Scores
from reconciler.evaluation.generate import (
    DecodingSettings,
    GenerationError,
    generate,
    load_tokenizer,
)
from reconciler.evaluation.metrics import metric
from reconciler.evaluation.network import Network

_DECIMALS = 6


@dataclass(frozen=True)
class Answers:
    """What one network answered, and its scores per metric."""

    name: str
    texts: list[str] | None
    """None if the network gives no answers."""

    trouble: str = ""

    def scores(
        self, asked: Sequence[Example], names: Sequence[str]
    ) -> dict[str, Scores]:
        """Scores per metric; None where there is no answer."""
        if self.texts is None:
            return {name: [None] * len(asked) for name in names}
        return {
            name: [
                round(metric(name).score(e.prompt, e.answer, text), _DECIMALS)
                for e, text in zip(asked, self.texts, strict=True)
            ]
            for name in names
        }


@dataclass(frozen=True)
class Contestant:
    """A network with its tokenizer, under the name used in the report."""

    name: str
    network: Network
    tokenizer: Tokenizer

    @classmethod
    def load(cls, name: str, directory: Path) -> Contestant:
        """Read a Hugging Face directory.

        Raises:
            NetworkError: it is not a network that can be run here.
        """
        network = Network.load(directory)
        return cls(name, network, load_tokenizer(directory))

    def untrained(self, name: str, seed: int) -> Contestant:
        """The same network before its first training step."""
        network = Network.untrained(self.network.config, seed)
        return Contestant(name, network, self.tokenizer)

    def answer(
        self,
        asked: Sequence[Example],
        settings: DecodingSettings,
        advance: Callable[[int], None],
    ) -> Answers:
        """Answer all questions; a network that cannot says so."""
        texts = [render_text(e.prompt) for e in asked]
        try:
            found = generate(
                self.network, self.tokenizer, texts, settings, advance
            )
        except GenerationError as error:
            return Answers(self.name, None, f"{self.name}: {error}")
        return Answers(self.name, found)


def table(
    asked: Sequence[Example],
    baseline: tuple[Answers, Mapping[str, Scores]],
    candidate: tuple[Answers, Mapping[str, Scores]],
) -> str:
    """JSON lines: a question, its reference, both answers and scores."""
    rows = [
        {
            "id": e.id,
            "prompt": e.prompt,
            "reference": e.answer,
            "baseline": _side(n, *baseline),
            "candidate": _side(n, *candidate),
        }
        for n, e in enumerate(asked)
    ]
    return "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)


def _side(
    n: int, answers: Answers, scores: Mapping[str, Scores]
) -> dict[str, object]:
    return {
        "answer": answers.texts[n] if answers.texts else None,
        "scores": {name: values[n] for name, values in scores.items()},
    }
