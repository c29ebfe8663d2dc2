"""What is a valid row, and which rows are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.feedback.ingest import Malformed, check
from reconciler.feedback.judgement import MalformedRowError, parse


def row(**changes):
    full = {
        "kind": "thumbs",
        "model": "docs",
        "generation": "docs-1",
        "prompt": "What does json.dumps do?",
        "response": "Serialize.",
        "value": True,
        "rater": "ann",
    }
    full.update(changes)
    return {k: v for k, v in full.items() if v != "ABSENT"}


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "thumbs", "value": False},
        {"kind": "rating", "value": 5},
        {"kind": "comparison", "value": "tie", "response_b": ""},
        {"kind": "correction", "value": "Better."},
        {"at": "2026-11-25T01:44:28Z"},
        {"at": "2026-11-25T03:44:28.5+02:00"},
        {"response": ""},
        {"id": "row-1"},
        {"id": None, "at": None, "response_b": None},
    ],
)
def test_valid_rows(changes):
    assert parse(row(**changes)).rater == "ann"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "stars"}, "kind is not one of"),
        ({"kind": ["thumbs"]}, "kind is not one of"),
        ({"value": 1}, "true or false"),
        ({"value": "ABSENT"}, "true or false"),
        ({"kind": "rating", "value": True}, "whole number"),
        ({"kind": "rating", "value": 4.5}, "whole number"),
        ({"kind": "rating", "value": 0}, "whole number"),
        ({"kind": "rating", "value": 101}, "whole number"),
        ({"kind": "comparison", "value": "a"}, "response_b is missing"),
        (
            {"kind": "comparison", "value": "c", "response_b": "x"},
            "a, b or tie",
        ),
        (
            {"kind": "comparison", "value": ["a"], "response_b": "x"},
            "a, b or tie",
        ),
        ({"response_b": "x"}, "has no response_b"),
        ({"kind": "correction", "value": ""}, "value is missing"),
        ({"kind": "correction", "value": 3}, "value is missing"),
        ({"rater": ""}, "rater is missing"),
        ({"prompt": "ABSENT"}, "prompt is missing"),
        ({"prompt": "a\x00b"}, "no text"),
        ({"prompt": "\ud800"}, "no text"),
        ({"prompt": "x" * (1 << 21)}, "longer than"),
        ({"at": "yesterday"}, "at is not a time"),
        ({"at": 5}, "at is not a time"),
        ({"at": "2026-11-25T01:44:28"}, "no time zone"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "outside of the years"),
        ({"id": ""}, "id is missing"),
        ({"password": "hunter2"}, "unknown field 'password'"),
    ],
)
def test_malformed_rows_say_why(changes, reason):
    with pytest.raises(MalformedRowError, match=reason):
        parse(row(**changes))


def test_the_same_content_is_the_same_judgement():
    assert parse(row()).id == parse(dict(reversed(row().items()))).id


@pytest.mark.parametrize(
    "field", ["model", "generation", "prompt", "response", "rater"]
)
def test_other_content_is_another_judgement(field):
    assert parse(row()).id != parse(row(**{field: "other"})).id


def test_a_later_time_is_another_judgement():
    first = parse(row(at="2026-11-25T01:00:00Z")).id
    assert first != parse(row(at="2026-11-25T02:00:00Z")).id
    assert first == parse(row(at="2026-11-25T03:00:00+02:00")).id


def test_the_sources_id_decides_if_there_is_one():
    assert parse(row(id="7")).id == parse(row(id="7", prompt="other")).id
    assert parse(row(id="7")).id != parse(row(id="8")).id


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.binary()
    | st.text()
    | anything
    | st.fixed_dictionaries(dict.fromkeys(row(), anything))
)
def test_no_input_breaks_the_check(something):
    checked = check(something)
    if isinstance(checked, Malformed):
        assert checked.reason
        assert "\x00" not in checked.row
        checked.row.encode()


def test_deeply_nested_json_is_malformed_not_fatal():
    assert isinstance(check("[" * 200_000), Malformed)
