"""Lets rows go that are older than a store keeps them."""

from __future__ import annotations

from datetime import datetime

from reconciler.feedback.connecting import connected

_BATCH = 10_000


def drop_older(dsn: str, before: datetime) -> int:
    """Delete judgements and malformed rows that arrived before a time.

    Returns:
        How many judgements went.

    Raises:
        FeedbackError: the server cannot be used; what went is gone, the
            same call again removes the rest.
    """
    gone = 0
    while True:
        with connected(dsn) as connection:
            done = connection.execute(
                "DELETE FROM feedback.judgements WHERE id IN (SELECT id FROM "
                "feedback.judgements WHERE received_at < %s "
                "ORDER BY received_at LIMIT %s)",
                (before, _BATCH),
            )
            gone += done.rowcount
            if done.rowcount < _BATCH:
                connection.execute(
                    "DELETE FROM feedback.quarantine WHERE received_at < %s",
                    (before,),
                )
                return gone
