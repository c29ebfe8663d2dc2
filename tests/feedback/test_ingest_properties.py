"""Any rows, in any batches, repeated at will: the store is their set."""

from __future__ import annotations

from collections import Counter

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.feedback import counts, import_rows
from reconciler.feedback.connecting import connected
from reconciler.feedback.export import read_rows
from reconciler.feedback.ingest import Malformed, check

VALUES = {
    "thumbs": st.booleans(),
    "rating": st.integers(-1, 6),
    "comparison": st.sampled_from(["a", "b", "tie", "c"]),
    "correction": st.sampled_from(["", "better", "best"]),
}
TEXTS = st.sampled_from(["x", "y\n\t\\", "\u00e9\u2028", "a\x00b", ""])


@st.composite
def rows(draw):
    kind = draw(st.sampled_from(sorted(VALUES)))
    return {
        "kind": kind,
        "model": "m",
        "generation": "m-1",
        "prompt": draw(TEXTS),
        "response": draw(TEXTS),
        "response_b": draw(TEXTS) if kind == "comparison" else None,
        "value": draw(VALUES[kind]),
        "rater": draw(st.sampled_from(["ann", "bob"])),
        "id": draw(st.sampled_from([None, None, "1", "2"])),
    }


@pytest.fixture(scope="module")
def shared(server):
    return server.ensure("test.properties")


def empty(dsn):
    import_rows(dsn, [])
    with psycopg.connect(dsn) as connection:
        # TRUNCATE makes new files, and waits for the disk each time.
        connection.execute("DELETE FROM feedback.judgements")
        connection.execute("DELETE FROM feedback.quarantine")


def stored(dsn, after, through):
    with connected(dsn) as connection:
        return {str(row.id) for row in read_rows(connection, after, through)}


relaxed = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@relaxed
@given(st.lists(st.lists(rows(), max_size=12), max_size=5), st.integers(1, 7))
def test_the_store_is_the_set_of_valid_rows(shared, imports, batch):
    empty(shared)
    start = position = counts(shared).through
    taken: list[str] = []
    inserted = 0
    for group in [*imports, *imports]:
        report = import_rows(shared, group, batch=batch)
        inserted += report.inserted
        assert sum(vars(report).values()) == len(group)
        end = counts(shared, position).through
        taken.extend(stored(shared, position, end))
        position = end
    checked = [check(row) for group in imports for row in group]
    # What was stored first under an id stays: the last write here is it.
    valid = {
        row.id: row
        for row in reversed(checked)
        if not isinstance(row, Malformed)
    }
    assert inserted == len(valid)
    assert sorted(taken) == sorted(str(each) for each in valid)
    assert stored(shared, start, position) == set(taken)
    found = counts(shared, start)
    assert found.new == found.rows == len(valid)
    kinds = Counter(row.kind for row in valid.values())
    assert found.thumbs + found.rating == kinds["thumbs"] + kinds["rating"]
    assert found.quarantined == len(
        {row.row for row in checked if isinstance(row, Malformed)}
    )
