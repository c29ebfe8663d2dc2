"""Tables of the feedback store, and how they came to be what they are.

Positions: each row records the number of the transaction that wrote it.
All rows below the oldest transaction that is still open are final, so that
"from position a up to position b" names the same rows for ever, whatever
order writers commit in; neither a clock nor a serial number gives that.

Transaction numbers start again when the rows are restored into another
server. `base` then jumps by so much that positions still only grow.
"""

from __future__ import annotations

import psycopg

from reconciler.feedback.connecting import connected, fetch
from reconciler.feedback.errors import SchemaError

_LOCK = 0x7265636F6E66
"""Advisory lock of whoever changes the tables."""

_FIRST = """
CREATE TABLE feedback.origin (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    system_identifier text NOT NULL,
    base bigint NOT NULL DEFAULT 0
);
INSERT INTO feedback.origin (system_identifier)
    SELECT system_identifier::text FROM pg_control_system();

CREATE FUNCTION feedback.position() RETURNS bigint
    LANGUAGE sql VOLATILE AS
    'SELECT base + pg_current_xact_id()::text::bigint FROM feedback.origin';
CREATE FUNCTION feedback.horizon() RETURNS bigint
    LANGUAGE sql STABLE AS
    'SELECT base + pg_snapshot_xmin(pg_current_snapshot())::text::bigint
     FROM feedback.origin';

CREATE TABLE feedback.judgements (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    model text NOT NULL CHECK (model <> ''),
    generation text NOT NULL CHECK (generation <> ''),
    prompt text NOT NULL CHECK (prompt <> ''),
    response text NOT NULL,
    response_b text,
    value jsonb NOT NULL,
    rater text NOT NULL CHECK (rater <> ''),
    at timestamptz NOT NULL DEFAULT now(),
    received_at timestamptz NOT NULL DEFAULT now(),
    arrival bigint GENERATED ALWAYS AS IDENTITY,
    position bigint NOT NULL DEFAULT feedback.position(),
    CONSTRAINT judgement_is_of_its_kind CHECK (CASE kind
        WHEN 'thumbs' THEN
            jsonb_typeof(value) = 'boolean' AND response_b IS NULL
        WHEN 'rating' THEN
            response_b IS NULL AND jsonb_typeof(value) = 'number'
            AND (value #>> '{}')::numeric BETWEEN 1 AND 100
            AND (value #>> '{}')::numeric % 1 = 0
        WHEN 'comparison' THEN
            response_b IS NOT NULL
            AND value IN ('"a"', '"b"', '"tie"')
        WHEN 'correction' THEN
            jsonb_typeof(value) = 'string' AND response_b IS NULL
            AND value <> '""'
        ELSE false END)
);
CREATE INDEX judgements_by_position ON feedback.judgements (position, kind);
CREATE INDEX judgements_by_arrival ON feedback.judgements (received_at);

CREATE TABLE feedback.quarantine (
    id uuid PRIMARY KEY,
    row text NOT NULL,
    reason text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    position bigint NOT NULL DEFAULT feedback.position()
);
"""

MIGRATIONS = (_FIRST,)
"""Each brings the tables from one version to the next. Never change one."""

CURRENT = len(MIGRATIONS)
BASE_JUMP = 1 << 40


def migrate(dsn: str) -> int:
    """Bring the tables to the current version; safe to race and repeat.

    Returns:
        The version.

    Raises:
        SchemaError: the tables are newer than this program.
        FeedbackError: the server cannot be used.
    """
    with connected(dsn) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        version = read_version(connection)
        if version > CURRENT:
            msg = (
                f"the tables have version {version} and this program knows "
                f"{CURRENT}: use the newer program again"
            )
            raise SchemaError(msg)
        if version == 0:
            connection.execute("CREATE SCHEMA IF NOT EXISTS feedback")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS feedback.versions (version int "
                "PRIMARY KEY, applied_at timestamptz DEFAULT now())"
            )
        for number in range(version, CURRENT):
            connection.execute(MIGRATIONS[number].encode())
            connection.execute(
                "INSERT INTO feedback.versions (version) VALUES (%s)",
                (number + 1,),
            )
        _settle_origin(connection)
    return CURRENT


def read_version(connection: psycopg.Connection) -> int:
    """Version of the tables; 0 if there are none."""
    (there,) = fetch(
        connection, "SELECT to_regclass('feedback.versions') IS NOT NULL"
    )
    if not there:
        return 0
    (newest,) = fetch(
        connection, "SELECT coalesce(max(version), 0) FROM feedback.versions"
    )
    return int(newest)


def at_home(connection: psycopg.Connection) -> bool:
    """Whether the rows were written by this very server."""
    (same,) = fetch(
        connection,
        "SELECT o.system_identifier = c.system_identifier::text "
        "FROM feedback.origin o, pg_control_system() c",
    )
    return bool(same)


def _settle_origin(connection: psycopg.Connection) -> None:
    """Move positions on if the rows came here from another server."""
    connection.execute(
        "UPDATE feedback.origin o SET "
        "system_identifier = c.system_identifier::text, "
        "base = %s + greatest(base, "
        "(SELECT coalesce(max(position), 0) FROM feedback.judgements)) "
        "FROM pg_control_system() c "
        "WHERE o.system_identifier <> c.system_identifier::text",
        (BASE_JUMP,),
    )
