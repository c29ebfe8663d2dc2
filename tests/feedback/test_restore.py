"""A dump restored into another server keeps its rows and its ranges."""

from __future__ import annotations

import subprocess

import pytest

from reconciler.feedback import (
    EmbeddedServer,
    counts,
    export_preferences,
    import_rows,
    migrate,
)
from reconciler.feedback.binaries import discover, select


def correction(number):
    return {
        "kind": "correction",
        "model": "m",
        "generation": "m-1",
        "prompt": f"p{number}",
        "response": "wrong",
        "value": "right",
        "rater": "ann",
    }


@pytest.mark.slow
def test_ranges_continue_after_a_restore(dsn, tmp_path):
    tools = select(discover(), None).folder
    if not all((tools / name).exists() for name in ("pg_dump", "psql")):
        pytest.skip("no pg_dump here")
    import_rows(dsn, [correction(n) for n in range(5)])
    before = counts(dsn)
    dump = subprocess.run(
        [tools / "pg_dump", "--dbname", dsn], capture_output=True, check=True
    )
    other = EmbeddedServer(tmp_path / "pg")
    try:
        moved = other.ensure("restored")
        subprocess.run(
            [tools / "psql", "--dbname", moved, "-q", "-v", "ON_ERROR_STOP=1"],
            input=dump.stdout,
            capture_output=True,
            check=True,
        )
        migrate(moved)
        report = import_rows(moved, [correction(n) for n in range(8)])
        assert (report.inserted, report.duplicates) == (3, 5)
        after = counts(moved, after=before.through)
        assert (after.rows, after.new) == (8, 3)
        assert after.through > before.through
        first = export_preferences(
            moved, 0, before.through, tmp_path / "a", lambda _: False
        )
        second = export_preferences(
            moved,
            before.through,
            after.through,
            tmp_path / "b",
            lambda _: False,
        )
        assert (first.rows, second.rows) == (5, 3)
    finally:
        other.stop()
