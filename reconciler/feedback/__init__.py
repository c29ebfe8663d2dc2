"""People's judgements of answers: kept in PostgreSQL, learned from."""

from __future__ import annotations

from reconciler.feedback.counting import counts
from reconciler.feedback.dsn import resolve_dsn
from reconciler.feedback.embedded import EmbeddedServer
from reconciler.feedback.errors import (
    FeedbackError,
    HorizonError,
    InvalidDsnError,
    NoServerError,
    SchemaError,
)
from reconciler.feedback.export import ExportReport, export_preferences
from reconciler.feedback.ingest import ImportReport, import_file, import_rows
from reconciler.feedback.observation import StoreCounts
from reconciler.feedback.schema import migrate

__all__ = [
    "EmbeddedServer",
    "ExportReport",
    "FeedbackError",
    "HorizonError",
    "ImportReport",
    "InvalidDsnError",
    "NoServerError",
    "SchemaError",
    "StoreCounts",
    "counts",
    "export_preferences",
    "import_file",
    "import_rows",
    "migrate",
    "resolve_dsn",
]
