"""What is sent, once, and what the status remembers of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.engine.conditions import find
from reconciler.notifications.commit_status import commit_status
from reconciler.notifications.message import message_of
from reconciler.notifications.observation import (
    Delivered,
    Observation,
    Problem,
)
from reconciler.notifications.plan import Deliver, plan
from reconciler.notifications.resource import MOST_SENT, AlertStatus
from tests.notifications.conftest import NOW, alert, event, repository


def messages(*events):
    return tuple(m for m in map(message_of, events) if m is not None)


def seen(*events, **more):
    return Observation(messages=messages(*events), **more)


def with_status(one, status):
    return one.model_copy(update={"status": status})


def delivered(action, *, taken=True):
    content = action.content
    found = Delivered(content.digest, content.at)
    return found if taken else found.refused()


def ready(outcome):
    return find(outcome.status.conditions, "Ready")


def run_down(one, observed, now=NOW, limit=2 * MOST_SENT):
    """Deliver whatever is due, one after the other; what was sent."""
    sent = []
    for _ in range(limit):
        outcome = plan(one, observed, now)
        one = with_status(one, outcome.status)
        if not outcome.actions:
            return one, sent
        (action,) = outcome.actions
        sent.append(action.content)
        observed = Observation(
            messages=observed.messages, delivered=(delivered(action),)
        )
    pytest.fail("it never ends")


def test_events_are_sent_in_order_and_once() -> None:
    observed = seen(event("b", 2), event("a", 1))
    ordered = seen(event("a", 1), event("b", 2))
    assert observed.messages != ordered.messages
    one, sent = run_down(alert(), ordered)
    assert [m.name for m in sent] == ["a", "b"]
    again = plan(one, ordered, NOW + timedelta(minutes=5))
    assert again.actions == ()
    assert again.status == one.status
    assert one.status.last_sent == "2026-11-25T12:00:00Z"


def test_nothing_is_repeated_within_the_interval_and_then_it_is() -> None:
    one, _ = run_down(
        alert(repeatInterval="10m"), seen(event("a", 1, revision="r1"))
    )
    soon = seen(event("a", 9, revision="r1"))
    assert plan(one, soon, NOW).actions == ()
    other = seen(event("a", 9, revision="r2"))
    assert len(plan(one, other, NOW).actions) == 1
    later = seen(event("a", 11, revision="r1"))
    one, sent = run_down(one, later)
    assert len(sent) == 1
    assert len(one.status.sent) == 1
    assert plan(one, later, NOW).actions == ()


def test_what_happened_before_the_alert_is_no_news() -> None:
    young = alert()
    meta = young.metadata.model_copy(
        update={"creation_timestamp": "2026-11-25T11:30:00Z"}
    )
    young = young.model_copy(update={"metadata": meta})
    _, sent = run_down(young, seen(event("a", 29), event("b", 31)))
    assert [m.name for m in sent] == ["b"]


def test_what_is_an_hour_old_is_no_news() -> None:
    observed = seen(event("a", 1))
    late = NOW + timedelta(minutes=2)
    assert plan(alert(), observed, late).actions == ()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 59), st.sampled_from("abcd")), max_size=30
    ),
    st.integers(0, 3),
)
def test_each_message_is_sent_once_and_then_nothing_is_left(news, after):
    """A property of the planner: applying a plan leads to an empty plan."""
    events = [event(name, minute) for minute, name in sorted(news)]
    now = NOW - timedelta(seconds=1)
    one, sent = run_down(alert(), seen(*events), now)
    assert len({m.digest for m in sent}) == len(sent)
    assert {m.name for m in sent} == {name for _, name in news}
    later = now + timedelta(hours=after)
    assert plan(one, seen(*events), later).actions == ()


def test_more_than_is_remembered_is_not_sent_twice() -> None:
    count = MOST_SENT + 40
    notes = [f"note {i}" for i in range(count)]
    events = [
        event(minute=1, note=note)
        | {"eventTime": f"2026-11-25T11:30:00.{i:06}Z"}
        for i, note in enumerate(notes)
    ]
    one, sent = run_down(alert(), seen(*events))
    assert [m.text for m in sent] == notes
    assert len(one.status.sent) == MOST_SENT
    assert plan(one, seen(*events), NOW).actions == ()


def test_a_commit_status_is_set_when_it_changes() -> None:
    old = commit_status(repository(reason="Progressing"))
    new = commit_status(repository())
    assert old is not None
    assert new is not None
    one = alert()
    for status in (old, new, old):
        outcome = plan(one, Observation(statuses=(status,)), NOW)
        assert outcome.actions == (Deliver(outcome.actions[0].key, status),)
        ended = Delivered(
            status.digest,
            "2026-11-25T12:00:00.000000Z",
            "fleet",
            status.commit,
        )
        observed = Observation(statuses=(status,), delivered=(ended,))
        outcome = plan(one, observed, NOW)
        assert outcome.actions == ()
        one = with_status(one, outcome.status)
    assert [p.commit for p in one.status.posted] == [old.commit]


def test_while_one_is_under_way_nothing_else_starts() -> None:
    outcome = plan(alert(), seen(event(minute=1), busy=True), NOW)
    assert outcome.actions == ()


def test_a_failure_waits_and_says_so() -> None:
    problem = Problem("DeliveryFailed", "chat: answered 500")
    observed = seen(event(minute=1), wait=20.0, problem=problem)
    outcome = plan(alert(), observed, NOW)
    assert (outcome.actions, outcome.requeue_after) == ((), 20.0)
    assert ready(outcome).reason == "DeliveryFailed"
    assert find(outcome.status.conditions, "Reconciling") is not None
    again = plan(alert(), seen(event(minute=1), problem=problem), NOW)
    assert len(again.actions) == 1


def test_what_is_refused_is_not_tried_again_and_stays_known() -> None:
    observed = seen(event(minute=1))
    (action,) = plan(alert(), observed, NOW).actions
    problem = Problem("DeliveryRefused", "chat: answered 400")
    refused = Observation(
        observed.messages,
        delivered=(delivered(action, taken=False),),
        problem=problem,
    )
    outcome = plan(alert(), refused, NOW)
    assert outcome.actions == ()
    assert ready(outcome).reason == "DeliveryRefused"
    assert outcome.status.last_sent is None
    one = with_status(alert(), outcome.status)
    restarted = plan(one, observed, NOW)
    assert restarted.actions == ()
    assert ready(restarted).reason == "DeliveryRefused"
    more = seen(event(minute=1), event("b", 2))
    (second,) = plan(one, more, NOW).actions
    taken = Observation(more.messages, delivered=(delivered(second),))
    assert ready(plan(one, taken, NOW)).status == "True"


def test_a_wrong_spec_is_stalled_and_a_missing_secret_is_not() -> None:
    wrong = Problem("InvalidFilter", "spec.inclusionList: no", terminal=True)
    outcome = plan(alert(), Observation(problem=wrong), NOW)
    assert find(outcome.status.conditions, "Stalled") is not None
    assert outcome.requeue_after is None
    missing = Problem("InvalidReceiver", "Secret default/s does not exist")
    outcome = plan(alert(), Observation(problem=missing), NOW)
    assert outcome.requeue_after == 15
    assert ready(outcome).reason == "InvalidReceiver"


def test_a_suspended_alert_sends_nothing() -> None:
    outcome = plan(alert(suspend=True), seen(event(minute=1)), NOW)
    assert outcome.actions == ()
    assert find(outcome.status.conditions, "Suspended") is not None
    assert isinstance(outcome.status, AlertStatus)


def test_a_commit_that_its_forge_does_not_know_holds_up_no_other() -> None:
    one, other = (commit_status(repository(name)) for name in ("a", "b"))
    assert one is not None
    assert other is not None
    both = Observation(statuses=(one, other))
    (first,) = plan(alert(), both, NOW).actions
    assert first.content == one
    failed = Observation(
        statuses=(one, other),
        failed=one.digest,
        problem=Problem("DeliveryFailed", "answered 404"),
    )
    (next_one,) = plan(alert(), failed, NOW).actions
    assert next_one.content == other
    alone = Observation(statuses=(one,), failed=one.digest)
    (again,) = plan(alert(), alone, NOW).actions
    assert again.content == one
