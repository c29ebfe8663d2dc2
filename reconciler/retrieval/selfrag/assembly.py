"""The parts of Self-RAG, put together for one open index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.retrieval.embedder import Embedder
from reconciler.retrieval.search import Searcher
from reconciler.retrieval.selfrag.endpoint import ChatClient
from reconciler.retrieval.selfrag.endpoint_parts import (
    EndpointCritic,
    EndpointGenerator,
)
from reconciler.retrieval.selfrag.extractive import (
    ExtractiveGenerator,
    quotable,
)
from reconciler.retrieval.selfrag.heads import load_heads
from reconciler.retrieval.selfrag.library_retriever import LibraryRetriever
from reconciler.retrieval.selfrag.local_critic import LocalCritic
from reconciler.retrieval.selfrag.loop import SelfRag
from reconciler.retrieval.selfrag.policy import Budget, Thresholds
from reconciler.retrieval.selfrag.protocols import Generator
from reconciler.retrieval.selfrag.remembering import RememberingEmbedder


def assembled(
    searcher: Searcher,
    embedder: Embedder,
    writer: ChatClient | None = None,
    judge: ChatClient | None = None,
    critics: Path | None = None,
    seconds: float = Budget.seconds,
) -> SelfRag:
    """Self-RAG over an index.

    Args:
        searcher: the index; stays the caller's to close.
        embedder: the one that the index was built with.
        writer: writes answers; without it they are quotations.
        judge: judges; without it trained heads do.
        critics: the file of these heads; the package's by default.
        seconds: for one question.

    Raises:
        HeadsError: the file cannot be used.
        PartError: the heads were trained for another model.
    """
    remembering = RememberingEmbedder(embedder)
    generator: Generator
    if writer is None:
        generator = ExtractiveGenerator(remembering)
        retriever = LibraryRetriever(searcher, quotable)
    else:
        generator = EndpointGenerator(writer)
        retriever = LibraryRetriever(searcher)
    if judge is not None:
        # A judge's yes and no need no tuning: half is the middle.
        return SelfRag(
            retriever,
            generator,
            EndpointCritic(judge),
            thresholds=Thresholds(total=0.0),
            budget=Budget(seconds=seconds),
        )
    heads = load_heads(critics)
    adapted = _for_quotations if writer is None else _for_prose
    return SelfRag(
        retriever,
        generator,
        LocalCritic(heads, remembering),
        heads.weights,
        adapted(heads.thresholds),
        Budget(rounds=heads.rounds, seconds=seconds),
    )


def _for_quotations(tuned: Thresholds) -> Thresholds:
    """A search is cheap, and what it finds for small talk is not relevant."""
    return replace(tuned, need=min(tuned.need, Thresholds.need))


def _for_prose(tuned: Thresholds) -> Thresholds:
    """Thresholds were tuned with quotations; more may be wrong with prose."""
    return replace(
        tuned,
        support=max(tuned.support, Thresholds.support),
        usefulness=max(tuned.usefulness, Thresholds.usefulness),
    )
