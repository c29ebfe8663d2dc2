"""`reconciler ask` on real files, with hand-made critics."""

from __future__ import annotations

import json

import pytest

from reconciler.cli.main import main
from reconciler.retrieval.build import build
from reconciler.retrieval.embedder import HashingEmbedder
from reconciler.retrieval.library import Library
from reconciler.retrieval.selfrag import assembly
from reconciler.retrieval.selfrag.features import (
    RELEVANCE,
    SUPPORT,
    USEFULNESS,
)
from reconciler.retrieval.selfrag.heads import load_heads


@pytest.fixture
def docs(tmp_path):
    root = tmp_path / "docs"
    root.mkdir()
    (root / "frost.md").write_text(
        "# Frost\n\nWater freezes at zero degrees and then takes more room.\n"
    )
    (root / "fire.md").write_text(
        "# Fire\n\nWood burns when it is dry, hot and surrounded by air.\n"
    )
    return root


@pytest.fixture
def critics(tmp_path):
    """Heads that only count shared words."""

    def head(names, **weights):
        return {
            "features": names,
            "weights": [weights.get(name, 0.0) for name in names],
            "bias": -2.0 if weights else 5.0,
        }

    path = tmp_path / "critics.json"
    path.write_text(
        json.dumps(
            {
                "embedder": "hashed-features-1024",
                "need": head([f"d{i}" for i in range(1024)]),
                "relevance": head(RELEVANCE, coverage=8.0),
                "support": head(SUPPORT, coverage=8.0),
                "usefulness": head(USEFULNESS, coverage=8.0),
                "weights": [0.1, 0.3, 0.3, 0.3],
                "thresholds": {"total": 0.6},
                "rounds": 2,
                "evidence": {},
            }
        )
    )
    return path


@pytest.fixture
def ask(docs, tmp_path, critics):
    def ask(*words: str) -> int:
        state = str(tmp_path / "state")
        common = ["--state", state, "ask", "--in", str(docs)]
        common += ["--model", "hashing", "--critics", str(critics)]
        return main([*common, *words])

    return ask


def test_an_answer_shows_its_evidence(ask, capsys) -> None:
    assert ask("when does water freeze?") == 0
    out, err = capsys.readouterr()
    assert "Water freezes at zero degrees and then takes more room." in out
    assert "frost.md:3-3, characters 9-64 (frost, Frost)" in out
    assert "looking for: when does water freeze?" in err


def test_no_answer_says_why_and_has_a_code_of_its_own(ask, capsys) -> None:
    assert ask("when does water freeze?", "who composed the opera?") == 3
    out, _ = capsys.readouterr()
    assert "no answer: nothing relevant was found" in out


def test_json_has_one_line_for_each_question(ask, docs, capsys) -> None:
    assert ask("-o", "json", "does dry wood burn?") == 0
    (found,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert found["verdict"] == "answered"
    (evidence,) = found["evidence"]
    span = evidence["passage"][evidence["start"] : evidence["end"]]
    assert span == found["answer"]
    assert evidence["document"] == "fire.md"
    document, stands = (docs / "fire.md").read_text(), evidence["characters"]
    assert document[stands["start"] : stands["end"]] == found["answer"]
    assert set(found["scores"]) == {
        *("relevance", "support", "usefulness", "total")
    }


def test_mistakes_are_named(ask, docs, tmp_path, capsys) -> None:
    assert ask("--endpoint", "http://127.0.0.1:1/v1", "x y") == 2
    assert "go together" in capsys.readouterr().err
    assert ask("--critic", "endpoint", "x y") == 2
    assert "needs --endpoint" in capsys.readouterr().err
    assert ask("--critics", str(tmp_path / "absent"), "x y") == 1
    assert "absent" in capsys.readouterr().err
    common = ["--state", str(tmp_path / "s"), "ask", "--in", str(docs)]
    assert main([*common, "--model", "hashing", "water"]) == 1
    assert "these critics were trained with" in capsys.readouterr().err
    assert not (tmp_path / "s" / "indexes").exists()  # nothing was built


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([" "], "the question is empty"),
        (["--timeout", "-1", "why?"], "'-1' is no number of seconds"),
        (["--seconds", "nan", "why?"], "'nan' is no number of seconds"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read(
    ask, tmp_path, capsys, words, message
) -> None:
    with pytest.raises(SystemExit, match="2"):
        ask(*words)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_a_question_that_is_no_utf_8_is_answered(ask, capsys) -> None:
    assert ask("-o", "json", "when does water \udcff freeze?") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["question"] == "when does water \ufffd freeze?"


@pytest.fixture
def handbook(docs, tmp_path, critics, monkeypatch):
    """A VectorIndex whose serving process does not run."""
    known = load_heads(critics)
    monkeypatch.setattr(assembly, "load_heads", lambda _path: known)
    state = tmp_path / "state"
    home = Library(state / "vectorindexes/default/handbook")
    build(home, [docs], HashingEmbedder())
    return ["--state", str(state), "ask", "-i", "handbook"]


def test_an_index_answers(handbook, capsys) -> None:
    assert main([*handbook, "when does water freeze?"]) == 0
    out, _ = capsys.readouterr()
    assert "frost.md:3-3, characters 9-64 (frost, Frost)" in out
    assert main([*handbook, "who composed the opera?"]) == 3
    assert "no answer: " in capsys.readouterr().out
    assert main([*handbook, "-o", "json", "does dry wood burn?"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["index"], found["generation"]) == ("handbook", "000001")


def test_mistakes_of_asking_an_index_are_named(handbook, capsys) -> None:
    assert main([*handbook[:-1], "absent", "why?"]) == 1
    assert "there is no index at" in capsys.readouterr().err
    assert main([*handbook, "--critics", "x", "why?"]) == 2
    assert "mean nothing to a VectorIndex" in capsys.readouterr().err


def test_an_endpoint_that_is_away_is_an_abstention(ask, capsys) -> None:
    words = ["--endpoint", "http://127.0.0.1:1/v1", "--endpoint-model", "m"]
    assert ask(*words, "when does water freeze?") == 3
    assert "127.0.0.1:1" in capsys.readouterr().out
