"""How many judgements there are, up to which position that is final."""

from __future__ import annotations

import psycopg

from reconciler.feedback.connecting import connected, fetch
from reconciler.feedback.observation import StoreCounts
from reconciler.feedback.schema import at_home, read_version

_COUNT = """
SELECT feedback.horizon(),
    count(*) FILTER (WHERE kind = 'thumbs' AND position < h),
    count(*) FILTER (WHERE kind = 'rating' AND position < h),
    count(*) FILTER (WHERE kind = 'comparison' AND position < h),
    count(*) FILTER (WHERE kind = 'correction' AND position < h),
    count(*) FILTER (WHERE position >= %(after)s AND position < h
        AND (%(model)s::text IS NULL OR model = %(model)s)),
    count(*) FILTER (WHERE position >= h),
    current_setting('server_version')
FROM (SELECT feedback.horizon() AS h OFFSET 0) AS fixed
LEFT JOIN feedback.judgements ON true
"""
_EDGES = """
SELECT (SELECT received_at FROM feedback.judgements
        WHERE position < %(through)s ORDER BY received_at DESC LIMIT 1),
       (SELECT min(received_at) FROM feedback.judgements),
       (SELECT count(*) FROM feedback.quarantine)
"""


def counts(dsn: str, after: int = 0, model: str | None = None) -> StoreCounts:
    """Count the rows of a store.

    Args:
        dsn: libpq connection string.
        after: position from which rows count as new.
        model: count as new only rows about this model.

    Raises:
        FeedbackError: the server cannot be used, or has no tables yet.
    """
    with connected(dsn) as connection:
        return count(connection, after, model)


def look(dsn: str, after: int = 0) -> tuple[int, StoreCounts | None]:
    """Version of the tables, and the counts if they are in order.

    A version of -1 says that the rows came from another server and their
    positions are not settled yet.

    Raises:
        FeedbackError: the server cannot be used.
    """
    with connected(dsn) as connection:
        version = read_version(connection)
        if version == 0:
            return 0, None
        if not at_home(connection):
            return -1, None
        return version, count(connection, after)


def count(
    connection: psycopg.Connection, after: int, model: str | None = None
) -> StoreCounts:
    """Count in the connection's transaction."""
    first = fetch(connection, _COUNT, {"after": after, "model": model})
    through = int(first[0])
    last, oldest, malformed = fetch(connection, _EDGES, {"through": through})
    return StoreCounts(
        thumbs=int(first[1]),
        rating=int(first[2]),
        comparison=int(first[3]),
        correction=int(first[4]),
        quarantined=int(malformed),
        through=through,
        new=int(first[5]),
        pending=int(first[6]),
        last_row_at=last,
        oldest_row_at=oldest,
        server=str(first[7]),
    )
