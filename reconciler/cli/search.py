"""`reconciler search`: questions to the documents of a directory."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reconciler.cli.local_library import (
    add_options,
    failures_named,
    opened,
    say,
)
from reconciler.cli.options import positive, question
from reconciler.cli.search_index import run_on_index

if TYPE_CHECKING:
    from reconciler.retrieval.embedder import Embedder
    from reconciler.retrieval.library import Library

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
    parser.add_argument(
        "questions", metavar="QUESTION", nargs="+", type=question
    )
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
    add_options(parser)
    parser.add_argument("-k", type=positive, default=5, help="passages (5)")
    parser.add_argument(
        "--mode",
        choices=("hybrid", "vector", "words"),
        default="hybrid",
        help="by vectors, by words (BM25), or both (hybrid)",
    )
    parser.add_argument("-o", "--output", choices=("text", "json"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Build what is to be built, then answer."""
    if arguments.index is not None:
        return run_on_index(arguments)
    library, embedder = opened(arguments)
    with failures_named():
        return _answer(arguments, library, embedder)


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
            say(
                f"{searcher.manifest.passages:,} passages searched in "
                f"{milliseconds:.0f} ms"
            )
    return 0 if found else 1


def _document(question: str, hits: Sequence[Any]) -> dict[str, Any]:
    from reconciler.retrieval.located import characters_document

    return {
        "question": question,
        "hits": [
            {
                "path": hit.passage.path,
                "firstLine": hit.passage.first,
                "lastLine": hit.passage.last,
                "characters": characters_document(hit.passage.characters()),
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
