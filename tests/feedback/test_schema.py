"""Tables, their constraints, and rows that came from another server."""

from __future__ import annotations

import threading

import psycopg
import pytest

from reconciler.feedback import SchemaError, counts, migrate
from reconciler.feedback.counting import look
from reconciler.feedback.schema import BASE_JUMP, CURRENT

INSERT = (
    "INSERT INTO feedback.judgements (id, kind, model, generation, prompt, "
    "response, response_b, value, rater) VALUES (gen_random_uuid(), %s, 'm', "
    "'m-1', 'p', 'r', %s, %s, 'ann')"
)


def test_tables_are_made_once_by_many_at_once(empty_dsn):
    assert look(empty_dsn) == (0, None)
    versions: list[int] = []
    threads = [
        threading.Thread(target=lambda: versions.append(migrate(empty_dsn)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions == [CURRENT] * 4
    with psycopg.connect(empty_dsn) as connection:
        applied = connection.execute("SELECT version FROM feedback.versions")
        assert applied.fetchall() == [(n + 1,) for n in range(CURRENT)]


def test_tables_of_a_newer_program_are_left_alone(dsn):
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO feedback.versions VALUES (999)")
    with pytest.raises(SchemaError, match="version 999"):
        migrate(dsn)


@pytest.mark.parametrize(
    ("kind", "second", "value"),
    [
        ("thumbs", None, "true"),
        ("rating", None, "5"),
        ("comparison", "b", '"tie"'),
        ("correction", None, '"better"'),
    ],
)
def test_rows_of_each_kind_fit(dsn, kind, second, value):
    with psycopg.connect(dsn) as connection:
        connection.execute(INSERT, (kind, second, value))
    assert counts(dsn).rows == 1


@pytest.mark.parametrize(
    ("kind", "second", "value"),
    [
        ("thumbs", None, "1"),
        ("thumbs", "b", "true"),
        ("rating", None, "0"),
        ("rating", None, "101"),
        ("rating", None, "4.5"),
        ("rating", None, "true"),
        ("comparison", None, '"a"'),
        ("comparison", "b", '"c"'),
        ("correction", None, '""'),
        ("correction", None, "5"),
        ("stars", None, "5"),
    ],
)
def test_rows_that_are_not_of_their_kind_are_refused(dsn, kind, second, value):
    with (
        pytest.raises(psycopg.errors.CheckViolation),
        psycopg.connect(dsn) as connection,
    ):
        connection.execute(INSERT, (kind, second, value))


def test_positions_only_grow_when_rows_move_to_another_server(dsn):
    with psycopg.connect(dsn) as connection:
        connection.execute(INSERT, ("thumbs", None, "true"))
    before = counts(dsn)
    with psycopg.connect(dsn) as connection:  # as after a restore
        connection.execute("UPDATE feedback.origin SET system_identifier = 1")
    assert look(dsn) == (-1, None)
    migrate(dsn)
    migrate(dsn)
    moved = counts(dsn, after=before.through)
    assert moved.through > BASE_JUMP
    assert (moved.rows, moved.new) == (1, 0)
    with psycopg.connect(dsn) as connection:
        connection.execute(INSERT, ("rating", None, "4"))
    assert counts(dsn, after=before.through).new == 1


def test_an_ordinary_role_can_keep_feedback(server):
    """External servers rarely give anybody superuser rights."""
    dsn = server.ensure("test.ordinary")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS ordinary")
        connection.execute("CREATE ROLE ordinary LOGIN NOSUPERUSER")
        connection.execute('ALTER DATABASE "test.ordinary" OWNER TO ordinary')
    other = psycopg.conninfo.make_conninfo(dsn, user="ordinary")
    migrate(other)
    assert counts(other).rows == 0
