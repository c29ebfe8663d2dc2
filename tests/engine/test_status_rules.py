from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.engine.conditions import Conditions, find, turned
from reconciler.engine.controller import TerminalError, TransientError
from reconciler.engine.errors import InvalidError
from reconciler.engine.status import (
    Failure,
    failed,
    settle,
    to_json,
    unreadable,
)

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def with_conditions(widget, build, generation=None, now=NOON):
    meta = widget.metadata
    conditions = Conditions(
        widget.status.conditions, generation or meta.generation, now
    )
    build(conditions)
    return widget.status.model_copy(update={"conditions": conditions.build()})


@pytest.mark.parametrize(
    ("build", "generation", "observed"),
    [
        (lambda c: c.ready("Succeeded", "ok"), 5, 5),
        (lambda c: c.stalled("Broken", "no"), 5, 5),
        (lambda c: c.progressing("Working", "..."), 5, -1),
        (lambda c: c.ready("Succeeded", "of an old spec"), 4, -1),
        (lambda c: c.stalled("Broken", "of an old spec"), 4, -1),
    ],
)
def test_observed_generation_moves_only_when_settled(
    new_widget, build, generation, observed
):
    widget = new_widget(generation=5)
    status = with_conditions(widget, build, generation)
    assert settle(status, widget).observed_generation == observed


def test_settling_twice_changes_nothing(new_widget):
    note = {"reconciler.dev/requested-at": "now"}
    widget = new_widget(annotations=note)
    status = with_conditions(widget, lambda c: c.ready("Succeeded", ""))
    once = settle(status, widget)
    again = settle(once, widget.model_copy(update={"status": once}))
    assert once == again
    assert once.last_handled_reconcile_at == "now"


def test_a_token_that_is_too_long_is_cut_to_what_the_schema_takes(new_widget):
    note = {"reconciler.dev/requested-at": "x" * 500}
    status = settle(new_widget().status, new_widget(annotations=note))
    assert len(status.last_handled_reconcile_at) == 128


def test_what_each_exception_means():
    transient = Failure.of(TransientError("away"), ["k"])
    assert (transient.reason, transient.terminal) == (
        "ProgressingWithRetry",
        False,
    )
    assert transient.actions == {"k"}
    terminal = Failure.of(TerminalError("NoDevice", "none"))
    assert (terminal.reason, terminal.message) == ("NoDevice", "none")
    assert terminal.terminal
    assert Failure.of(InvalidError("Invalid", "spec.x: bad")).terminal
    bug = Failure.of(KeyError("secret"))
    assert (bug.reason, bug.terminal) == ("InternalError", False)
    assert "secret" not in bug.message


@pytest.mark.parametrize("text", ["", "  \n "])
def test_a_failure_always_has_a_message(text):
    assert Failure.of(TransientError(text)).message == "TransientError"


def test_messages_are_one_bounded_line_without_secrets():
    text = "line\nhttps://me:hunter2@host/x " + "y" * 5000
    message = Failure.of(TransientError(text)).message
    assert "\n" not in message
    assert "hunter2" not in message
    assert len(message) <= 1024


# The fixture builds a new object for each example.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(terminal=st.booleans(), seconds=st.integers(1, 10**6))
def test_a_repeated_failure_gives_an_equal_status(
    new_widget, terminal, seconds
):
    failure = Failure("Broken", "why", terminal=terminal)
    widget = new_widget()
    planned = with_conditions(
        widget, lambda c: c.progressing("Progressing", "planned")
    )
    first = failed(planned, widget, failure, NOON)
    live = widget.model_copy(update={"status": first})
    later = NOON + timedelta(seconds=seconds)
    replanned = with_conditions(
        live, lambda c: c.ready("Succeeded", "planned"), now=later
    )
    assert failed(replanned, live, failure, later) == first


def test_a_failure_keeps_the_other_conditions(new_widget):
    widget = new_widget()
    status = with_conditions(
        widget, lambda c: c.set("Drifted", "True", "SomebodyElse", "size")
    )
    after = failed(status, widget, Failure("R", "m"), NOON)
    assert find(after.conditions, "Drifted").reason == "SomebodyElse"


def test_an_unreadable_status_is_kept_but_for_its_conditions():
    raw = {
        "metadata": {"generation": 7},
        "status": {
            "anything": [1, {"deep": None}],
            "conditions": [
                {"type": "Broken"},
                {
                    "type": "Drifted",
                    "status": "True",
                    "reason": "R",
                    "message": "m",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                },
            ],
        },
    }
    status = unreadable(raw, "spec.size: wrong", NOON)
    assert status["anything"] == [1, {"deep": None}]
    assert status["observedGeneration"] == 7
    kinds = [c["type"] for c in status["conditions"]]
    assert kinds == ["Ready", "Drifted", "Stalled"]
    later = {**raw, "status": status}
    after = unreadable(later, "spec.size: wrong", NOON + timedelta(hours=1))
    assert after == status


def test_an_unreadable_object_without_status_gets_one():
    status = unreadable({"metadata": {}}, "what is this", NOON)
    assert status["conditions"][0]["reason"] == "InvalidObject"


def test_json_is_camel_case_without_nulls(new_widget):
    json = to_json(new_widget().status)
    assert json == {"observedGeneration": -1, "conditions": []}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, lambda c: c.ready("Fine", "ok"), ("Normal", "Fine")),
        (None, lambda c: c.progressing("Working", "..."), None),
        (None, lambda c: c.stalled("Broken", "no"), ("Warning", "Broken")),
        (
            lambda c: c.progressing("Working", "..."),
            lambda c: c.ready("Fine", "ok"),
            ("Normal", "Fine"),
        ),
        (
            lambda c: c.ready("Fine", "ok"),
            lambda c: c.ready("Fine", "still ok"),
            None,
        ),
        (
            lambda c: c.ready("Fine", "ok"),
            lambda c: c.ready("Better", "ok"),
            ("Normal", "Better"),
        ),
        (
            lambda c: c.stalled("Broken", "no"),
            lambda c: c.stalled("Broken", "no"),
            None,
        ),
        (
            lambda c: c.stalled("Broken", "no"),
            lambda c: c.stalled("Broken", "not at all"),
            ("Warning", "Broken"),
        ),
        (
            lambda c: c.ready("Fine", "ok"),
            lambda c: c.progressing("ProgressingWithRetry", "again"),
            None,
        ),
    ],
)
def test_people_are_told_of_what_became_ready_or_is_stuck(
    new_widget, before, after, told
):
    widget = new_widget()
    old = ()
    if before:
        old = with_conditions(widget, before).conditions
    status = widget.status.model_copy(update={"conditions": old})
    widget = widget.model_copy(update={"status": status})
    found = turned(old, with_conditions(widget, after).conditions)
    assert (found and (found[0], found[1].reason)) == told
