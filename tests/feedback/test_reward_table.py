"""Batches of rewards are what one judgement after the other earns."""

from __future__ import annotations

import json
import sys
import uuid
from array import array

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.feedback import reward_table
from reconciler.feedback.judgement import Judgement, MalformedRowError
from reconciler.feedback.resource import Rewards
from reconciler.feedback.reward_table import RewardTable, code_of, codes_of
from reconciler.feedback.rewards import rewards_of
from reconciler.kernels import native

MAPPING = Rewards(
    thumbs_up="0.9",
    thumbs_down="-0.4",
    rating_scale=7,
    comparison="0.3",
    correction="-0.7",
)
space = st.text(" \t\r\n", max_size=3)
verdicts = st.one_of(
    st.tuples(st.just("thumbs"), st.booleans()),
    st.tuples(st.just("rating"), st.integers(1, 100)),
    st.tuples(st.just("comparison"), st.sampled_from(["a", "b", "tie"])),
    st.tuples(st.just("correction"), st.text(min_size=1)),
)


def defined(kind, value):
    judgement = Judgement(
        id=uuid.UUID(int=0),
        kind=kind,
        model="m",
        generation="m-1",
        prompt="p",
        response="x",
        response_b="y" if kind == "comparison" else None,
        value=value,
        rater="r",
    )
    return rewards_of(judgement, MAPPING)[0].value


@pytest.fixture(params=["kernel", "python"])
def without_kernels(request, monkeypatch):
    if request.param == "python":
        monkeypatch.setattr(reward_table, "native", lambda: None)
    elif native() is None:
        pytest.skip("installed without kernels")


@pytest.mark.usefixtures("without_kernels")
@pytest.mark.parametrize("ascii_only", [True, False])
def test_rows_earn_what_the_definition_says(ascii_only):
    @given(st.lists(st.tuples(verdicts, space, space)))
    def check(drawn):
        rows = [
            (kind, before + json.dumps(value, ensure_ascii=ascii_only) + after)
            for (kind, value), before, after in drawn
        ]
        expected = [defined(*verdict) for verdict, _, _ in drawn]
        assert list(RewardTable(MAPPING).of_rows(rows)) == expected

    check()


json_like = st.one_of(
    st.text(),
    st.text('0123456789+-.eE"abtiefruslN \\\n\x00\x1f', max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=2),
        max_leaves=3,
    ).map(json.dumps),
)


@given(
    st.sampled_from(["thumbs", "rating", "comparison", "correction", "x"]),
    json_like,
)
@example("rating", "04")
@example("rating", "101")
@example("rating", "0")
@example("correction", '""')
@example("correction", '"a"b"')
@example("correction", '"\ud800"')
@example("correction", '"\x01"')
@example("comparison", '"c"')
@example("thumbs", "1")
def test_the_scanner_accepts_nothing_that_the_parser_refuses(kind, text):
    kernels = native()
    if kernels is None:
        pytest.skip("installed without kernels")
    codes = array("H", [0])
    unsure = kernels.verdict_codes([(kind, text)], codes)
    if unsure:
        assert codes[0] == 0xFFFF
    else:
        assert codes[0] == code_of(kind, json.loads(text))


def test_the_scanner_knows_the_plain_shapes():
    kernels = native()
    if kernels is None:
        pytest.skip("installed without kernels")
    rows = [
        ("thumbs", "true"),
        ("rating", " 100\n"),
        ("comparison", '"tie"'),
        ("correction", '"é"'),
    ]
    codes = array("H", [0]) * len(rows)
    assert kernels.verdict_codes(rows, codes) == 0
    assert list(codes) == [1, 128 + 100, 256 + 2, 384]


def test_the_scanner_refuses_what_would_not_fit():
    kernels = native()
    if kernels is None:
        pytest.skip("installed without kernels")
    with pytest.raises(ValueError, match="one code for each row"):
        kernels.verdict_codes([("thumbs", "true")], array("H"))
    with pytest.raises(ValueError, match="tuple of kind"):
        kernels.verdict_codes([("thumbs",)], array("H", [0]))


@pytest.mark.usefixtures("without_kernels")
def test_a_row_that_is_no_judgement_is_named():
    good = ("thumbs", "true")
    for bad, why in (
        (("thumbs", "1"), "does not have such a value"),
        (("rating", "101"), "does not have such a value"),
        (("rating", "true"), "does not have such a value"),
        (("stars", "1"), "kind is not one of"),
        (("thumbs", "{"), "row 1: "),
        (("thumbs", None), "row 1: "),
        (("correction", '""'), "does not have such a value"),
    ):
        with pytest.raises(MalformedRowError, match="row 1: ") as raised:
            codes_of([good, bad, good])
        assert why in str(raised.value)


@pytest.mark.usefixtures("without_kernels")
def test_a_rating_that_postgresql_kept_as_a_decimal_counts():
    assert list(codes_of([("rating", "4.0")])) == [code_of("rating", 4)]
    with pytest.raises(MalformedRowError):
        codes_of([("rating", "4.5")])


def test_no_rows_have_no_rewards():
    assert list(RewardTable().of_rows([])) == []
    assert RewardTable().of_codes(np.empty(0, np.uint16)).shape == (0,)


def test_without_numpy_the_rewards_are_the_same(monkeypatch):
    rows = [("thumbs", "true"), ("rating", "3"), ("comparison", '"b"')]
    expected = RewardTable(MAPPING).of_rows(rows)
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.setattr(
        reward_table.importlib.util, "find_spec", lambda _name: None
    )
    assert RewardTable(MAPPING).of_rows(rows) == expected


@given(st.lists(verdicts))
def test_columns_earn_what_the_definition_says(drawn):
    codes = np.array([code_of(*verdict) for verdict in drawn], np.uint16)
    found = RewardTable(MAPPING).of_codes(codes)
    assert found.tolist() == [defined(*verdict) for verdict in drawn]


@pytest.mark.parametrize("code", [2, 128, 229, 259, 385, 511, 512, 0xFFFF])
def test_a_number_that_is_no_code_is_named(code):
    column = np.array([0, code, 1], np.uint16)
    with pytest.raises(MalformedRowError, match=f"row 1: {code} is no code"):
        RewardTable().of_codes(column)


def test_a_column_of_another_type_is_refused():
    with pytest.raises(MalformedRowError, match="uint16, not float64"):
        RewardTable().of_codes(np.zeros(3))
