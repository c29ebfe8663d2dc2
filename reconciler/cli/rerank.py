"""`reconciler rerank train`: a reranker from the titles of documents.

Nothing is kept unless it puts held-out questions in a better order.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.errors import CommandError
from reconciler.cli.local_library import (
    add_documents,
    add_model,
    failures_named,
    missing,
    open_named_embedder,
)
from reconciler.cli.options import positive
from reconciler.cli.session import DEFAULT_STATE
from reconciler.engine.paths import StateDirectory

if TYPE_CHECKING:
    from reconciler.indexes.reranker_trial import Trial

DESCRIPTION = """\
Turns titles of documents into questions, learns on most documents which of
the found passages stand below the title, and measures on the others. The
reranker is kept only if the gain is certain (lower bound, 97.5 %, above 0).
Use it as spec.reranker.path of a VectorIndex. For example:

  reconciler rerank train --in docs --out rerankers/docs
"""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "rerank",
        help="train what orders the passages that were found",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("train",))
    add_documents(parser, "documents; may be repeated", required=True)
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="where to"
    )
    add_model(parser)
    parser.add_argument(
        "--rows",
        type=positive,
        default=4000,
        help="passages to learn and measure with (4000)",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", choices=("text", "json"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, measure, and keep it or not; 1 if not."""
    try:
        with failures_named():
            trial = _try(arguments)
    except ImportError as error:
        raise missing(error, "all") from error
    except ValueError as error:  # too few questions
        raise CommandError(str(error)) from error
    if arguments.output == "json":
        print(json.dumps({**asdict(trial), "kept": trial.helps}))
    else:
        print(described(trial))
        print(
            f"kept in {arguments.out}"
            if trial.helps
            else "not kept: the gain is not certain"
        )
    return 0 if trial.helps else 1


def described(trial: Trial) -> str:
    """The figures in words."""
    return (
        f"{trial.rows:,} passages, {trial.learned:,} questions learned from, "
        f"{trial.questions:,} held out\n"
        f"MRR@10 {trial.mrr_before:.3f} -> {trial.mrr_after:.3f}, gain "
        f"{trial.gain:+.4f} (95 %: {trial.gain_low:+.4f} to "
        f"{trial.gain_high:+.4f})"
    )


def _try(arguments: argparse.Namespace) -> Trial:
    from reconciler.indexes.reranker_trial import try_reranker
    from reconciler.retrieval.title_questions import title_corpus

    out: Path = arguments.out.resolve()
    if out.exists():
        msg = f"{out} exists: name a directory that does not"
        raise CommandError(msg)
    state = StateDirectory(Path(arguments.state or DEFAULT_STATE).resolve())
    embedder = open_named_embedder(arguments, state.graphs)
    corpus = title_corpus(_passages(arguments.source), arguments.rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that one rename makes it appear whole.
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        trained = Path(scratch, "reranker")
        trial = try_reranker(
            corpus, embedder, Path(scratch), trained, arguments.seed
        )
        if trial.helps:
            trained.rename(out)
    return trial


def _passages(roots: Sequence[Path]) -> Sequence[Any]:
    from reconciler.retrieval.source import scan

    return scan([root.resolve() for root in roots]).passages
