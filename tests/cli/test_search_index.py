"""`reconciler search -i` without a server: the files answer."""

from __future__ import annotations

import json

import pytest

from reconciler.cli.main import main
from reconciler.retrieval.build import build
from reconciler.retrieval.embedder import HashingEmbedder
from reconciler.retrieval.library import Library


@pytest.fixture
def ask(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    for name, text in (
        ("frost", "Water freezes at zero degrees and takes more room."),
        ("fire", "Wood burns when it is dry, hot and surrounded by air."),
    ):
        (docs / f"{name}.md").write_text(f"# {name}\n\n{text}\n")
    state = tmp_path / "state"
    home = state / "vectorindexes/default/handbook"
    build(Library(home), [docs], HashingEmbedder())

    def ask(*words: str, index: str = "handbook") -> int:
        return main(["--state", str(state), "search", "-i", index, *words])

    return ask


def test_the_answer_shows_its_evidence(ask, capsys):
    assert ask("when does water freeze?") == 0
    out = capsys.readouterr().out
    assert "frost.md:3-3" in out
    assert "takes more room" in out


def test_json_is_that_of_the_api(ask, capsys):
    assert ask("-o", "json", "-k", "1", "dry wood", "water") == 0
    lines = [json.loads(x) for x in capsys.readouterr().out.splitlines()]
    assert [x["hits"][0]["document"] for x in lines] == ["fire.md", "frost.md"]
    assert lines[0]["question"] == "dry wood"
    assert lines[0]["generation"] == "000001"


def test_documents_can_be_named(ask, capsys):
    assert ask("--documents", "fire*", "-o", "json", "water") == 0
    (hit,) = json.loads(capsys.readouterr().out)["hits"]
    assert hit["document"] == "fire.md"
    assert ask("--documents", "none*", "water") == 1
    assert "nothing was found" in capsys.readouterr().out


def test_mistakes_are_named(ask, capsys):
    assert ask("water", index="absent") == 1
    assert "there is no index at" in capsys.readouterr().err
    assert ask("-k", "101", "water") == 1
    assert "k: " in capsys.readouterr().err
