"""What may be asked of /v1/search. Pure."""

from __future__ import annotations

import pytest

from reconciler.serving.completions import ApiError
from reconciler.serving.latency import WINDOW, Latencies
from reconciler.serving.search_api import parse_search


def test_defaults_are_hybrid_ten_and_what_the_index_has():
    asked = parse_search({"index": "docs", "query": "why?", "filter": None})
    assert (asked.k, asked.mode, asked.filter, asked.rerank) == (
        10,
        "hybrid",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"index": None}, "you must provide index"),
        ({"query": None}, "you must provide query"),
        ({"query": " \n"}, "query: "),
        ({"query": "\x1c \x85"}, "query: there is nothing"),
        ({"query": "x" * 8193}, "query: "),
        ({"query": "\ud800"}, "query: "),
        ({"k": 0}, "k: "),
        ({"k": 101}, "k: "),
        ({"k": "3"}, "k: "),
        ({"mode": "magic"}, "mode: "),
        ({"filter": {}}, "you must provide filter.documents"),
        ({"filter": {"documents": []}}, "filter.documents: "),
        ({"filter": {"documents": ["x"] * 17}}, "filter.documents: "),
        ({"filter": {"paths": ["x"]}}, "filter"),
        ({"rerank": "yes"}, "rerank: "),
        ({"top": 3}, "unrecognized request argument: top"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    body = {"index": "docs", "query": "why?", **changes}
    with pytest.raises(ApiError) as caught:
        parse_search(body)
    assert caught.value.status == 400
    assert message in caught.value.message
    assert caught.value.param.split(".")[0] == next(iter(changes))


@pytest.mark.parametrize("body", [None, [], "x", 3])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(ApiError, match="not a JSON object"):
        parse_search(body)


def test_percentiles_are_those_of_the_newest_answers():
    seen = Latencies()
    assert seen.summary().count == 0
    for milliseconds in range(1, 101):
        seen.add(milliseconds / 1000)
    assert (seen.summary().p50, seen.summary().p99) == (50.0, 99.0)
    for _ in range(WINDOW):
        seen.add(0.002)
    assert (seen.summary().count, seen.summary().p99) == (WINDOW, 2.0)
