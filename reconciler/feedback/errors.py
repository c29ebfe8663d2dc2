"""What can go wrong with feedback, and whether a retry may help."""

from __future__ import annotations


class FeedbackError(Exception):
    """The store cannot be used right now; trying again may help.

    Messages never contain a connection string or a password.
    """


class NoServerError(FeedbackError):
    """No usable PostgreSQL on this machine: a person has to act."""


class InvalidDsnError(FeedbackError):
    """The connection string is missing or malformed: a person has to act."""


class SchemaError(FeedbackError):
    """The tables are newer than this program: a person has to act."""


class HorizonError(FeedbackError):
    """Rows were asked for whose transactions are not all finished."""
