# ruff: noqa: ARG002 - fakes take what the protocols give
from __future__ import annotations

import asyncio

import pytest

from reconciler.retrieval.selfrag.answer import Draft
from reconciler.retrieval.selfrag.loop import SelfRag, explore, scores
from reconciler.retrieval.selfrag.policy import Budget
from reconciler.retrieval.selfrag.protocols import PartError
from tests.retrieval.selfrag.selfrag_parts import (
    Judge,
    Quoter,
    Shelf,
    passage,
    quoted,
)

QUESTION = "How do I close a session?"
CLOSING = passage("closing")
OTHER = passage("other")


def parts(judge: Judge, found=None, **options) -> SelfRag:
    shelf = Shelf({QUESTION: [OTHER, CLOSING]} if found is None else found)
    return SelfRag(shelf, options.pop("generator", Quoter()), judge, **options)


async def test_an_answer_has_evidence_scores_and_source() -> None:
    judge = Judge(relevant={"closing": 0.9, "other": 0.6})
    found = await parts(judge).answer(QUESTION)
    assert found.verdict == "answered"
    assert found.text == CLOSING.body
    shown = found.document()
    assert shown["scores"]["relevance"] == 0.9
    (evidence,) = shown["evidence"]
    span = evidence["passage"][evidence["start"] : evidence["end"]]
    assert (evidence["document"], span) == ("closing.md", found.text)
    assert shown["source"] == "shelf, quoter, judge"


async def test_another_query_is_tried_before_abstaining() -> None:
    judge = Judge(relevant={"closing": 0.9})
    again = parts(judge, {"close a session": [CLOSING]})
    found = await again.answer(QUESTION)
    assert found.verdict == "answered"
    assert found.queries == (QUESTION, "close a session")
    none = await parts(judge, {}).answer(QUESTION)
    assert (none.verdict, none.text) == ("abstained", "")
    assert none.reason == "nothing was found"


async def test_no_search_where_none_is_needed() -> None:
    told = parts(Judge(needed=0.1), generator=Quoter(closed_book=True))
    found = await told.answer("Hi there")
    assert (found.text, found.queries) == ("Hello.", ())
    assert told.retriever.asked == []


async def test_what_is_not_supported_is_not_said() -> None:
    judge = Judge(relevant={"closing": 0.9}, supported=0.2)
    found = await parts(judge).answer(QUESTION)
    assert (found.verdict, found.text) == ("abstained", "")
    assert "support 0.20" in found.reason
    assert found.document()["scores"]["support"] == 0.2


async def test_a_part_that_fails_is_an_abstention_that_says_so() -> None:
    class Broken(Judge):
        async def relevance(self, question, passages):
            raise PartError("the judge is ill")

    found = await parts(Broken()).answer(QUESTION)
    assert (found.verdict, found.reason) == ("abstained", "the judge is ill")


async def test_time_is_bounded() -> None:
    class Slow(Judge):
        async def need(self, question):
            await asyncio.Event().wait()
            return 1.0

    found = await parts(Slow(), budget=Budget(seconds=0.05)).answer("Why?")
    assert "more than 0.05 s" in found.reason


async def test_an_empty_question_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        await parts(Judge()).answer("  ")


async def test_ids_are_those_of_the_answer() -> None:
    judge = Judge(relevant={"closing": 0.9})
    one, two = [await parts(judge).answer(QUESTION) for _ in range(2)]
    other = await parts(Judge()).answer(QUESTION)
    assert one.id == two.id != other.id


async def test_exploring_runs_every_round_whatever_the_scores() -> None:
    judge = Judge(needed=0.0, relevant={"closing": 0.9})
    trace = await explore(parts(judge), QUESTION)
    assert [bool(r.judged) for r in trace.rounds] == [True, False]


def test_the_total_is_the_weighted_sum() -> None:
    draft = quoted(passage("a", relevance=0.5), likelihood=0.8)
    found = scores(draft, 1.0, 0.25, (0.25, 0.25, 0.25, 0.25))
    assert found.total == pytest.approx((0.8 + 0.5 + 1.0 + 0.25) / 4)
    assert scores(Draft("x", (), 1.0), 0, 0, (1, 0, 0, 0)).relevance == 0
