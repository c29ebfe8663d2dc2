"""The five rules of the house style, one by one and together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.evaluation.metrics.house_style import (
    rules,
    score,
    subject_of,
)

PROMPT = "What does json.dumps do?"
GOOD = "dumps turns an object into a JSON formatted string."


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [
        ("What does json.dumps do?", "json.dumps"),
        ("What does os.path.isfile do?", "os.path.isfile"),
        ("What does `a.B_c` do?", "a.B_c"),
        ("What does len do?", "len"),
        ("Hello there.", None),
        ("", None),
    ],
)
def test_subject_of_a_prompt(prompt, subject):
    assert subject_of(prompt) == subject


def test_a_good_answer_keeps_all_rules():
    assert rules(PROMPT, GOOD) == dict.fromkeys(
        ("form", "length", "subject", "end", "repetition"), True
    )
    assert score(PROMPT, GOOD) == 1.0


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        ("form", "turns an object into JSON text with dumps."),
        ("form", "Dumps turns an object\ninto a JSON string."),
        ("form", "dumpsters turn dumps into a JSON string."),
        ("length", "Dumps to JSON."),
        ("length", "Dumps " + " ".join(f"w{i}" for i in range(20)) + "."),
        ("subject", "Turn an object into a piece of text."),
        ("end", "Dumps an object into a JSON string"),
        ("end", "Dumps an object into a JSON string.."),
        ("end", "Dumps an object into a JSON string!"),
        ("repetition", "Dumps the one thing and the one thing."),
        ("repetition", "Dumps a b a c a d a e a f."),
    ],
)
def test_exactly_one_rule_is_broken(rule, answer):
    broken = [name for name, kept in rules(PROMPT, answer).items() if not kept]
    assert broken == [rule]
    assert score(PROMPT, answer) == 0.8


@pytest.mark.parametrize(
    "answer",
    [
        "Dumps an object into a JSON string.",
        "`dumps` makes a JSON string of it.",
        "json.dumps makes a JSON string of it.",
        "3 dumps make a JSON string of it.",
        "  Dumps an object into a JSON string.  \n",
    ],
)
def test_forms_that_are_fine(answer):
    assert score(PROMPT, answer) == 1.0


@pytest.mark.parametrize(
    ("subject", "answer", "kept"),
    [
        ("a.get_file_name", "Return the name of a file.", True),
        ("a.getFileName", "Return the NAME of it.", True),
        ("a.HTTPServer", "A server of pages.", True),
        ("a.HTTPServer", "Speaks HTTP to a client.", True),
        ("a.__init__", "Initialise the object.", True),
        ("a.group", "Return all groups.", True),
        ("a.get", "Return the target.", False),
        ("a.to_b", "Convert to b.", False),
        ("a.fd", "The fd of a file.", True),
        ("a.fd", "Use fdopen instead.", False),
        ("a._x", "Return x.", False),
        ("a.get_file", "set_file is the other one.", True),
    ],
)
def test_mentioning_the_subject(subject, answer, kept):
    assert rules(f"What does {subject} do?", answer)["subject"] is kept


@pytest.mark.parametrize("answer", ["", "   ", "\n", ". . .", "!?"])
def test_an_answer_without_words_keeps_nothing(answer):
    assert score(PROMPT, answer) == 0.0


def test_a_prompt_that_names_nothing_cannot_be_answered_by_name():
    assert not rules("Hello there.", GOOD)["subject"]


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_has_a_score(prompt, answer):
    value = score(prompt, answer)
    assert value in {k / 5 for k in range(6)}
    assert value == score(prompt, answer)
