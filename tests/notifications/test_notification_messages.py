"""Which events become messages, and when two of them are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.notifications.message import (
    Filter,
    FilterError,
    Message,
    message_of,
    wanted,
)
from tests.notifications.conftest import alert, event


def told(*events, **spec):
    chosen = Filter.of(alert(**spec).spec)
    return [m.name for m in wanted(events, chosen)]


def test_an_event_becomes_a_message() -> None:
    series = {"count": 2, "lastObservedTime": "2026-11-25T11:30:00Z"}
    found = message_of(
        event(
            minute=3,
            type="Warning",
            reason="BuildFailed",
            note="a.yaml:1: no",
            revision="main@sha1:1",
            series=series,
        )
    )
    assert found == Message(
        "reconciler.dev/v1alpha1", "ConfigRepository", "default", "fleet",
        "uid-fleet", "error", "BuildFailed", "a.yaml:1: no", "main@sha1:1",
        "2026-11-25T11:30:00.000000Z", "reconciler.dev/controller", "here",
    )  # fmt: skip


@pytest.mark.parametrize(
    "broken",
    [
        {"regarding": {"apiVersion": "v1", "kind": "Pod"}},
        {"regarding": None},
        {"eventTime": None},
        {"eventTime": "yesterday"},
        {"action": "Step"},
    ],
)
def test_what_is_no_event_of_ours_is_left_out(broken) -> None:
    assert message_of(event() | broken) is None


def test_sources_severity_and_expressions_select() -> None:
    events = (
        event("a", 1),
        event("b", 2, type="Warning", reason="BuildFailed", note="x.yaml"),
        event("m", 3, kind="Model", reason="Promoted", note="m-2 serves"),
        event("alert", 4, kind="Alert"),
    )
    assert told(*reversed(events)) == ["a", "b", "m"]
    assert told(*events, eventSeverity="error") == ["b"]
    model = [{"kind": "Model"}]
    assert told(*events, eventSources=model) == ["m"]
    assert told(*events, eventSources=[{"kind": "*", "name": "b"}]) == ["b"]
    assert told(*events, eventSources=[{"kind": "Model", "name": "a"}]) == []
    assert told(*events, inclusionList=["^Promoted: m-", "yaml$"]) == [
        *("b", "m")
    ]
    assert told(*events, exclusionList=["created"]) == ["b", "m"]
    both = {"inclusionList": ["m"], "exclusionList": ["serves"]}
    assert told(*events, **both) == ["b"]


@pytest.mark.parametrize("field", ["inclusionList", "exclusionList"])
def test_an_expression_that_is_wrong_is_named(field) -> None:
    with pytest.raises(FilterError, match=rf"spec.{field}: '\(': missing"):
        Filter.of(alert(**{field: ["("]}).spec)


@given(st.sampled_from(["name", "type", "reason", "note", "revision"]))
def test_the_same_message_has_the_same_digest(field) -> None:
    one = message_of(event(minute=1, revision="r1"))
    again = message_of(event(minute=9, revision="r1", reportingInstance="x"))
    assert one is not None
    assert again is not None
    assert one.digest == again.digest
    changed = {"type": "Warning"} if field == "type" else {field: "other"}
    other = message_of(event(**{"minute": 1, "revision": "r1"} | changed))
    assert other is not None
    assert other.digest != one.digest
