"""Connections with bounds, and failures that do not give secrets away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from reconciler.feedback.errors import FeedbackError, InvalidDsnError

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 60

_CAUSES = {
    "connection refused": "the server refuses connections",
    "password authentication failed": "the server refuses the password",
    "no password supplied": "the server wants a password",
    "no such file or directory": "there is no server at the socket",
    "could not translate host name": "the host name is unknown",
    "failed to resolve host": "the host name is unknown",
    "name or service not known": "the host name is unknown",
    "timeout expired": "the server does not answer in time",
    "starting up": "the server is starting",
    "shutting down": "the server is shutting down",
    "too many clients": "the server has no free connection",
    "no pg_hba.conf entry": "the server does not accept this host and user",
    "does not exist": "the database or the user does not exist",
    "server closed the connection": "the server closed the connection",
    "terminating connection": "the server closed the connection",
    "permission denied": "the user lacks a permission",
    "certificate": "the server's certificate is not accepted",
    "ssl": "the TLS settings of server and client do not agree",
    "no space left": "the server's disk is full",
}

_NO_TABLES = frozenset({"42P01", "3F000", "42883"})


@contextmanager
def connected(
    dsn: str, *, statement_seconds: float = STATEMENT_SECONDS
) -> Iterator[psycopg.Connection]:
    """A connection that commits if the body succeeds, else rolls back.

    Raises:
        InvalidDsnError: `dsn` cannot be parsed.
        FeedbackError: connecting or a statement failed. The text is one of
            ours: the driver's may quote the connection string or rows.
    """
    bounded = _bounded(dsn, statement_seconds)
    try:
        with psycopg.connect(bounded) as connection:
            yield connection
    except psycopg.Error as error:
        raise FeedbackError(explain(error)) from None


def fetch(
    connection: psycopg.Connection,
    query: LiteralString,
    parameters: Mapping[str, object] | None = None,
) -> tuple[Any, ...]:
    """The one row of a query that always has one.

    Raises:
        FeedbackError: it has none: somebody changed the tables.
    """
    row = connection.execute(query, parameters).fetchone()
    if row is None:
        msg = "a table of the store is not as it was made"
        raise FeedbackError(msg)
    return row


def explain(error: psycopg.Error) -> str:
    """What went wrong, in words that hold no secret and no row."""
    if error.sqlstate in _NO_TABLES:
        return "the tables are missing"
    text = str(error).lower()
    for sign, cause in _CAUSES.items():
        if sign in text:
            return cause
    state = f" ({error.sqlstate})" if error.sqlstate else ""
    return f"PostgreSQL reports {type(error).__name__}{state}"


def _bounded(dsn: str, statement_seconds: float) -> str:
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        msg = "the connection string cannot be parsed"
        raise InvalidDsnError(msg) from None
    limit = f"-c statement_timeout={int(statement_seconds * 1000)}"
    options = f"{given.get('options') or ''} {limit}".strip()
    return make_conninfo(
        dsn,
        options=options,
        connect_timeout=given.get("connect_timeout") or CONNECT_SECONDS,
        application_name=given.get("application_name") or "reconciler",
    )
