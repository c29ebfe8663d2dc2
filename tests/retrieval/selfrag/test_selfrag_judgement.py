from __future__ import annotations

import argparse
import json

import pytest

from reconciler.cli.errors import CommandError
from reconciler.cli.feedback import _judgements
from reconciler.feedback.judgement import parse
from reconciler.retrieval.selfrag.judgement import MODEL, judgement_row
from reconciler.retrieval.selfrag.loop import SelfRag
from tests.retrieval.selfrag.selfrag_parts import (
    Judge,
    Quoter,
    Shelf,
    passage,
)


async def lines() -> list[str]:
    """Of one answer and one abstention."""
    shelf = Shelf({"what is a?": [passage("a")]})
    rag = SelfRag(shelf, Quoter(), Judge(relevant={"a": 0.9}))
    questions = ("what is a?", "what is b?")
    return [json.dumps((await rag.answer(q)).document()) for q in questions]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("thumbs", True), ("rating", 4), ("correction", "It is a letter.")],
)
async def test_a_store_takes_what_is_said(kind, value) -> None:
    for line in await lines():
        answer = json.loads(line)
        found = parse(judgement_row(answer, kind, value, "ann"))
        assert (found.kind, found.value, found.rater) == (kind, value, "ann")
        assert found.prompt == answer["question"]
        assert found.response == answer["answer"]
        assert (found.model, found.generation) == (MODEL, answer["source"])
        again = parse(judgement_row(answer, kind, value, "ann"))
        assert again.id == found.id
        other = parse(judgement_row(answer, kind, value, "bob"))
        assert other.id != found.id


async def test_the_command_reads_lines_of_ask(tmp_path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(await lines()) + "\n")
    options = {"file": str(path), "rater": "ann", "rating": None}
    down = argparse.Namespace(**options, thumbs="down", correction=None)
    assert [row["value"] for row in _judgements(down)] == [False, False]
    text = argparse.Namespace(**options, thumbs=None, correction="No.")
    assert [row["kind"] for row in _judgements(text)] == ["correction"] * 2
    for bad in ("{}", "[]", "nothing"):
        path.write_text(f"{bad}\n")
        with pytest.raises(CommandError, match="answer 1"):
            list(_judgements(down))
