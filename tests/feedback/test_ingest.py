"""Rows go in once, whatever happens in between."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import psycopg
import pytest
from psycopg.types.json import Jsonb

from reconciler.feedback import (
    FeedbackError,
    ImportReport,
    counts,
    import_file,
    import_rows,
)
from reconciler.feedback.ingest import check
from reconciler.feedback.retention import drop_older

BAD = [b"{", b"\xff\xfe", b"[1]", '{"kind": "stars"}', None, {"value": "\0"}]


def rows(count, *, start=0):
    kinds = [
        ("thumbs", True, None),
        ("rating", 4, None),
        ("comparison", "b", "other"),
        ("correction", "Better.", None),
    ]
    for number in range(start, start + count):
        kind, value, second = kinds[number % 4]
        yield {
            "id": f"row-{number}",
            "kind": kind,
            "model": "docs",
            "generation": "docs-1",
            "prompt": f"What does f{number} do?",
            "response": "It does.",
            "response_b": second,
            "value": value,
            "rater": "ann",
        }


def quarantine(dsn):
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT reason FROM feedback.quarantine")
        return sorted(reason for (reason,) in found)


def test_importing_three_times_is_importing_once(dsn):
    assert import_rows(dsn, rows(40)) == ImportReport(40, 0, 0)
    for _ in range(2):
        assert import_rows(dsn, rows(40)) == ImportReport(0, 40, 0)
    found = counts(dsn)
    assert (found.rows, found.thumbs, found.correction) == (40, 10, 10)


def test_duplicates_inside_one_batch_are_counted(dsn):
    assert import_rows(dsn, [*rows(4), *rows(6)]) == ImportReport(6, 4, 0)


def test_malformed_rows_are_set_aside_and_counted_each_time(dsn):
    for _ in range(2):
        report = import_rows(dsn, [*BAD, *rows(2)])
        assert report.quarantined == len(BAD)
    assert counts(dsn).rows == 2
    assert quarantine(dsn) == [
        "kind is not one of thumbs, rating, comparison, correction",
        "kind is not one of thumbs, rating, comparison, correction",
        "not JSON",
        "not JSON",
        "not an object",
        "not an object",
    ]


def test_what_goes_in_comes_out(dsn):
    text = 'tab\t newline\n backslash \\N quote " emoji \U0001f600 \u2028'
    row = next(rows(1)) | {"prompt": text, "response": ""}
    row["at"] = "2026-11-25T01:44:28.123456+01:00"
    import_rows(dsn, [row])
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT prompt, response, value, at = %s::timestamptz "
            "FROM feedback.judgements",
            (row["at"],),
        ).fetchone()
    assert found == (text, "", True, True)


def test_a_file_is_streamed_in_batches(dsn, tmp_path):
    path = tmp_path / "feedback.jsonl"
    lines = [json.dumps(row) for row in rows(25)]
    path.write_text("\n".join([*lines, "", "{broken"]) + "\n")
    assert import_file(dsn, path) == ImportReport(25, 0, 1)
    lazy = import_rows(dsn, rows(25, start=25), batch=10)
    assert lazy == ImportReport(25, 0, 0)


def test_killed_between_copy_and_commit_loses_nothing(dsn):
    import_rows(dsn, rows(3))
    script = (
        "import os, signal, sys, json\n"
        "from reconciler.feedback.connecting import connected\n"
        "from reconciler.feedback.ingest import store\n"
        "batch = [json.loads(line) for line in sys.stdin]\n"
        "with connected(sys.argv[1]) as connection:\n"
        "    report = store(connection, [*batch, b'garbage'])\n"
        "    assert report.inserted == 17, report\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    feed = "\n".join(json.dumps(row) for row in rows(20))
    done = subprocess.run(
        [sys.executable, "-c", script, dsn],
        input=feed,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    assert counts(dsn).rows == 3
    assert quarantine(dsn) == []
    report = import_rows(dsn, [*rows(20), b"garbage"])
    assert report == ImportReport(17, 3, 1)
    assert counts(dsn).rows == 20


def test_killed_between_batches_the_replay_adds_the_rest(dsn):
    def interrupted():
        yield from rows(25)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_rows(dsn, interrupted(), batch=10)
    assert counts(dsn).rows == 20
    assert import_rows(dsn, rows(30), batch=10) == ImportReport(10, 20, 0)


def test_a_failure_says_nothing_of_the_rows_or_the_password(dsn):
    secret = psycopg.conninfo.make_conninfo(
        dsn, host="127.0.0.1", port=1, password="hunter2"
    )
    with pytest.raises(FeedbackError) as caught:
        import_rows(secret, rows(1))
    assert str(caught.value) == "the server refuses connections"
    assert caught.value.__cause__ is None


def test_old_rows_are_dropped_in_order(dsn):
    import_rows(dsn, [*rows(4), b"bad"])
    with psycopg.connect(dsn) as connection:
        (moment,) = connection.execute("SELECT now()").fetchone()
    import_rows(dsn, rows(3, start=4))
    assert drop_older(dsn, moment) == 4
    assert drop_older(dsn, moment) == 0
    assert counts(dsn).rows == 3
    assert quarantine(dsn) == []


@pytest.mark.slow
def test_importing_is_faster_than_inserting_row_by_row(dsn):
    everything = list(rows(20_000))
    started = time.perf_counter()
    import_rows(dsn, everything)
    staged = time.perf_counter() - started
    checked = [check(row) for row in rows(20_000, start=20_000)]
    started = time.perf_counter()
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO feedback.judgements (id, kind, model, generation, "
            "prompt, response, response_b, value, rater) VALUES "
            "(%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (
                    *(row.id, row.kind, row.model, row.generation),
                    *(row.prompt, row.response, row.response_b),
                    *(Jsonb(row.value), row.rater),
                )
                for row in checked
            ],
        )
    many = time.perf_counter() - started
    assert counts(dsn).rows == 40_000
    # Although only the import also checks each row.
    assert staged < many
