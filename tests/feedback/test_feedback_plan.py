"""Pure planning of a FeedbackStore."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.conditions import find, is_true
from reconciler.feedback.observation import StoreCounts, StoreFacts
from reconciler.feedback.plan import (
    DropOlder,
    MigrateSchema,
    StartServer,
    cutoff,
    plan,
)
from reconciler.feedback.resource import FeedbackStore

NOW = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)


def store(*, meta=None, status=None, **spec):
    return FeedbackStore.parse(
        {
            "metadata": {
                "name": "feedback",
                "uid": "u1",
                "generation": 2,
                **(meta or {}),
            },
            "spec": spec,
            **({"status": status} if status else {}),
        }
    )


EXTERNAL = {
    "engine": "External",
    "connection": {"secretRef": {"name": "db"}},
}


def found(**changes):
    counts = StoreCounts(
        thumbs=2,
        rating=1,
        through=800,
        new=3,
        last_row_at=NOW - timedelta(minutes=5),
        oldest_row_at=NOW - timedelta(days=3),
        server="15.18",
    )
    return StoreFacts(
        version=1, newest_version=1, counts=replace(counts, **changes)
    )


counts_found = st.builds(
    StoreCounts,
    thumbs=st.integers(0, 9),
    through=st.integers(3, 10_000),
    new=st.integers(0, 9),
    pending=st.integers(0, 2),
    oldest_row_at=st.none()
    | st.integers(0, 900).map(lambda days: NOW - timedelta(days=days)),
    last_row_at=st.none() | st.just(NOW),
    server=st.just("18.4"),
)


@st.composite
def facts(draw):
    version = draw(st.integers(-1, 3))
    return StoreFacts(
        running=draw(st.booleans()),
        failure=draw(st.sampled_from([None, None, "refused"])),
        refusal=draw(st.sampled_from([None, None, ("NoServer", "install")])),
        version=version,
        newest_version=2,
        counts=draw(counts_found) if version >= 1 else None,
    )


stores = st.builds(
    lambda engine, days, suspend: store(
        retentionDays=days, suspend=suspend, **engine
    ),
    st.sampled_from([{}, EXTERNAL]),
    st.integers(1, 400),
    st.booleans(),
)


def apply(world: StoreFacts, action) -> StoreFacts:
    match action:
        case StartServer():
            return replace(world, running=True, failure=None)
        case MigrateSchema():
            counts = world.counts or StoreCounts(through=5, server="18.4")
            return replace(world, version=world.newest_version, counts=counts)
        case DropOlder(before=before):
            return replace(
                world, counts=replace(world.counts, oldest_row_at=before)
            )
    pytest.fail(f"unknown action {action}")
    return None


@given(stores, facts())
def test_applying_the_plan_leads_to_an_empty_one(desired, world):
    for _ in range(5):
        result = plan(desired, world, NOW)
        if not result.actions:
            break
        for action in result.actions:
            world = apply(world, action)
    assert result.actions == ()
    live = desired.model_copy(update={"status": result.status})
    if world.counts:
        world = replace(
            world, counts=replace(world.counts, new=0, through=99_999)
        )
    again = plan(live, world, NOW)
    assert again.actions == ()
    assert again.status == result.status


@given(stores, facts())
def test_an_external_server_is_never_started(desired, world):
    actions = plan(desired, world, NOW).actions
    if desired.spec.engine == "External":
        assert not any(isinstance(a, StartServer) for a in actions)


@given(stores, facts())
def test_ready_is_true_only_if_the_rows_were_counted(desired, world):
    status = plan(desired, world, NOW).status
    if is_true(status.conditions, "Ready"):
        assert world.counts is not None
        assert world.running or desired.spec.engine == "External"


def test_counted_rows_are_reported():
    status = plan(store(), found(), NOW).status
    assert (status.rows, status.through) == (3, "800")
    assert status.by_kind.thumbs == 2
    assert status.last_row_at == "2026-11-25T02:25:00Z"
    assert status.server == "15.18"
    assert status.observed_generation == 2
    assert find(status.conditions, "Ready").message == "3 judgements"


def live_after(first):
    return store(status=first.model_dump(by_alias=True))


def test_an_idle_horizon_is_not_reported():
    first = plan(store(), found(), NOW).status
    idle = found(through=5000, new=0)
    later = NOW + timedelta(hours=2)
    assert plan(live_after(first), idle, later).status == first


def test_a_new_row_moves_the_horizon():
    first = plan(store(), found(), NOW).status
    grown = found(through=5000, new=1, thumbs=3)
    status = plan(live_after(first), grown, NOW).status
    assert (status.rows, status.through) == (4, "5000")


def test_a_row_replaced_by_another_moves_the_horizon_too():
    first = plan(store(), found(), NOW).status
    same_number = found(through=5000, new=1)
    status = plan(live_after(first), same_number, NOW).status
    assert status.through == "5000"


def test_rows_stay_in_status_while_the_server_is_away():
    first = plan(store(**EXTERNAL), found(), NOW).status
    live = store(status=first.model_dump(by_alias=True), **EXTERNAL)
    away = StoreFacts(failure="the server refuses connections")
    result = plan(live, away, NOW)
    ready = find(result.status.conditions, "Ready")
    assert (ready.status, ready.reason) == ("False", "ServerUnreachable")
    assert result.status.rows == 3
    assert result.requeue_after == 10
    back = live.model_copy(update={"status": result.status})
    again = plan(back, found(new=0), NOW).status
    assert is_true(again.conditions, "Ready", 2)
    assert find(again.conditions, "Reconciling") is None


def test_a_dead_embedded_server_is_started():
    down = StoreFacts(running=False, newest_version=1)
    result = plan(store(), down, NOW)
    assert [type(a) for a in result.actions] == [StartServer]
    ready = find(result.status.conditions, "Ready")
    assert (ready.status, ready.reason) == ("False", "ServerStarting")


def test_missing_tables_are_made():
    bare = StoreFacts(version=0, newest_version=1)
    result = plan(store(), bare, NOW)
    assert [type(a) for a in result.actions] == [MigrateSchema]


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (StoreFacts(version=2, newest_version=1), "SchemaTooNew"),
        (StoreFacts(refusal=("InvalidConnection", "x")), "InvalidConnection"),
    ],
)
def test_what_only_a_person_can_mend_stalls(world, reason):
    result = plan(store(), world, NOW)
    assert result.actions == ()
    assert find(result.status.conditions, "Stalled").reason == reason
    assert result.requeue_after is not None


def test_old_rows_are_dropped_by_the_hour():
    desired = store(retentionDays=2)
    result = plan(desired, found(), NOW)
    (action,) = result.actions
    assert action.before == datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
    assert cutoff(desired, NOW + timedelta(minutes=29)) == action.before
    assert plan(desired, found(), NOW).actions[0].key == action.key


def test_a_suspended_store_is_left_alone():
    result = plan(store(suspend=True), StoreFacts(running=False), NOW)
    assert (result.actions, result.requeue_after) == ((), None)
    assert find(result.status.conditions, "Ready").reason == "Suspended"


def test_a_store_under_deletion_is_left_alone():
    desired = store(meta={"deletionTimestamp": "2026-11-25T01:00:00Z"})
    assert plan(desired, StoreFacts(running=False), NOW).actions == ()


def test_a_request_is_acknowledged():
    meta = {"annotations": {"reconciler.dev/requested-at": "t1"}}
    status = plan(store(meta=meta), found(), NOW).status
    assert status.last_handled_reconcile_at == "t1"


def test_waiting_and_malformed_rows_are_mentioned():
    status = plan(store(), found(pending=4, quarantined=1), NOW).status
    message = find(status.conditions, "Ready").message
    assert "4 more wait" in message
    assert "1 malformed" in message
