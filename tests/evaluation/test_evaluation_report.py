"""Reports say what was measured, by what, and how sure that is."""

from __future__ import annotations

import pytest

from reconciler.evaluation.report import Guardrail, Questions, Report, method


def make(**changes) -> Report:
    base = Report(
        primary="house-style",
        candidate="docs-2",
        baseline="docs-1",
        score=0.72,
        baseline_score=0.5,
        estimate=0.22,
        ci_low=0.2,
        ci_high=0.24,
        samples=400,
        gate="Passed",
        message="better",
        guardrails=(
            Guardrail(
                metric="chrf",
                baseline_score=0.3,
                score=0.29,
                estimate=-0.01,
                ci_low=-0.015,
                ci_high=-0.005,
                max_drop=0.02,
                kept=True,
            ),
        ),
        detectable_effect=0.03,
        samples_needed=12,
        alpha=0.01,
        min_improvement=0.0,
        min_samples=100,
        resamples=10000,
        meaning="a stated rule",
        method=method(0.01, 10000),
        decoding="greedy decoding, at most 40 new tokens",
        questions=Questions(
            corpus="python-docstrings",
            split="heldout",
            samples=400,
            digest="sha256:abc",
        ),
        seed=1,
        versions={"house-style": "house-style/1", "torch": "2.13"},
    )
    return base.model_copy(update=changes)


def test_a_report_survives_json():
    assert Report.model_validate_json(make().to_json()) == make()


def test_the_wire_form_is_camel_case():
    wire = make().model_dump(mode="json", by_alias=True)
    assert wire["ciLow"] == 0.2
    assert wire["baselineScore"] == 0.5
    assert wire["guardrails"][0]["maxDrop"] == 0.02
    assert wire["gate"] == "Passed"


def test_the_text_says_everything_that_matters():
    text = make().to_markdown()
    for words in (
        "# docs-2 against docs-1: Passed",
        "| house-style | 0.5000 | 0.7200 | +0.2200 | +0.2000 to +0.2400 |",
        "| chrf | 0.3000 | 0.2900 | -0.0100 |",
        "may not fall by more than 0.02: kept",
        "The score: a stated rule.",
        "400 of the heldout part of python-docstrings, digest sha256:abc",
        "greedy decoding, at most 40 new tokens",
        "one-sided error rate 0.01",
        "improvement of 0.0300 would be detected",
        "with 12 questions",
        "house-style house-style/1, torch 2.13",
    ):
        assert words in text


def test_a_broken_guardrail_is_named():
    (rail,) = make().guardrails
    broken = make(guardrails=(rail.model_copy(update={"kept": False}),))
    assert "not kept" in broken.to_markdown()


def test_without_scores_no_number_is_made_up():
    nothing = dict.fromkeys(
        ("score", "baseline_score", "estimate", "ci_low", "ci_high")
    )
    report = make(
        gate="Inconclusive",
        guardrails=(),
        detectable_effect=None,
        samples_needed=None,
        **nothing,
    )
    text = report.to_markdown()
    assert "no scores" in text
    assert "nine times" not in text
    assert '"score": null' in report.to_json()


@pytest.mark.parametrize("end", ["0.0000", "+0.0000"])
def test_no_difference_is_not_below_zero(end):
    text = make(estimate=0.0, ci_low=0.0, ci_high=0.0).to_markdown()
    assert end in text
    assert "-0.0000" not in text
