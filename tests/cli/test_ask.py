"""`reconciler ask` on real files, with hand-made critics."""

from __future__ import annotations

import json

import pytest

from reconciler.cli.main import main
from reconciler.retrieval.selfrag.features import (
    RELEVANCE,
    SUPPORT,
    USEFULNESS,
)


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


def test_an_endpoint_that_is_away_is_an_abstention(ask, capsys) -> None:
    words = ["--endpoint", "http://127.0.0.1:1/v1", "--endpoint-model", "m"]
    assert ask(*words, "when does water freeze?") == 3
    assert "127.0.0.1:1" in capsys.readouterr().out
