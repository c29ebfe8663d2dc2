"""`reconciler feedback import`: rows from a file into a FeedbackStore."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from reconciler.cli.errors import CommandError
from reconciler.cli.options import add_common
from reconciler.cli.session import Session, kubeconfig_of
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
    add_common(imported, default=False)
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
            dsn = _dsn(session, store)
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


def _dsn(session: Session, store: FeedbackStore) -> str:
    """Where the rows of a store are.

    An embedded store lies beside the kubeconfig of its operator, so that the
    API server and the database are always those of the same one.
    """
    server = None
    if store.spec.engine == "Embedded":
        server = EmbeddedServer(_state_of(session.kubeconfig).postgres)
    return session.run(resolve_dsn(session.client, store, server))


def _state_of(kubeconfig: Path | None) -> StateDirectory:
    if kubeconfig is not None:
        state = StateDirectory(kubeconfig.resolve().parent)
        if state.controlplane.is_dir():
            return state
    msg = (
        "the FeedbackStore is embedded in the state directory of its "
        "operator: name it with --state DIR"
    )
    raise CommandError(msg)


def _rows(file: str) -> Iterator[bytes]:
    """Lines as they are; what is wrong with one is found at its import."""
    stream = sys.stdin.buffer if file == "-" else _open(Path(file))
    with stream:
        for line in stream:
            if line.strip():
                yield line.rstrip(b"\r\n")


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise CommandError(msg) from error
