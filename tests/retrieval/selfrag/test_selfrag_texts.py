from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reconciler.retrieval.build import build
from reconciler.retrieval.chunking import Chunking
from reconciler.retrieval.embedder import HashingEmbedder
from reconciler.retrieval.library import Library
from reconciler.retrieval.search import Searcher
from reconciler.retrieval.selfrag import assembly
from reconciler.retrieval.selfrag.answer import Span
from reconciler.retrieval.selfrag.assembly import assembled
from reconciler.retrieval.selfrag.extractive import (
    ExtractiveGenerator,
    quotable,
    says_more,
)
from reconciler.retrieval.selfrag.features import coverage, pair_coverage
from reconciler.retrieval.selfrag.library_retriever import LibraryRetriever
from reconciler.retrieval.selfrag.policy import Thresholds
from reconciler.retrieval.selfrag.queries import queries
from reconciler.retrieval.selfrag.remembering import RememberingEmbedder
from reconciler.retrieval.selfrag.sentences import spans, words
from reconciler.retrieval.selfrag.similarity import cosines_with_sentences
from reconciler.retrieval.source import Directories
from tests.retrieval.library_support import Counting
from tests.retrieval.selfrag.selfrag_parts import passage
from tests.retrieval.selfrag.test_selfrag_heads import heads

TEXT = (
    "Sessions hold connections, e.g. Those of a pool. They must be closed "
    "with close(). Short. Otherwise a warning is shown at the end."
)


def test_sentences_end_where_they_end() -> None:
    found = [TEXT[a:b] for a, b in spans(TEXT)]
    assert found == [
        "Sessions hold connections, e.g. Those of a pool.",
        "They must be closed with close().",
        "Otherwise a warning is shown at the end.",
    ]
    assert spans("") == spans("Tiny.") == []


def test_words_are_stems_of_what_has_content() -> None:
    assert words("How do I close the SessionPool of 12?") == [
        *("close", "sessio", "pool", "12")
    ]


def test_coverage_is_a_share() -> None:
    assert coverage(["a1", "b1"], ["b1", "c1"]) == 0.5
    assert coverage([], ["b1"]) == 0.0
    assert pair_coverage(["a", "b", "c"], ["x", "b", "c"]) == 0.5
    assert pair_coverage(["a"], ["a"]) == 0.0


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "How do I close a ClientSession?",
            (
                "How do I close a ClientSession?",
                "close a ClientSession",
                "close ClientSession Client Session",
            ),
        ),
        ("close sessions", ("close sessions",)),
        ("?", ("?",)),
    ],
)
def test_queries_differ(question, expected) -> None:
    assert queries(question) == expected


async def test_answers_are_the_nearest_sentences_word_for_word() -> None:
    generator = ExtractiveGenerator(HashingEmbedder())
    found = await generator.generate(
        "when must sessions be closed?", [passage("a", TEXT)], 2
    )
    assert found[0].text == "They must be closed with close()."
    assert found[0].spans[0].text == found[0].text
    assert found[0].likelihood >= found[1].likelihood
    assert await generator.generate("x", [passage("a", "Tiny.")], 2) == []


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Sessions must be closed with close().", True),
        ("How must sessions be closed?", False),
        ('"handbook", "query": ...', False),
        ('Ask: "when must sessions be closed?" and wait.', False),
    ],
)
def test_the_question_again_and_scraps_are_no_answers(
    sentence, expected
) -> None:
    question = "When must sessions be closed?"
    assert says_more(sentence, question) == expected


def test_nothing_is_embedded_twice_while_it_is_remembered() -> None:
    counting = Counting()
    memory = RememberingEmbedder(counting, texts=2)
    first = memory.embed(["a b", "c d", "a b"])
    assert counting.seen == ["a b", "c d"]
    assert np.array_equal(
        first, HashingEmbedder(256).embed(["a b", "c d", "a b"])
    )
    memory.embed(["c d", "e f"])
    memory.embed(["a b"])  # forgotten meanwhile
    assert counting.seen == ["a b", "c d", "e f", "a b"]
    assert memory.embed([]).shape == (0, 256)


def test_the_best_sentence_of_each_text_counts() -> None:
    found = cosines_with_sentences(
        HashingEmbedder(), "They must be closed with close().", [TEXT, "no"]
    )
    assert found[0] == pytest.approx(1.0)
    assert found[1] < 0.5


async def test_the_first_sentence_of_a_passage_leads() -> None:
    lead = "A lock keeps other threads away."
    body = f"{lead} The worth of a lock is known well."

    async def first(generator: ExtractiveGenerator) -> int:
        asked = "what is a lock?"
        found = await generator.generate(asked, [passage("a", body)], 1)
        return found[0].spans[0].start

    embedder = HashingEmbedder()
    assert await first(ExtractiveGenerator(embedder)) == 0
    other = await first(ExtractiveGenerator(embedder, lead=0.0))
    assert other == len(lead) + 1


def test_what_only_repeats_the_question_cannot_be_quoted() -> None:
    question = "What happens when an index file is damaged?"
    assert not quotable(question, f'$ reconciler ask --in docs "{question}"')
    assert quotable(question, f"{question} The next build starts it anew.")


async def test_passages_that_are_no_use_make_room(tmp_path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    question = "when must a session be closed?"
    for i in range(3):
        (docs / f"example{i}.md").write_text(f'$ ask{i} "{question}"\n')
    (docs / "text.md").write_text("A session must be closed at the end.\n")
    library, embedder = Library(tmp_path / "index"), HashingEmbedder()
    build(library, Directories((docs,), Chunking(200, 10)), embedder)
    with Searcher(library, embedder) as searcher:
        everything = LibraryRetriever(searcher)
        found = await everything.retrieve(question, 1)
        assert found[0].path.startswith("example")
        quoting = LibraryRetriever(searcher, quotable)
        (found,) = await quoting.retrieve(question, 1)
    assert found.path == "text.md"
    start, end = Span(found, 0, len(found.body)).characters
    assert (docs / "text.md").read_text()[start:end] == found.body
    assert quoting.identity.startswith("generation 000001 (")


@pytest.mark.parametrize(("need", "expected"), [(0.83, 0.5), (0.2, 0.2)])
def test_quotations_are_looked_for_unless_that_is_surely_vain(
    monkeypatch, need, expected
) -> None:
    tuned = Thresholds(need=need, support=0.1)
    known = heads(64).model_copy(update={"thresholds": tuned})
    monkeypatch.setattr(assembly, "load_heads", lambda _path: known)

    class Nothing:
        generation = "000001"

    found = assembled(Nothing(), HashingEmbedder(64))
    assert found.thresholds == replace(tuned, need=expected)
