"""Counts and the horizon, with other transactions around."""

from __future__ import annotations

import psycopg
import pytest

from reconciler.feedback import FeedbackError, counts, import_rows


def thumb(number):
    return {
        "id": str(number),
        "kind": "thumbs",
        "model": "m",
        "generation": "m-1",
        "prompt": "p",
        "response": "r",
        "value": True,
        "rater": "ann",
    }


def test_an_empty_store_has_a_horizon(dsn):
    found = counts(dsn)
    assert (found.rows, found.new, found.pending) == (0, 0, 0)
    assert found.through > 0
    assert found.last_row_at is None
    assert found.server[:2].isdigit()


def test_a_store_without_tables_says_so(empty_dsn):
    with pytest.raises(FeedbackError, match="tables are missing"):
        counts(empty_dsn)


def test_rows_are_new_from_the_last_horizon_on(dsn):
    import_rows(dsn, [thumb(1), thumb(2)])
    first = counts(dsn)
    assert (first.new, first.thumbs) == (2, 2)
    import_rows(dsn, [thumb(3)])
    second = counts(dsn, after=first.through)
    assert (second.new, second.rows) == (1, 3)
    assert counts(dsn, after=second.through).new == 0


def test_rows_behind_an_open_transaction_are_pending_not_counted(dsn):
    with psycopg.connect(dsn) as slow:
        slow.execute("SELECT pg_current_xact_id()")
        import_rows(dsn, [thumb(1)])
        waiting = counts(dsn)
        assert (waiting.rows, waiting.pending) == (0, 1)
        assert waiting.last_row_at is None
        slow.rollback()
    done = counts(dsn, after=waiting.through)
    assert (done.rows, done.pending, done.new) == (1, 0, 1)
    assert done.last_row_at is not None


def test_counting_does_not_move_the_horizon(dsn):
    import_rows(dsn, [thumb(1)])
    assert len({counts(dsn).through for _ in range(5)}) == 1
