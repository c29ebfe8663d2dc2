"""chrF is sacrebleu's, and sacrebleu's is the reference's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sacrebleu.metrics.chrf import CHRF

from reconciler.evaluation.metrics import chrf, metric

CASES = (
    Path(__file__).parents[3] / "shared" / "evaldata" / "sacrebleu_cases.json"
)


def reference_rows(name: str) -> list:
    if not CASES.exists():
        pytest.skip("the reference data are not beside this checkout")
    return json.loads(CASES.read_text())["test_chrf"][name]


def test_sentences_of_the_reference():
    """The reference smooths with an epsilon, which shows at the fourth
    digit; our scores do not."""
    rows = reference_rows("test_sentence_level_chrf")
    assert rows
    for answer, (reference,), expected in rows:
        found = 100 * chrf.score(reference, answer)
        assert found == pytest.approx(expected, abs=1e-3)


def test_effective_order_rows_of_the_reference():
    rows = [
        row
        for row in reference_rows("test_cases_effective_order")
        if len(row[0]) == 1
    ]
    assert rows
    for (answer,), (reference,), expected in rows:
        found = 100 * chrf.score(reference, answer)
        assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        ("test_cases", {"eps_smoothing": True}),
        ("test_cases_effective_order", {}),
        (
            "test_cases_keep_whitespace",
            {"eps_smoothing": True, "whitespace": True},
        ),
    ],
)
def test_the_library_gives_the_values_of_the_reference(rows, settings):
    scorer = CHRF(char_order=6, word_order=0, beta=3, **settings)
    found = reference_rows(rows)
    assert found
    for answers, references, expected in found:
        value = scorer.corpus_score(answers, [references]).score
        assert value == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("Return the name of a file.", "Return the name of the file."),
        ("", "Return the name."),
        ("abc", "xyz"),
        ("Größe ändern", "Größe"),
    ],
)
def test_scores_are_those_of_sacrebleu(answer, reference):
    expected = CHRF().sentence_score(answer, [reference]).score / 100
    assert chrf.score(reference, answer) == pytest.approx(expected)
    assert 0 <= chrf.score(reference, answer) <= 1


def test_the_order_of_calls_does_not_matter():
    first = chrf.score("a reference text", "some answer text")
    chrf.score("something else", "entirely")
    assert chrf.score("a reference text", "some answer text") == first


def test_a_perfect_answer():
    assert chrf.score("Return it.", "Return it.") == pytest.approx(1.0)


def test_the_signature_names_the_settings_and_the_version():
    assert "nc:6|nw:0" in chrf.signature()
    assert "version:" in chrf.signature()


def test_metrics_by_name():
    style, overlap = metric("house-style"), metric("chrf")
    prompt, text = "What does a.b_name do?", "Return the name of it."
    assert style.score(prompt, "unused", text) == 1.0
    assert overlap.score("unused", text, text) == pytest.approx(1.0)
    assert style.version() == "house-style/2"
    assert "not a measure of whether the answer is true" in style.description


def test_unknown_metrics_are_refused():
    with pytest.raises(ValueError, match=r"'bleu'.*chrf, house-style"):
        metric("bleu")
