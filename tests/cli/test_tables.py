from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.cli.get import age, align, format_table
from reconciler.cli.output import render

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
TABLE = {
    "columnDefinitions": [
        {"name": "Name", "type": "string"},
        {"name": "Ready", "type": "string"},
        {"name": "Status", "type": "string", "priority": 1},
        {"name": "Age", "type": "date"},
    ],
    "rows": [
        {
            "cells": ["a", "True", "fine", "2026-11-25T11:55:30Z"],
            "object": {"metadata": {"namespace": "x"}},
        },
        {
            "cells": ["longer", None, "", "2026-11-20T12:00:00Z"],
            "object": {"metadata": {"namespace": "y"}},
        },
    ],
}


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (270, "4m30s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (12600, "3h30m"),
        (28800, "8h"),
        (172799, "47h"),
        (172800, "2d"),
        (180000, "2d2h"),
        (691200, "8d"),
        (86400 * 400, "400d"),
    ],
)
def test_ages_read_as_kubectl_prints_them(passed: int, text: str) -> None:
    stamp = (NOW - timedelta(seconds=passed)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert age(stamp, NOW) == text


def test_a_clock_that_is_behind_shows_no_negative_age() -> None:
    assert age("2026-11-25T12:00:05Z", NOW) == "0s"


def test_a_table_hides_wide_columns_and_shows_absent_cells() -> None:
    text = format_table(
        TABLE, wide=False, namespaces=False, prefix=None, now=NOW
    )
    assert text.splitlines() == [
        "NAME     READY    AGE",
        "a        True     4m30s",
        "longer   <none>   5d",
    ]


def test_wide_namespaces_and_kind_prefix() -> None:
    text = format_table(
        TABLE, wide=True, namespaces=True, prefix="model", now=NOW
    )
    header, first, _ = text.splitlines()
    assert header.split() == ["NAMESPACE", "NAME", "READY", "STATUS", "AGE"]
    assert first.split()[:2] == ["x", "model.reconciler.dev/a"]


def test_an_empty_table_is_no_text() -> None:
    empty = {**TABLE, "rows": []}
    assert (
        format_table(empty, wide=False, namespaces=False, prefix=None, now=NOW)
        == ""
    )


def test_columns_are_padded_to_the_widest_cell() -> None:
    assert align([["a", "b"], ["ccc", "d"]]) == "a     b\nccc   d"


def test_objects_render_as_yaml_and_json() -> None:
    assert render({"a": [1, {"b": "x"}]}, "yaml") == "a:\n- 1\n- b: x\n"
    assert render({"a": 1}, "json") == '{\n    "a": 1\n}\n'
