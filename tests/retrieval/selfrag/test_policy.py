from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.retrieval.selfrag.policy import (
    Abstain,
    Accept,
    Budget,
    Generate,
    JudgeNeed,
    Retrieve,
    Round,
    Thresholds,
    Trace,
    next_step,
    usable,
)
from tests.retrieval.selfrag.selfrag_parts import judged, passage

QUERIES = ("first", "second", "third")


def step(trace: Trace, *, closed_book: bool = False, rounds: int = 2):
    return next_step(
        trace,
        QUERIES,
        Thresholds(),
        Budget(rounds=rounds),
        closed_book=closed_book,
    )


def searched(*relevances: float, drafts=None) -> Round:
    found = tuple(
        passage(f"p{i}", relevance=r) for i, r in enumerate(relevances)
    )
    return Round("first", found, drafts)


def test_need_is_judged_first_then_the_question_is_looked_up() -> None:
    assert step(Trace()) == JudgeNeed()
    assert step(Trace(need=0.5)) == Retrieve("first")


def test_what_needs_no_documents_is_answered_unaided_or_not_at_all() -> None:
    small = Trace(need=0.2)
    refused = step(small)
    assert isinstance(refused, Abstain)
    assert "only quotes" in refused.reason
    assert step(small, closed_book=True) == Generate(())
    good, bad = judged(0.9), judged(0.9, usefulness=0.1)
    done = step(Trace(0.2, (), (good,)), closed_book=True)
    assert isinstance(done, Accept)
    useless = step(Trace(0.2, (), (bad,)), closed_book=True)
    assert isinstance(useless, Abstain)
    assert "usefulness 0.10 is too low" in useless.reason
    silent = step(Trace(0.2, (), ()), closed_book=True)
    assert isinstance(silent, Abstain)


def test_only_relevant_passages_are_read() -> None:
    found = step(Trace(1.0, (searched(0.9, 0.5, 0.49),)))
    assert isinstance(found, Generate)
    assert [p.title for p in found.passages] == ["p0", "p1"]


def test_nothing_relevant_leads_to_another_query_then_to_abstaining() -> None:
    irrelevant = searched(0.1)
    assert step(Trace(1.0, (irrelevant,))) == Retrieve("second")
    end = step(Trace(1.0, (irrelevant, irrelevant)))
    assert isinstance(end, Abstain)
    assert "nothing relevant was found (best 0.10)" in end.reason
    nothing = step(Trace(1.0, (searched(), searched())))
    assert isinstance(nothing, Abstain)
    assert nothing.reason == "nothing was found"


def test_a_passage_that_was_read_is_not_read_again() -> None:
    first = searched(0.9, drafts=(judged(0.1),))
    end = step(Trace(1.0, (first, searched(0.9))))
    assert isinstance(end, Abstain)


def test_the_best_acceptable_draft_is_accepted() -> None:
    unsupported, fine = judged(0.95, support=0.2), judged(0.7)
    found = step(
        Trace(1.0, (searched(0.9, drafts=(unsupported, judged(0.6), fine)),))
    )
    assert isinstance(found, Accept)
    assert found.best == fine


def test_an_answer_that_is_not_accepted_is_named_with_its_scores() -> None:
    bad = judged(0.9, support=0.2)
    end = step(Trace(1.0, (searched(0.9, drafts=(bad,)),)), rounds=1)
    assert end == Abstain(
        bad, "no answer can be stood for: support 0.20 is too low"
    )
    silent = step(Trace(1.0, (searched(0.9, drafts=()),)), rounds=1)
    assert isinstance(silent, Abstain)
    assert "made nothing of the evidence" in silent.reason


scores = st.floats(0, 1)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    need=scores,
    rounds=st.lists(
        st.tuples(
            st.lists(scores, max_size=3),
            st.lists(st.tuples(scores, scores, scores), max_size=3),
        ),
        max_size=4,
    ),
    closed_book=st.booleans(),
)
def test_it_ends_and_accepts_nothing_below_a_threshold(
    need, rounds, closed_book
) -> None:
    trace = Trace()
    script = iter(rounds)
    for _ in range(20):
        match found := step(trace, closed_book=closed_book):
            case JudgeNeed():
                trace = Trace(need)
            case Retrieve():
                relevances, _ = next(script, ([], []))
                trace = Trace(need, (*trace.rounds, searched(*relevances)))
            case Generate(passages):
                drafts = tuple(judged(*each) for _, d in rounds for each in d)
                if not passages:
                    trace = Trace(need, trace.rounds, drafts)
                    continue
                last = trace.rounds[-1]
                done = Round(last.query, last.found, drafts)
                trace = Trace(need, (*trace.rounds[:-1], done))
            case Accept(best):
                assert best.scores.usefulness >= 0.5
                if need >= 0.5:
                    assert best.scores.support >= 0.5
                    assert best.scores.total >= 0.5
                return
            case Abstain():
                assert found.reason
                return
    raise AssertionError("it did not end")


def test_the_next_round_reads_what_no_round_before_had_read() -> None:
    """Of many relevant passages the best are read, then the others."""
    budget = Budget(rounds=2, used=2)
    first = searched(0.9, 0.8, 0.7, 0.6, drafts=(judged(0.1),))
    again = Round("second", first.found)
    trace = Trace(need=1.0, rounds=(first, again))
    read = usable(trace, Thresholds(relevance=0.65), budget)
    assert [p.path for p in read] == ["p2.md"]
