"""`reconciler search -i INDEX`: questions to a VectorIndex."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Mapping
from typing import Any

from reconciler.cli.index_access import index_asker


def run_on_index(arguments: argparse.Namespace) -> int:
    """Ask an index each question; 1 if nothing was found."""
    ask, found = index_asker(arguments, "search"), 0
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
