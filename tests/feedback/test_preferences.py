"""From judgements to pairs and completions."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from reconciler.feedback.judgement import Judgement
from reconciler.feedback.preferences import Completion, Pair, Scored
from reconciler.feedback.preferences import lessons as lessons_of_scored
from reconciler.feedback.rewards import DEFAULT_REWARDS, rewards_of


def said(kind, value, response="x", response_b=None, rater="r", prompt="p"):
    return Judgement(
        id=uuid.UUID(int=0),
        kind=kind,
        model="m",
        generation="m-1",
        prompt=prompt,
        response=response,
        response_b=response_b,
        value=value,
        rater=rater,
    )


def lessons(judgements):
    return lessons_of_scored(
        Scored(each, rewards_of(each, DEFAULT_REWARDS)[0].value)
        for each in judgements
    )


def test_a_comparison_prefers_the_winner():
    first = said("comparison", "a", "good", "bad")
    second = said("comparison", "b", "bad", "good", prompt="q")
    assert lessons([first, second]).pairs == (
        Pair("p", "good", "bad"),
        Pair("q", "good", "bad"),
    )


def test_ties_and_equal_answers_teach_nothing():
    tie = said("comparison", "tie", "x", "y")
    same = said("comparison", "a", "x", "x", prompt="q")
    assert lessons([tie, same]).pairs == ()


def test_a_correction_is_a_pair_and_a_completion():
    found = lessons([said("correction", "right", "wrong")])
    assert found.pairs == (Pair("p", "right", "wrong"),)
    assert found.completions == (Completion("p", "right"),)


def test_a_correction_that_changes_nothing_is_a_completion_only():
    found = lessons([said("correction", "same", "same")])
    assert found.pairs == ()
    assert found.completions == (Completion("p", "same"),)


def test_the_best_score_is_preferred_to_the_worst():
    rows = [
        said("rating", 5, "best"),
        said("rating", 3, "middle"),
        said("thumbs", value=False, response="worst"),
    ]
    assert lessons(rows).pairs == (Pair("p", "best", "worst"),)


def test_equal_scores_and_single_answers_teach_nothing():
    rows = [said("rating", 5, "x"), said("thumbs", value=True, response="y")]
    assert lessons(rows).pairs == ()
    assert lessons(rows[:1]).pairs == ()


def test_scores_of_several_raters_are_averaged():
    rows = [
        said("rating", 5, "x", rater="a"),
        said("rating", 1, "x", rater="b"),
        said("rating", 4, "y", rater="a"),
        said("rating", 4, "y", rater="b"),
    ]
    assert lessons(rows).pairs == (Pair("p", "y", "x"),)


def test_the_last_word_of_a_rater_counts():
    rows = [
        said("comparison", "a", "x", "y"),
        said("comparison", "a", "y", "x"),
        said("thumbs", value=True, response="u", prompt="q"),
        said("thumbs", value=True, response="v", prompt="q"),
        said("rating", 1, "u", prompt="q"),
        said("correction", "first", "w", prompt="z"),
        said("correction", "second", "w", prompt="z"),
    ]
    found = lessons(rows)
    assert found.pairs == (
        Pair("p", "y", "x"),
        Pair("q", "v", "u"),
        Pair("z", "second", "w"),
    )
    assert found.completions == (Completion("z", "second"),)
    assert found.superseded == 3


def test_the_majority_decides_and_a_draw_teaches_nothing():
    votes = [
        said("comparison", "a", "x", "y", rater="1"),
        said("comparison", "b", "y", "x", rater="2"),
        said("comparison", "b", "x", "y", rater="3"),
    ]
    assert lessons(votes).pairs == (Pair("p", "x", "y"),)
    assert lessons(votes[1:]).pairs == ()


def test_a_comparison_outweighs_scores_and_a_correction_both():
    rows = [
        said("rating", 5, "x"),
        said("rating", 1, "y"),
        said("comparison", "b", "x", "y"),
    ]
    assert lessons(rows).pairs == (Pair("p", "y", "x"),)
    rows.append(said("correction", "x", "y"))
    assert lessons(rows).pairs == (Pair("p", "x", "y"),)


texts = st.sampled_from(["u", "v", "w", "x"])
raters = st.sampled_from(["1", "2", "3"])
prompts = st.sampled_from(["p", "q"])
judgements = st.lists(
    st.one_of(
        st.builds(
            said, st.just("thumbs"), st.booleans(), texts,
            rater=raters, prompt=prompts,
        ),
        st.builds(
            said, st.just("rating"), st.integers(1, 5), texts,
            rater=raters, prompt=prompts,
        ),
        st.builds(
            said, st.just("comparison"),
            st.sampled_from(["a", "b", "tie"]), texts, texts,
            rater=raters, prompt=prompts,
        ),
        st.builds(
            said, st.just("correction"), texts, texts,
            rater=raters, prompt=prompts,
        ),
    ),
    max_size=25,
)  # fmt: skip


@given(judgements)
def test_pairs_are_sorted_distinct_and_never_contradict(rows):
    pairs = lessons(rows).pairs
    assert list(pairs) == sorted(set(pairs))
    twos = [(p.prompt, frozenset({p.chosen, p.rejected})) for p in pairs]
    assert len(set(twos)) == len(twos)
    assert all(pair.chosen != pair.rejected for pair in pairs)


@given(judgements)
def test_saying_everything_twice_changes_nothing(rows):
    once, twice = lessons(rows), lessons([*rows, *rows])
    assert (once.pairs, once.completions) == (twice.pairs, twice.completions)


@given(judgements, st.randoms(use_true_random=False))
def test_the_order_of_different_raters_does_not_matter(rows, random):
    latest = list({r.rater: r for r in rows}.values())
    shuffled = latest.copy()
    random.shuffle(shuffled)
    assert lessons(latest) == lessons(shuffled)


@given(judgements)
def test_swapping_every_judgement_swaps_every_compared_pair(rows):
    compared = [row for row in rows if row.kind == "comparison"]
    swapped = [
        said(
            "comparison",
            {"a": "b", "b": "a", "tie": "tie"}[row.value],
            row.response,
            row.response_b,
            rater=row.rater,
            prompt=row.prompt,
        )
        for row in compared
    ]
    forward = {
        (p.prompt, p.chosen, p.rejected) for p in lessons(compared).pairs
    }
    backward = {
        (p.prompt, p.rejected, p.chosen) for p in lessons(swapped).pairs
    }
    assert forward == backward
