"""`reconciler rerank train` on small documents, without a model."""

from __future__ import annotations

import json

import pytest

from reconciler.cli.main import main
from reconciler.retrieval import opening
from reconciler.retrieval.embedder import EmbedderError

pytestmark = pytest.mark.slow  # torch and OpenVINO take seconds to load


@pytest.fixture
def docs(tmp_path):
    """Parts that say what their heading says, among longer lures."""
    root = tmp_path / "docs"
    root.mkdir()
    for i in range(160):
        (root / f"d{i}.md").write_text(
            f"# Making kind{i} of thing\n\nMaking kind{i} is done in the "
            f"following way, thing by thing, number {i}.\n\n"
            f"# Lure of sort{i}\n\nNothing but kind{i} kind{i} kind{i} "
            f"kind{i} is in this lure of sort{i}.\n"
        )
    return root


@pytest.fixture
def train(docs, tmp_path):
    def train(*words: str) -> int:
        state = str(tmp_path / "state")
        common = ["--state", state, "rerank", "train", "--in", str(docs)]
        return main([*common, "--model", "hashing", *words])

    return train


def test_the_precision_is_that_of_the_command_line(
    docs, tmp_path, monkeypatch, capsys
):
    asked = []

    def refuse(model, _graphs, device, *, precision):
        asked.append((model, device, precision))
        raise EmbedderError("no such model")

    monkeypatch.setattr(opening, "open_embedder", refuse)
    words = [
        "rerank",
        "train",
        "--in",
        str(docs),
        "--out",
        str(tmp_path / "o"),
    ]
    state = ["--state", str(tmp_path / "state"), "--model", "m"]
    for precision in ("f32", "int8"):
        assert main([*words, *state, "--precision", precision]) == 1
    assert [each[2] for each in asked] == ["f32", "int8"]
    assert "no such model" in capsys.readouterr().err


def test_what_helps_is_kept_with_its_figures(train, tmp_path, capsys):
    out = tmp_path / "rerankers/docs"
    assert train("--out", str(out), "-o", "json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["kept"]
    assert 0 < report["gain_low"] <= report["gain"]
    assert report["mrr_after"] > report["mrr_before"]
    described = json.loads((out / "reranker.json").read_text())
    assert described["figures"]["gain"] == report["gain"]
    assert [p.name for p in out.parent.iterdir()] == ["docs"]


def test_what_does_not_help_is_not_kept(train, docs, tmp_path, capsys):
    for i in range(160):  # each is found at once: nothing can be better
        (docs / f"d{i}.md").write_text(
            f"# Making kind{i} of thing{i}\n\nMaking kind{i} of thing{i} is "
            f"told here and here alone.\n"
        )
    out = tmp_path / "out"
    assert train("--out", str(out)) == 1
    assert "not kept" in capsys.readouterr().out
    assert not out.exists()


def test_mistakes_are_named(train, tmp_path, capsys):
    assert train("--out", str(tmp_path)) == 1
    assert "exists" in capsys.readouterr().err
    assert train("--out", str(tmp_path / "x"), "--rows", "20") == 1
    assert "questions to learn from" in capsys.readouterr().err
