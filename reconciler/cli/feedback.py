"""`reconciler feedback`: what people say, into a FeedbackStore."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
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
    judged = actions.add_parser(
        "answers",
        help="judge answers of `reconciler ask -o json`",
        description="Judges every answer in a file alike; the same again "
        "adds nothing. An abstention is an empty answer.",
    )
    judged.add_argument("store", metavar="STORE", help="a FeedbackStore")
    judged.add_argument(
        "file", metavar="FILE", help="lines of ask -o json, or - for stdin"
    )
    value = judged.add_mutually_exclusive_group(required=True)
    value.add_argument("--thumbs", choices=("up", "down"))
    value.add_argument("--rating", type=int, help="from 1")
    value.add_argument("--correction", help="the answer as it should be")
    judged.add_argument(
        "--rater",
        default=os.environ.get("USER") or "anonymous",
        help="who says so (%(default)s)",
    )
    add_common(judged, default=False)
    judged.set_defaults(run=_judge)


def run(arguments: argparse.Namespace) -> int:
    """Import and report."""
    return _import(arguments, _rows(arguments.file))


def _judge(arguments: argparse.Namespace) -> int:
    return _import(arguments, list(_judgements(arguments)))


def _judgements(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    from reconciler.retrieval.selfrag.judgement import judgement_row

    rater = arguments.rater
    for number, line in enumerate(_rows(arguments.file), 1):
        try:
            answer = json.loads(line)
            if arguments.thumbs is not None:
                up = arguments.thumbs == "up"
                yield judgement_row(answer, "thumbs", up, rater)
            elif arguments.rating is not None:
                yield judgement_row(answer, "rating", arguments.rating, rater)
            else:
                text = arguments.correction
                yield judgement_row(answer, "correction", text, rater)
        except (ValueError, AttributeError) as error:
            msg = f"{arguments.file}, answer {number}: {error}"
            raise CommandError(msg) from error


def _import(arguments: argparse.Namespace, rows: Iterable[object]) -> int:
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
            report = import_rows(dsn, rows)
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
