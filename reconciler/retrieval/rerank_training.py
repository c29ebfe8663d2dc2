"""Training a reranker on the titles of its own documents, in seconds.

The loss is the cross entropy of a softmax over the hits of each question, as
in ListNet (Cao et al., "Learning to rank: from pairwise approach to listwise
approach", ICML 2007) with one group of right answers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reconciler.retrieval.arrays import Doubles, Floats, Mask
from reconciler.retrieval.graphs import GRAPH
from reconciler.retrieval.rerank_features import FEATURES, features
from reconciler.retrieval.reranking import reranked
from reconciler.retrieval.search import Hit, Searcher
from reconciler.retrieval.title_questions import TitleQuestion
from reconciler.retrieval.trained_reranker import (
    DESCRIPTION,
    RerankerDescription,
    TrainedReranker,
)
from reconciler.runs.protocol import write_atomically

DEPTH = 30
"""Hits of a question that are learned from and put in order."""

HIDDEN = 24
EPOCHS = 300
RATE = 0.01
DECAY = 1e-3


@dataclass(frozen=True)
class Listed:
    """A question, its hits in their first order, and which are right."""

    question: TitleQuestion
    hits: list[Hit]

    @property
    def right(self) -> Mask:
        """One byte a hit."""
        answers = self.question.answers
        return np.array([h.passage.path in answers for h in self.hits], "u1")


def listed(
    searcher: Searcher, questions: Sequence[TitleQuestion]
) -> list[Listed]:
    """The hits of each question, by vectors and words."""
    return [Listed(q, searcher.search(q.text, DEPTH)) for q in questions]


def train(
    lists: Sequence[Listed], directory: Path, embedder: str, seed: int = 0
) -> int:
    """Train on the lists that hold a right answer; write the reranker.

    Args:
        lists: of the questions to learn from.
        directory: where to; it is made.
        embedder: identity of what gave the cosines.
        seed: of the first weights.

    Returns:
        How many lists were learned from.

    Raises:
        ValueError: none of them holds a right answer.
    """
    import openvino
    import torch

    useful = [each for each in lists if each.right.any()]
    if not useful:
        raise ValueError("no question found its answer: nothing to learn")
    rows, right, real = _batch(useful)
    kept = rows[real.astype(bool)]
    mean, spread = kept.mean(axis=0), kept.std(axis=0) + 1e-6
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Linear(len(FEATURES), HIDDEN),
        torch.nn.Tanh(),
        torch.nn.Linear(HIDDEN, 1),
    )
    with _one_thread():
        _fit(network, (rows - mean) / spread, right, real)
    _fold(network[0], mean, spread)
    directory.mkdir(parents=True, exist_ok=True)
    module = torch.nn.Sequential(network, torch.nn.Sigmoid())
    example = torch.zeros(2, len(FEATURES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing
        graph = openvino.convert_model(module, example_input=example)
    openvino.save_model(graph, directory / GRAPH, compress_to_fp16=False)
    describe(directory, embedder, {})
    return len(useful)


def describe(
    directory: Path, embedder: str, figures: dict[str, float]
) -> None:
    """Write what is known of a reranker beside it."""
    found = RerankerDescription(
        features=FEATURES, embedder=embedder, figures=figures
    )
    text = found.model_dump_json(indent=2) + "\n"
    write_atomically(directory / DESCRIPTION, text)


def reciprocal_ranks(
    lists: Sequence[Listed], reranker: TrainedReranker | None, k: int = 10
) -> Doubles:
    """1 / rank of the first right hit of each list; 0 beyond k (MRR@k)."""
    return np.array([_reciprocal(each, reranker, k) for each in lists])


def _reciprocal(
    each: Listed, reranker: TrainedReranker | None, k: int
) -> float:
    order = reranked(each.question.text, each.hits, reranker)[:k]
    for rank, ranked in enumerate(order, 1):
        if ranked.hit.passage.path in each.question.answers:
            return 1 / rank
    return 0.0


def _batch(lists: Sequence[Listed]) -> tuple[Floats, Floats, Floats]:
    """Features, right ones, real ones; padded to DEPTH hits a list."""
    shape = (len(lists), DEPTH)
    rows = np.zeros((*shape, len(FEATURES)), np.float32)
    right, real = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for i, each in enumerate(lists):
        count = len(each.hits)
        rows[i, :count] = features(each.question.text, each.hits)
        right[i, :count] = each.right
        real[i, :count] = 1
    return rows, right, real


def _fold(layer: Any, mean: Floats, spread: Floats) -> None:
    """Make the normalisation of the features part of the first layer."""
    import torch

    with torch.no_grad():
        layer.weight /= torch.tensor(spread)
        layer.bias -= layer.weight @ torch.tensor(mean)


@contextmanager
def _one_thread() -> Iterator[None]:
    """More would wait for each other: the matrices are tiny."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fit(network: Any, rows: Floats, right: Floats, real: Floats) -> None:
    import torch

    given, mask = torch.tensor(rows), torch.tensor(real) > 0
    target = torch.tensor(right) / torch.tensor(right).sum(1, keepdim=True)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=RATE, weight_decay=DECAY
    )
    for _ in range(EPOCHS):
        scores = network(given)[:, :, 0].masked_fill(~mask, -1e9)
        loss = -(target * torch.log_softmax(scores, dim=1)).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
