from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.serving.fidelity import (
    Fidelity,
    Tolerance,
    check,
    compare,
    verdict,
)
from reconciler.serving.probe import Report, Score
from reconciler.serving.texts import texts

TOLERANCE = Tolerance(0.95, 0.02)
GOOD = Fidelity(
    top1_agreement=0.99,
    perplexity=10.1,
    reference_perplexity=10.0,
    perplexity_change=0.01,
    worst_text_rise=0.02,
    sweep_deviation=1e-5,
    texts=10,
    tokens=1000,
)


def score(top: tuple[int, ...], *losses: float) -> Score:
    return Score(top=top, losses=losses)


def test_equal_scores_cost_nothing() -> None:
    scores = [score((1, 2), 0.5, 1.5), score((3,), 2.0)]
    found = compare(scores, scores, 0.0)
    assert found.top1_agreement == 1
    assert found.perplexity_change == 0
    assert found.perplexity == pytest.approx(math.exp(4 / 3))
    assert (found.texts, found.tokens) == (2, 3)


def test_each_token_counts_once_whatever_its_text() -> None:
    before = [score((1, 1, 1), 1, 1, 1), score((1,), 1)]
    after = [score((1, 1, 1), 1, 1, 1), score((2,), 2)]
    found = compare(before, after, 0.0)
    assert found.top1_agreement == 0.75
    assert found.perplexity_change == pytest.approx(math.expm1(0.25))
    assert found.worst_text_rise == 1


def test_scores_of_other_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="different texts"):
        compare([score((1,), 1)], [score((1, 2), 1, 1)], 0)
    with pytest.raises(ValueError, match="different texts"):
        compare([], [], 0)


def test_what_is_within_limits_may_serve() -> None:
    assert verdict(GOOD, TOLERANCE) == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top1_agreement": 0.9499}, "0.9499 is below minTop1Agreement 0.95"),
        ({"perplexity_change": 0.021}, "rises by 2.10%, more than"),
        ({"worst_text_rise": 0.6}, "the loss of one text rises by 0.600"),
        ({"sweep_deviation": 0.05}, "logits differ by 0.0500"),
        ({"top1_agreement": math.nan}, "top-1 agreement"),
        ({"perplexity_change": math.nan}, "perplexity rises"),
        ({"perplexity_change": math.inf}, "perplexity rises"),
    ],
)
def test_each_limit_is_named(changes: dict[str, float], message: str) -> None:
    assert message in verdict(replace(GOOD, **changes), TOLERANCE)


def test_all_that_is_wrong_is_named_at_once() -> None:
    bad = replace(GOOD, top1_agreement=0.1, perplexity_change=9.0)
    assert verdict(bad, TOLERANCE).count(";") == 1


def test_a_better_model_is_no_problem() -> None:
    assert verdict(replace(GOOD, perplexity_change=-0.5), TOLERANCE) == ""


def test_the_problem_of_a_report_comes_first() -> None:
    crashed = Report(problem="the model crashed with SIGFPE")
    assert check([], crashed, TOLERANCE) == (crashed.problem, None)
    problem, figures = check([], Report(repeatable=False), TOLERANCE)
    assert "two different answers" in problem
    assert figures is None


def test_facts_are_finite_and_short() -> None:
    facts = replace(GOOD, perplexity=1 / 3).facts()
    assert facts["perplexity"] == 0.3333
    assert json.loads(json.dumps(facts)) == facts


def dataset(directory: Path, rows: list[object]) -> Path:
    lines = [json.dumps(row) + "\n" for row in rows]
    (directory / "train.jsonl").write_text("".join(lines))
    return directory


def test_texts_come_from_both_kinds_of_dataset(tmp_path: Path) -> None:
    rows: list[object] = [
        {"prompt": "What?", "completion": "That."},
        {"prompt": "Who?\n", "chosen": "You.", "rejected": "Nobody."},
    ]
    found = texts(dataset(tmp_path, rows))
    assert found == ["What?\nThat.", "Who?\nYou."]


def test_texts_are_spread_over_the_dataset(tmp_path: Path) -> None:
    rows: list[object] = [
        {"prompt": f"{i}?", "completion": "."} for i in range(1000)
    ]
    found = texts(dataset(tmp_path, rows), limit=10)
    assert len(found) == 10
    assert found[0] == "0?\n."
    assert found[-1] == "900?\n."


def test_without_a_dataset_there_are_texts() -> None:
    assert len(texts(None)) == 8
    assert len(set(texts(None))) == 8


@pytest.mark.parametrize("row", [[], {}, {"prompt": 1, "completion": "x"}])
def test_rows_of_another_kind_are_named(tmp_path: Path, row: object) -> None:
    good = {"prompt": "a", "completion": "b"}
    with pytest.raises(ValueError, match=r"train\.jsonl:2"):
        texts(dataset(tmp_path, [good, row]))
