"""Which sentence of a document is quoted: the one that was asked for?

Documents of the test packages get their headline back as the first sentence.
A question by name ("what does determinant do?") asks for that sentence; a
question made of words of another sentence asks for that one. The generator
is given the right document, so that only the choice of the sentence counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.comparison import Comparison
from reconciler.evaluation.bootstrap import paired_interval, seed_from
from reconciler.retrieval.embedder import Embedder
from reconciler.retrieval.selfrag.answer import Candidate
from reconciler.retrieval.selfrag.extractive import ExtractiveGenerator
from reconciler.retrieval.selfrag.sentences import spans, words
from reconciler.retrieval.selfrag.training.documents import Document, rank

DOCUMENTS = 200
_LONGEST = 1400
_LEAST = 4
"""Sentences of a document, and words of a question."""


@dataclass(frozen=True)
class Asked:
    """A question, the document, and where the sentence begins."""

    kind: str
    text: str
    passage: Candidate
    start: int


async def quoted_sentences(
    documents: Sequence[Document], embedder: Embedder
) -> list[Comparison]:
    """Ours beside the nearest sentence alone."""
    asked = list(_asked(documents))
    ours = await _wrong(asked, ExtractiveGenerator(embedder))
    peer = await _wrong(asked, ExtractiveGenerator(embedder, lead=0.0))
    found = []
    for kind in ("by name", "of a detail"):
        chosen = np.array([each.kind == kind for each in asked])
        interval = paired_interval(
            (ours - peer)[chosen], 0.025, 10_000, seed_from("quoted", kind)
        )
        found.append(
            Comparison(
                f"question {kind}, another sentence, of {chosen.sum()} "
                f"({interval.low:+.3f} to {interval.high:+.3f})",
                float(ours[chosen].mean()),
                "nearest sentence",
                float(peer[chosen].mean()),
                "%",
            )
        )
    return found


async def _wrong(
    asked: Sequence[Asked], generator: ExtractiveGenerator
) -> NDArray[np.float64]:
    starts = []
    for each in asked:
        drafts = await generator.generate(each.text, [each.passage], 1)
        starts.append(drafts[0].spans[0].start if drafts else -1)
    wanted = [each.start for each in asked]
    return (np.array(starts) != np.array(wanted)).astype(np.float64)


def _asked(documents: Sequence[Document]) -> Iterator[Asked]:
    left = DOCUMENTS
    for document in sorted(documents, key=lambda d: rank("quoted", d.title)):
        whole = f"{document.headline.rstrip('.')}. {document.body}"
        body = " ".join(whole.split())[:_LONGEST]
        places = spans(body)
        if len(places) < _LEAST or places[0][0] != 0 or not left:
            continue
        left -= 1
        passage = Candidate(document.path, 1, 1, document.title, body)
        name = document.title.rpartition(".")[2]
        yield Asked("by name", f"what does {name} do?", passage, 0)
        plain = name.replace("_", " ")
        yield Asked("by name", f"what is {plain}?", passage, 0)
        start, end = places[1 + rank("detail", name) % (len(places) - 1)]
        content = [w for w in body[start:end].split() if words(w)][:_LEAST]
        if len(content) == _LEAST:
            yield Asked("of a detail", " ".join(content), passage, start)
