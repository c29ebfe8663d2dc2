"""The last attempts: counted when they say something new."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.conditions import Conditions
from reconciler.gitops.history import record
from reconciler.gitops.observation import Observation, Problem
from reconciler.gitops.resource import (
    ConfigRepository,
    ConfigRepositoryStatus,
)

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def repository(
    status: ConfigRepositoryStatus, *, busy: bool = False
) -> ConfigRepository:
    build = Conditions((), 1, NOW)
    if busy:
        build.progressing("Progressing", "x")
    found = ConfigRepository.parse(
        {"metadata": {"name": "f"}, "spec": {"directory": {"path": "/x"}}}
    )
    status = status.model_copy(update={"conditions": build.build()})
    return found.model_copy(update={"status": status})


def failed(revision: str) -> Observation:
    return Observation(revision, problem=Problem("BuildFailed", "x"))


def test_an_error_met_again_changes_nothing() -> None:
    status = ConfigRepositoryStatus()
    first = record(repository(status), failed("r1"), NOW, settled=False)
    status = ConfigRepositoryStatus(history=first)
    later = NOW + timedelta(minutes=5)
    asked = repository(status, busy=True)
    assert record(asked, failed("r1"), later, settled=False) == first


def test_a_pass_under_way_is_no_attempt_yet() -> None:
    status = ConfigRepositoryStatus()
    assert (
        record(repository(status), Observation("r1"), NOW, settled=False) == ()
    )


def test_work_that_ends_well_again_is_counted() -> None:
    status = ConfigRepositoryStatus()
    first = record(repository(status), Observation("r1"), NOW, settled=True)
    status = ConfigRepositoryStatus(history=first)
    steady = record(repository(status), Observation("r1"), NOW, settled=True)
    assert steady == first
    later = NOW + timedelta(minutes=5)
    asked = repository(status, busy=True)
    (again,) = record(asked, Observation("r1"), later, settled=True)
    assert (again.total, again.first_reconciled) == (2, "2026-11-25T00:00:00Z")
    assert again.last_reconciled == "2026-11-25T00:05:00Z"


outcomes = st.lists(
    st.tuples(st.sampled_from(["r1", "r2", "r3"]), st.booleans()), max_size=20
)


@given(outcomes)
def test_newest_first_no_twins_at_most_five(
    script: list[tuple[str, bool]],
) -> None:
    status = ConfigRepositoryStatus()
    for revision, good in script:
        seen = Observation(revision) if good else failed(revision)
        entries = record(repository(status), seen, NOW, settled=good)
        status = ConfigRepositoryStatus(history=entries)
        assert entries[0].revision == revision
        assert (entries[0].status == "BuildFailed") is not good
    keys = [(a.revision, a.status) for a in status.history]
    assert len(set(keys)) == len(keys) <= 5
