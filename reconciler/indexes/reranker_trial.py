"""Trains a reranker on documents and finds out whether it helps."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from reconciler.evaluation.bootstrap import (
    detectable_effect,
    paired_interval,
    seed_from,
)
from reconciler.retrieval.build import build
from reconciler.retrieval.embedder import Embedder
from reconciler.retrieval.library import Library
from reconciler.retrieval.rerank_training import (
    describe,
    listed,
    reciprocal_ranks,
    train,
)
from reconciler.retrieval.rows import Rows
from reconciler.retrieval.search import Searcher
from reconciler.retrieval.title_questions import TitleCorpus
from reconciler.retrieval.trained_reranker import TrainedReranker

ALPHA = 0.025
"""At each end: an interval of 95 %."""

RESAMPLES = 10_000
MIN_QUESTIONS = 30
"""To learn from, and as many to judge."""


@dataclass(frozen=True)
class Trial:
    """What training gave, on documents that were not trained on.

    Attributes:
        rows: passages that were searched.
        learned: questions that were learned from.
        questions: held-out questions that judge.
        mrr_before: mean reciprocal rank at 10 of the hybrid order.
        mrr_after: the same of the reranker's order.
        gain: the mean difference, paired by question.
        gain_low: its lower bound, 97.5 %.
        gain_high: its upper bound, 97.5 %.
        detectable: the gain that so many questions would mostly detect.
    """

    rows: int
    learned: int
    questions: int
    mrr_before: float
    mrr_after: float
    gain: float
    gain_low: float
    gain_high: float
    detectable: float

    @property
    def helps(self) -> bool:
        """Whether the gain is certain."""
        return self.gain_low > 0


def try_reranker(
    corpus: TitleCorpus,
    embedder: Embedder,
    scratch: Path,
    out: Path,
    seed: int = 0,
) -> Trial:
    """Train on most documents, judge on the others.

    Args:
        corpus: rows and questions.
        embedder: that of the index which the reranker is for.
        scratch: a directory for the index of the trial.
        out: where the reranker is written; it is made.
        seed: of the training.

    Raises:
        ValueError: too few questions.
        EmbedderError: the embedder failed.
    """
    source = scratch / "rows.jsonl"
    lines = (json.dumps(row) + "\n" for row in corpus.rows)
    source.write_text("".join(lines))
    library = Library(scratch / "index")
    build(library, Rows(source), embedder)
    learning = [q for q in corpus.questions if not q.test]
    judging = [q for q in corpus.questions if q.test]
    if min(len(learning), len(judging)) < MIN_QUESTIONS:
        msg = (
            f"the documents give {len(learning)} questions to learn from and "
            f"{len(judging)} to judge; {MIN_QUESTIONS} of each are needed"
        )
        raise ValueError(msg)
    with Searcher(library, embedder) as searcher:
        lessons, exam = listed(searcher, learning), listed(searcher, judging)
    learned = train(lessons, out, embedder.identity, seed)
    before = reciprocal_ranks(exam, None)
    after = reciprocal_ranks(exam, TrainedReranker(out))
    interval = paired_interval(
        after - before, ALPHA, RESAMPLES, seed_from("rerank", seed)
    )
    trial = Trial(
        rows=len(corpus.rows),
        learned=learned,
        questions=len(exam),
        mrr_before=float(before.mean()),
        mrr_after=float(after.mean()),
        gain=interval.estimate,
        gain_low=interval.low,
        gain_high=interval.high,
        detectable=detectable_effect(after - before, ALPHA),
    )
    figures = {name: float(value) for name, value in asdict(trial).items()}
    describe(out, embedder.identity, figures)
    return trial
