"""`reconciler feedback import`: rows from a file into a FeedbackStore."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from reconciler.cli.errors import CommandError
from reconciler.cli.session import DEFAULT_STATE, Session, kubeconfig_of
from reconciler.engine.paths import StateDirectory
from reconciler.engine.resource import ANNOTATIONS
from reconciler.feedback.dsn import resolve_dsn
from reconciler.feedback.embedded import EmbeddedServer
from reconciler.feedback.errors import FeedbackError
from reconciler.feedback.resource import FeedbackStore

FORMAT = """\
One JSON object a line:
  {"kind": "thumbs", "prompt": "...", "response": "...", "value": true}
  {"kind": "rating", "prompt": "...", "response": "...", "value": 4}
  {"kind": "comparison", "prompt": "...", "response": "...",
   "response_b": "...", "value": "a"}          (or "b", or "tie")
  {"kind": "correction", "prompt": "...", "response": "...",
   "value": "the answer as it should be"}
and in all of them: "model", "generation", "rater"; "id" and "at" (RFC 3339)
are optional. Importing a file twice adds nothing: rows are recognised by id,
or by content where they have none. Malformed rows are kept in quarantine.
"""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "feedback", help="put people's judgements into a FeedbackStore"
    )
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    imported = actions.add_parser(
        "import",
        help="import rows from a JSONL file",
        epilog=FORMAT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    imported.add_argument("store", metavar="STORE", help="a FeedbackStore")
    imported.add_argument("file", metavar="FILE", help="JSONL, or - for stdin")
    imported.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Import and report."""
    from reconciler.feedback.ingest import import_rows

    with Session(
        kubeconfig_of(arguments.kubeconfig, arguments.state)
    ) as session:
        store = session.find(
            FeedbackStore, arguments.namespace, arguments.store
        )
        if store is None:
            msg = f"FeedbackStore {arguments.store} does not exist"
            raise CommandError(msg)
        try:
            dsn = _dsn(session, store, arguments)
            report = import_rows(dsn, _rows(arguments.file))
        except FeedbackError as error:
            raise CommandError(str(error)) from error
        now = datetime.now(UTC).isoformat()
        session.annotate(
            "FeedbackStore",
            arguments.namespace,
            arguments.store,
            **{ANNOTATIONS.requested_at: now},
        )
    print(
        f"{report.inserted} rows imported, {report.duplicates} already there, "
        f"{report.quarantined} in quarantine"
    )
    return 1 if report.quarantined else 0


def _dsn(
    session: Session, store: FeedbackStore, arguments: argparse.Namespace
) -> str:
    root = Path(arguments.state) if arguments.state else DEFAULT_STATE
    server = EmbeddedServer(StateDirectory(root.resolve()).postgres)
    return session.run(resolve_dsn(session.client, store, server))


def _rows(file: str) -> Iterator[str]:
    """Lines; what is wrong with one is found where it is stored."""
    stream = sys.stdin if file == "-" else _open(Path(file))
    with stream:
        for line in stream:
            if line.strip():
                yield line.rstrip("\n")


def _open(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8", errors="replace")
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise CommandError(msg) from error
