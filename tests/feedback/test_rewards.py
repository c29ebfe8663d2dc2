"""Properties of the reward mapping."""

from __future__ import annotations

import uuid
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from reconciler.feedback.judgement import Judgement
from reconciler.feedback.resource import Rewards
from reconciler.feedback.rewards import mapping_digest, rewards_of


def judged(kind, value, response="x", response_b=None):
    return Judgement(
        id=uuid.UUID(int=0),
        kind=kind,
        model="m",
        generation="m-1",
        prompt="p",
        response=response,
        response_b=response_b,
        value=value,
        rater="r",
    )


decimals = st.decimals(-3, 3, places=2).map(lambda d: f"{d:f}")
mappings = st.builds(
    Rewards,
    thumbs_up=decimals,
    thumbs_down=decimals,
    rating_scale=st.integers(2, 100),
    comparison=decimals,
    correction=decimals,
)
judgements = st.one_of(
    st.booleans().map(lambda v: judged("thumbs", v)),
    st.integers(1, 100).map(lambda v: judged("rating", v)),
    st.sampled_from(["a", "b", "tie"]).map(
        lambda v: judged("comparison", v, "x", "y")
    ),
    st.text(min_size=1).map(lambda v: judged("correction", v)),
)


@given(judgements, mappings)
def test_rewards_are_bounded(judgement, mapping):
    for reward in rewards_of(judgement, mapping):
        assert -1 <= reward.value <= 1


@given(st.integers(1, 100), st.integers(1, 100), mappings)
def test_ratings_are_monotone(low, high, mapping):
    low, high = sorted((low, high))
    (worse,) = rewards_of(judged("rating", low), mapping)
    (better,) = rewards_of(judged("rating", high), mapping)
    assert worse.value <= better.value
    if low < high <= mapping.rating_scale:
        assert worse.value < better.value


@given(mappings)
def test_ratings_span_the_range(mapping):
    (worst,) = rewards_of(judged("rating", 1), mapping)
    (best,) = rewards_of(judged("rating", mapping.rating_scale), mapping)
    assert (worst.value, best.value) == (-1.0, 1.0)


@given(st.sampled_from(["a", "b", "tie"]), mappings)
def test_comparisons_are_antisymmetric(value, mapping):
    swapped = {"a": "b", "b": "a", "tie": "tie"}[value]
    one = rewards_of(judged("comparison", value, "x", "y"), mapping)
    other = rewards_of(judged("comparison", swapped, "y", "x"), mapping)
    assert {r.response: r.value for r in one} == {
        r.response: r.value for r in other
    }
    assert sum(reward.value for reward in one) == 0


def test_the_winner_is_paid_whoever_it_is():
    for value, paid in (("a", (0.5, -0.5)), ("b", (-0.5, 0.5))):
        found = rewards_of(judged("comparison", value, "x", "y"), Rewards())
        assert tuple(reward.value for reward in found) == paid


def test_a_tie_pays_nobody():
    found = rewards_of(judged("comparison", "tie", "x", "y"), Rewards())
    assert [reward.value for reward in found] == [0, 0]


def test_a_corrected_answer_loses_a_little():
    found = rewards_of(judged("correction", "better"), Rewards())
    assert [reward.value for reward in found] == [-0.2]


@given(mappings, mappings)
def test_equal_mappings_and_no_others_have_equal_digests(one, other):
    assert (one == other) == (mapping_digest(one) == mapping_digest(other))


@given(mappings)
def test_the_digest_fits_its_status_field(mapping):
    assert len(mapping_digest(mapping)) == 71
    assert abs(Decimal(mapping.comparison)) <= 3
