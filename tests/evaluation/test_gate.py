"""The gate's verdicts: what passes, what fails, what says nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.evaluation.gate import judge
from reconciler.evaluation.resource import EvaluationSuiteSpec

STYLE = "house-style"


def suite(min_improvement="0", min_samples=20, max_drop=None):
    return EvaluationSuiteSpec.model_validate(
        {
            "data": {"corpus": "python-docstrings", "samples": 100},
            "primary": {"name": STYLE},
            "guardrails": [{"name": "chrf", "maxDrop": max_drop}]
            if max_drop
            else [],
            "gate": {
                "minImprovement": min_improvement,
                "minSamples": min_samples,
                "resamples": 1000,
            },
        }
    )


def scores(mean, n=200, seed=0, spread=0.1):
    return list(np.random.default_rng(seed).normal(mean, spread, n))


def style(old, new, spec=None):
    return judge(spec or suite(), {STYLE: old}, {STYLE: new}, "test")


def test_a_better_candidate_passes():
    found = style(scores(0.5), scores(0.6, seed=1))
    assert found.verdict == "Passed"
    assert found.primary is not None
    assert found.primary.interval.low > 0
    assert found.message.startswith("better: house-style 0.5")
    assert "on 200 questions" in found.message


def test_a_worse_candidate_fails():
    found = style(scores(0.5), scores(0.4, seed=1))
    assert found.verdict == "Failed"
    assert found.message.startswith("worse:")


def test_a_candidate_that_is_not_clearly_better_fails_with_advice():
    found = style(scores(0.5), scores(0.51, seed=1))
    assert found.verdict == "Failed"
    assert "it would take about" in found.message
    assert found.primary is not None
    assert found.primary.needed is not None
    assert found.primary.needed > 200


def test_a_slightly_lower_candidate_fails_saying_what_was_detectable():
    new = scores(0.5)
    old = [s + 0.001 * (-1) ** n + 0.0001 for n, s in enumerate(new)]
    found = style(old, new)
    assert found.verdict == "Failed"
    assert "would have been detected" in found.message


@given(
    st.lists(st.integers(0, 5).map(lambda n: n / 5), min_size=20, max_size=99)
    | st.lists(
        st.integers(0, 5).map(lambda n: n / 5), min_size=100, max_size=150
    )
)
@settings(max_examples=50)
def test_identical_models_never_pass(values):
    found = style(values, values)
    assert found.verdict == "Failed"
    assert found.message.startswith("no difference")


@given(st.integers(0, 10**6), st.floats(-0.2, 0.2))
@settings(max_examples=60)
def test_no_two_models_are_both_better_than_the_other(seed, shift):
    old, new = scores(0.5, 60, seed), scores(0.5 + shift, 60, seed + 1)
    verdicts = [style(old, new).verdict, style(new, old).verdict]
    assert verdicts.count("Passed") <= 1


@given(st.floats(0, 0.3))
@settings(max_examples=30)
def test_more_improvement_never_turns_a_pass_into_a_fail(more):
    old, new = scores(0.5), scores(0.55, seed=1)
    assert style(old, new).verdict == "Passed"
    assert style(old, [s + more for s in new]).verdict == "Passed"


@pytest.mark.parametrize(
    ("threshold", "verdict"), [("0.05", "Passed"), ("0.1", "Failed")]
)
def test_the_whole_interval_must_be_above_the_threshold(threshold, verdict):
    spec = suite(min_improvement=threshold)
    found = style(scores(0.5), scores(0.6, seed=1), spec)
    assert found.verdict == verdict


def test_an_improvement_below_the_threshold_is_said_to_be_that():
    spec = suite(min_improvement="0.3")
    found = style(scores(0.5), scores(0.6, seed=1), spec)
    assert found.message.startswith("improvement below 0.3")


def test_few_questions_say_nothing_but_show_the_numbers():
    spec = suite(min_samples=201)
    found = style(scores(0.5), scores(0.9, seed=1), spec)
    assert found.verdict == "Inconclusive"
    assert "minSamples 201" in found.message
    assert found.primary is not None
    assert found.samples == 200


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
@pytest.mark.parametrize("who", ["baseline", "candidate"])
def test_a_missing_score_says_nothing(missing, who):
    old, new = scores(0.5), scores(0.9, seed=1)
    (old if who == "baseline" else new)[7] = missing
    found = style(old, new)
    assert found.verdict == "Inconclusive"
    assert found.message == f"1 house-style scores of the {who} are missing"
    assert found.primary is None


def test_no_scores_at_all_say_nothing():
    found = judge(suite(), {}, {STYLE: scores(0.5)}, "test")
    assert found.verdict == "Inconclusive"
    assert "all house-style scores of the baseline" in found.message


@pytest.mark.parametrize("n", [0, 1])
def test_one_question_is_no_comparison(n):
    found = style([0.1] * n, [0.9] * n, suite(min_samples=2))
    assert found.verdict == "Inconclusive"


def test_different_questions_are_not_compared():
    found = style(scores(0.5), scores(0.9, 199))
    assert found.verdict == "Inconclusive"
    assert "199 scores against 200" in found.message


def guarded(change, spread=0.02):
    old = {STYLE: scores(0.5), "chrf": scores(0.3, seed=2)}
    noise = scores(change, seed=3, spread=spread)
    new = {
        STYLE: scores(0.6, seed=1),
        "chrf": [a + b for a, b in zip(old["chrf"], noise, strict=True)],
    }
    return judge(suite(max_drop="0.02"), old, new, "test")


@pytest.mark.parametrize(
    ("change", "spread", "verdict", "words"),
    [
        (0.0, 0.02, "Passed", "better"),
        (-0.01, 0.02, "Passed", "better"),
        (-0.05, 0.02, "Failed", "guardrail: chrf fell by 0.04"),
        (0.0, 0.5, "Failed", "guardrail: chrf may have fallen by"),
    ],
)
def test_guardrails(change, spread, verdict, words):
    found = guarded(change, spread)
    assert found.verdict == verdict
    assert found.message.startswith(words)
    (rail,) = found.guardrails
    assert rail.kept is (verdict == "Passed")


def test_an_unchanged_guardrail_is_kept():
    old = {STYLE: scores(0.5), "chrf": [0.3] * 200}
    new = {STYLE: scores(0.6, seed=1), "chrf": [0.3] * 200}
    assert judge(suite(max_drop="0.0"), old, new, "t").verdict == "Passed"


def test_a_missing_guardrail_score_says_nothing():
    old = {STYLE: scores(0.5), "chrf": [0.3] * 200}
    new = {STYLE: scores(0.6, seed=1)}
    found = judge(suite(max_drop="0.1"), old, new, "t")
    assert found.verdict == "Inconclusive"
    assert "chrf scores of the candidate" in found.message


def test_a_guardrail_without_a_limit_is_refused():
    spec = EvaluationSuiteSpec.model_validate(
        {
            "data": {"corpus": "python-docstrings"},
            "primary": {"name": STYLE},
            "guardrails": [{"name": "chrf"}],
        }
    )
    with pytest.raises(ValueError, match="maxDrop"):
        judge(spec, {}, {}, "t")


def test_a_judgement_can_be_repeated():
    old, new = scores(0.5), scores(0.51, seed=1)
    spec = suite()
    one = judge(spec, {STYLE: old}, {STYLE: new}, "same")
    assert one == judge(spec, {STYLE: old}, {STYLE: new}, "same")
    other = judge(spec, {STYLE: old}, {STYLE: new}, "other")
    assert other.primary != one.primary
