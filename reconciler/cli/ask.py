"""`reconciler ask`: an answer with its evidence, or why there is none."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import textwrap
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.errors import CommandError
from reconciler.cli.index_access import index_asker
from reconciler.cli.local_library import (
    add_options,
    failures_named,
    opened,
    say,
)
from reconciler.cli.options import question, seconds

if TYPE_CHECKING:
    from reconciler.retrieval.embedder import Embedder
    from reconciler.retrieval.search import Searcher
    from reconciler.retrieval.selfrag.endpoint import ChatClient
    from reconciler.retrieval.selfrag.loop import SelfRag
    from reconciler.retrieval.selfrag.policy import Step

ABSTAINED = 3
KEY = "OPENAI_API_KEY"
DESCRIPTION = """\
Answers from documents (Self-RAG): looks up where that is needed, judges what
it finds, answers with the evidence, or says why it does not. For example:

  reconciler ask --in docs "What happens when an index file is damaged?"
  reconciler ask -i handbook "What happens when an index file is damaged?"

Without an endpoint answers are sentences of the documents. With one a
language model writes them, and may judge as well; its key is read from
OPENAI_API_KEY. Exit codes: 0 all answered, 3 one was not, 1 an error.
"""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "ask",
        help="have questions answered from documents, with evidence",
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
        help="ask this VectorIndex; only -o means something then",
    )
    add_options(parser)
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        help="of an OpenAI-compatible server, up to /v1",
    )
    parser.add_argument(
        "--endpoint-model", metavar="NAME", help="as the server names it"
    )
    parser.add_argument(
        "--critic",
        choices=("local", "endpoint"),
        default="local",
        help="who judges (local)",
    )
    parser.add_argument(
        "--critics",
        metavar="FILE",
        type=Path,
        help="trained heads (default: those for all-MiniLM-L6-v2)",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="for one question (60)",
    )
    parser.add_argument("-o", "--output", choices=("text", "json"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Bring the index up to date, then answer."""
    if (arguments.endpoint is None) != (arguments.endpoint_model is None):
        raise CommandError("--endpoint and --endpoint-model go together", 2)
    if arguments.critic == "endpoint" and arguments.endpoint is None:
        raise CommandError("--critic endpoint needs --endpoint", 2)
    if arguments.index is not None:
        return _of_index(arguments)
    library, embedder = opened(arguments, partial(_check, arguments))
    from reconciler.retrieval.search import Searcher
    from reconciler.retrieval.selfrag.protocols import PartError

    try:
        with failures_named(), Searcher(library, embedder) as searcher:
            return asyncio.run(_all(arguments, searcher, embedder))
    except PartError as error:  # of the endpoint's URL
        raise CommandError(str(error)) from error


def _of_index(arguments: argparse.Namespace) -> int:
    """The serving process answers, with the critics of the package."""
    if arguments.endpoint or arguments.critics:
        msg = "--endpoint and --critics mean nothing to a VectorIndex"
        raise CommandError(msg, 2)
    ask, answered = index_asker(arguments, "answer"), 0
    for text in arguments.questions:
        found = ask({"question": text})
        answered += _shown(arguments, found)
    return 0 if answered == len(arguments.questions) else ABSTAINED


def _check(arguments: argparse.Namespace, embedder: Embedder) -> None:
    """That critics can be had, before documents are read for long."""
    from reconciler.retrieval.selfrag.heads import HeadsError, load_heads
    from reconciler.retrieval.selfrag.local_critic import LocalCritic
    from reconciler.retrieval.selfrag.protocols import PartError

    if arguments.critic == "endpoint":
        return
    try:
        LocalCritic(load_heads(arguments.critics), embedder)
    except (HeadsError, PartError) as error:
        raise CommandError(str(error)) from error


async def _all(
    arguments: argparse.Namespace, searcher: Searcher, embedder: Embedder
) -> int:
    answered = 0
    async with AsyncExitStack() as stack:
        client = await _client(arguments, stack)
        parts = _parts(arguments, searcher, embedder, client)
        for text in arguments.questions:
            found = await parts.answer(text, _told)
            answered += _shown(arguments, found.document())
    return 0 if answered == len(arguments.questions) else ABSTAINED


def _shown(arguments: argparse.Namespace, found: Mapping[str, Any]) -> bool:
    """Print an answer; whether it is one."""
    if arguments.output == "json":
        print(json.dumps(found), flush=True)
    else:
        _print(found)
    return bool(found["verdict"] == "answered")


async def _client(
    arguments: argparse.Namespace, stack: AsyncExitStack
) -> ChatClient | None:
    from reconciler.retrieval.selfrag.endpoint import ChatClient, Endpoint

    if arguments.endpoint is None:
        return None
    endpoint = Endpoint(
        arguments.endpoint, arguments.endpoint_model, os.environ.get(KEY)
    )
    return await stack.enter_async_context(ChatClient(endpoint))


def _parts(
    arguments: argparse.Namespace,
    searcher: Searcher,
    embedder: Embedder,
    client: ChatClient | None,
) -> SelfRag:
    from reconciler.retrieval.selfrag.assembly import assembled

    return assembled(
        searcher,
        embedder,
        client,
        judge=client if arguments.critic == "endpoint" else None,
        critics=arguments.critics,
        seconds=arguments.timeout,
    )


def _told(step: Step) -> None:
    """Progress, for people."""
    from reconciler.retrieval.selfrag.policy import Generate, Retrieve

    match step:
        case Retrieve(query):
            say(f"  looking for: {query}")
        case Generate(passages):
            say(f"  reading {len(passages)} relevant passages")
        case _:
            sys.stderr.flush()


def _print(found: Mapping[str, Any]) -> None:
    print(f"\n{found['question']}")
    if found["verdict"] != "answered":
        print(f"  no answer: {found['reason']}")
        return
    print(textwrap.indent(textwrap.fill(found["answer"], 74), "  "))
    scores = found["scores"]
    print(
        f"  [relevance {scores['relevance']:.2f}, support "
        f"{scores['support']:.2f}, usefulness {scores['usefulness']:.2f}]"
    )
    for number, each in enumerate(found["evidence"], 1):
        stands = each["characters"]
        where = (
            f", characters {stands['start']}-{stands['end']}" if stands else ""
        )
        print(
            f"  {number}. {each['document']}:{each['firstLine']}-"
            f"{each['lastLine']}{where} ({each['title']})"
        )
