"""From two benches to heads with tuned thresholds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from reconciler.retrieval.embedder import Embedder
from reconciler.retrieval.search import Searcher
from reconciler.retrieval.selfrag.features import (
    RELEVANCE,
    SUPPORT,
    USEFULNESS,
)
from reconciler.retrieval.selfrag.heads import Head, Heads
from reconciler.retrieval.selfrag.library_retriever import LibraryRetriever
from reconciler.retrieval.selfrag.local_critic import LocalCritic
from reconciler.retrieval.selfrag.loop import SelfRag, explore
from reconciler.retrieval.selfrag.policy import Budget, Thresholds
from reconciler.retrieval.selfrag.protocols import Generator
from reconciler.retrieval.selfrag.training import baseline, tuning
from reconciler.retrieval.selfrag.training.corpus_library import build_library
from reconciler.retrieval.selfrag.training.examples import (
    Examples,
    need_examples,
    relevance_examples,
    search_all,
    support_examples,
    usefulness_examples,
)
from reconciler.retrieval.selfrag.training.fit import (
    expected_calibration_error,
    fit,
    ranking_quality,
)
from reconciler.retrieval.selfrag.training.questions import Bench

PASSAGES = Budget().passages
NEED_COVERAGE = 0.99
"""Share of validation questions that must be looked up (split conformal)."""
PENALTY = 1.0
_SUPPORT_DOCUMENTS = 300

Say = Callable[[str], None]
Rows = dict[str, Examples]


async def train(
    training: Bench,
    validation: Bench,
    embedder: Embedder,
    generator: Generator,
    home: Path,
    model: str,
    say: Say,
) -> Heads:
    """Fit on one bench, tune on the other.

    Args:
        training: the heads see nothing else.
        validation: for thresholds and for the figures in `evidence`.
        embedder: cosines come from it.
        generator: whose drafts are judged.
        home: an empty directory for the libraries.
        model: digest of the sentence model.
        say: is told of progress.
    """
    fitted: dict[str, Head] = {}
    evidence: dict[str, float] = {}
    benches = {"training": training, "validation": validation}
    retrievers, searchers = {}, []
    for name, part in benches.items():
        say(
            f"{name}: {len(part.documents)} documents, "
            f"{len(part.questions)} questions"
        )
        library = build_library(part.documents, home / name, embedder)
        searcher = Searcher(library, embedder)
        searchers.append(searcher)
        retrievers[name] = LibraryRetriever(searcher)
    rows: dict[str, Rows] = {}
    for name, part in benches.items():
        rows[name] = await _rows(
            part,
            retrievers[name],
            embedder,
            generator,
            fitted,
            held_out=name == "validation",
        )
        say(f"{name}: rows of all heads")
    for head, examples in rows["validation"].items():
        found = fitted[head].probabilities(examples.rows)
        error = expected_calibration_error(found, examples.labels)
        evidence[f"{head}Ece"] = round(float(error), 4)
        quality = ranking_quality(found, examples.labels)
        evidence[f"{head}Auc"] = round(quality, 4)
    need = _conformal(fitted["need"], rows["validation"]["need"])
    evidence["smallTalkStopped"] = _stopped(
        fitted["need"], rows["validation"]["need"], need
    )
    heads = Heads(
        embedder=model,
        need=fitted["need"],
        relevance=fitted["relevance"],
        support=fitted["support"],
        usefulness=fitted["usefulness"],
        weights=(0.1, 0.3, 0.2, 0.4),
        thresholds=Thresholds(need=need),
        rounds=1,
        evidence=evidence,
    )
    say(f"heads: {evidence}")
    parts = SelfRag(
        retrievers["validation"], generator, LocalCritic(heads, embedder)
    )
    tuned = await _tuned(parts, validation, need)
    evidence |= await baseline.tuned(
        validation.questions, retrievers["validation"], generator
    )
    for searcher in searchers:
        searcher.close()
    evidence["validationRight"] = round(tuned.right, 4)
    evidence["validationQuestions"] = len(validation.questions)
    return heads.model_copy(
        update={
            "weights": tuned.weights,
            "thresholds": tuned.thresholds,
            "rounds": tuned.rounds,
            "evidence": evidence,
        }
    )


async def _rows(
    part: Bench,
    retriever: LibraryRetriever,
    embedder: Embedder,
    generator: Generator,
    fitted: dict[str, Head],
    *,
    held_out: bool,
) -> Rows:
    """Examples for every head; fits those that are not fitted yet."""
    found = await search_all(part.questions, retriever, embedder, PASSAGES)
    relevance = relevance_examples(found)
    if not held_out:
        fitted["relevance"] = fit(relevance, RELEVANCE, PENALTY)
    usefulness = await usefulness_examples(
        found, fitted["relevance"], generator, embedder
    )
    support = support_examples(part.documents[:_SUPPORT_DOCUMENTS], embedder)
    need = need_examples(
        part.documents, part.questions, embedder, held_out=held_out
    )
    if not held_out:
        names = tuple(f"d{i}" for i in range(embedder.dim))
        fitted["usefulness"] = fit(usefulness, USEFULNESS, PENALTY)
        fitted["support"] = fit(support, SUPPORT, PENALTY)
        fitted["need"] = fit(need, names, PENALTY)
    return {
        "relevance": relevance,
        "usefulness": usefulness,
        "support": support,
        "need": need,
    }


def _conformal(head: Head, examples: Examples) -> float:
    """The threshold that this share of what has a need reaches.

    Split conformal prediction (Vovk et al., 2005): the (n + 1)(1 - share)th
    smallest score, rounded down, so that the share holds for new questions
    of the same kind.
    """
    scores = np.sort(head.probabilities(examples.rows[examples.labels != 0]))
    place = int((len(scores) + 1) * (1 - NEED_COVERAGE))
    return round(float(scores[max(place - 1, 0)]) - 5e-5, 4)


def _stopped(head: Head, examples: Examples, threshold: float) -> float:
    """Share of what needs no document that is below a threshold."""
    talk = head.probabilities(examples.rows[examples.labels == 0])
    return round(float((talk < threshold).mean()), 4)


async def _tuned(
    parts: SelfRag, validation: Bench, need: float
) -> tuning.Tuned:
    traces = {}
    for relevance in tuning.RELEVANCE:
        thresholds = Thresholds(need=0.0, relevance=relevance)
        lower = SelfRag(
            parts.retriever,
            parts.generator,
            parts.critic,
            parts.weights,
            thresholds,
        )
        traces[relevance] = [
            await explore(lower, question.text)
            for question in validation.questions
        ]
    return tuning.tune(validation.questions, traces, need)
