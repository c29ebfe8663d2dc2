"""`reconciler search -i INDEX`: questions to a VectorIndex.

The serving process answers, where one runs; else the files are read here.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reconciler.cli.errors import CommandError
from reconciler.cli.session import DEFAULT_STATE
from reconciler.engine.paths import StateDirectory

Answer = dict[str, Any]
Ask = Callable[[dict[str, Any]], Answer]


def run_on_index(arguments: argparse.Namespace) -> int:
    """Ask an index each question; 1 if nothing was found."""
    ask, found = _asker(arguments), 0
    for question in arguments.questions:
        body = {
            "query": question,
            "k": arguments.k,
            "mode": arguments.mode,
            "filter": {"documents": arguments.documents}
            if arguments.documents
            else None,
            "rerank": False if arguments.no_rerank else None,
        }
        answer = ask(body)
        found += len(answer["hits"])
        if arguments.output == "json":
            print(json.dumps({"question": question, **answer}))
        else:
            _print(question, answer)
    return 0 if found else 1


def _asker(arguments: argparse.Namespace) -> Ask:
    from reconciler.serving.process import ServerProcess

    namespace, name = arguments.namespace, arguments.index
    served = name if namespace == "default" else f"{namespace}--{name}"
    if arguments.kubeconfig:
        return _over_http(*_from_object(arguments))
    state = StateDirectory(Path(arguments.state or DEFAULT_STATE).resolve())
    info = ServerProcess(state.serving).info()
    if info is not None:
        return _over_http(info.url, served)
    return _from_files(state, namespace, name, served)


def _from_object(arguments: argparse.Namespace) -> tuple[str, str]:
    """Endpoint and name of an index, from its status."""
    from reconciler.cli.session import Session, kubeconfig_of
    from reconciler.indexes.resource import VectorIndex

    path = kubeconfig_of(arguments.kubeconfig, None)
    with Session(path) as session:
        found = session.get(
            "VectorIndex", arguments.namespace, arguments.index
        )
    status = VectorIndex.parse(found).status
    if status.endpoint is None or status.index is None:
        msg = f"VectorIndex {arguments.index} does not answer yet"
        raise CommandError(msg)
    return status.endpoint, status.index


def _over_http(endpoint: str, index: str) -> Ask:
    from reconciler.serving.client import CompletionError, post

    def ask(body: dict[str, Any]) -> Answer:
        try:
            return post(endpoint, "search", {"index": index, **body})
        except CompletionError as error:
            raise CommandError(str(error)) from error

    return ask


def _from_files(
    state: StateDirectory, namespace: str, name: str, served: str
) -> Ask:
    try:
        from reconciler.serving.completions import ApiError
        from reconciler.serving.index_documents import (
            DesiredIndex,
            IndexFiles,
        )
        from reconciler.serving.open_index import Opener, OpeningError
        from reconciler.serving.search_api import parse_search
        from reconciler.serving.search_endpoint import answer_from
    except ImportError as error:
        msg = f"{error.name} is not installed: pip install 'reconciler[all]'"
        raise CommandError(msg) from error
    root = state.vector_indexes / namespace / name
    if not root.is_dir():
        msg = f"no serving process runs, and there is no index at {root}"
        raise CommandError(msg)
    try:
        desired = IndexFiles(state.serving).desired(served)
        opened = Opener().open(
            desired
            or DesiredIndex(
                index=served,
                root=str(root),
                graphs=str(state.graphs),
                device="CPU",
            )
        )
    except (OpeningError, ValueError) as error:
        raise CommandError(str(error)) from error

    def ask(body: dict[str, Any]) -> Answer:
        try:
            asked = parse_search({"index": served, **body})
        except ApiError as error:
            raise CommandError(str(error)) from error
        return answer_from(opened, asked)

    return ask


def _print(question: str, answer: Mapping[str, Any]) -> None:
    print(f"\n{question}")
    if not answer["hits"]:
        print("  nothing was found")
    for number, hit in enumerate(answer["hits"], 1):
        print(f"{number}. {hit['title']}  [{_places(hit)}]")
        span = hit["span"]
        print(f"   {hit['document']}:{span['start']}-{span['end']}")
        body = textwrap.shorten(hit["text"], 300, placeholder=" ...")
        print(textwrap.indent(textwrap.fill(body, 74), "   "))


def _places(hit: Mapping[str, Any]) -> str:
    cosine, rank = hit["cosine"], hit["word_rank"]
    parts = [
        "cosine -" if cosine is None else f"cosine {cosine:.2f}",
        "words -" if rank is None else f"words #{rank}",
    ]
    if hit["reranked"]:
        parts.append(f"relevance {hit['score']:.3f}")
    return ", ".join(parts)
