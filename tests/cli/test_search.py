"""`reconciler search` on real files, without a model."""

from __future__ import annotations

import json

import pytest

from reconciler.cli.errors import CommandError
from reconciler.cli.local_library import failures_named
from reconciler.cli.main import main


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
def ask(docs, tmp_path):
    def ask(*words: str) -> int:
        state = str(tmp_path / "state")
        common = ["--state", state, "search", "--in", str(docs)]
        return main([*common, "--model", "hashing", *words])

    return ask


def test_the_answer_shows_its_evidence(ask, capsys) -> None:
    assert ask("when does water freeze?") == 0
    out, err = capsys.readouterr()
    assert out.index("frost.md:3-3") > out.index("when does water freeze?")
    assert "takes more room" in out
    assert "2 documents, 2 passages, 2 embedded" in err


def test_a_reader_that_has_gone_is_no_failure_of_ours() -> None:
    with pytest.raises(BrokenPipeError), failures_named():
        raise BrokenPipeError
    with pytest.raises(CommandError, match="disk"), failures_named():
        raise OSError("the disk is full")
    with pytest.raises(ValueError, match="defect"), failures_named():
        raise ValueError("a defect is not hidden")


def test_json_has_one_line_for_each_question(ask, docs, capsys) -> None:
    assert ask("-o", "json", "-k", "1", "dry wood", "water room") == 0
    lines = [json.loads(x) for x in capsys.readouterr().out.splitlines()]
    assert [x["hits"][0]["path"] for x in lines] == ["fire.md", "frost.md"]
    hit = lines[0]["hits"][0]
    assert hit["firstLine"] == 3
    document, stands = (docs / "fire.md").read_text(), hit["characters"]
    assert document[stands["start"] : stands["end"]] == hit["text"]


def test_a_second_call_sees_what_changed_and_no_refresh_does_not(
    ask, docs, capsys
) -> None:
    assert ask("water") == 0
    (docs / "ice.md").write_text(
        "# Glaciers\n\nGlaciers creep downhill for thousands of years.\n"
    )
    assert ask("--no-refresh", "--mode", "words", "glaciers") == 1
    assert "nothing was found" in capsys.readouterr().out
    assert ask("glaciers") == 0
    out, err = capsys.readouterr()
    assert "ice.md:3-3" in out
    assert "1 embedded, 2 reused" in err


def test_time_that_is_too_short_is_said(ask, capsys) -> None:
    assert ask("--seconds", "0", "water") == 0
    out, err = capsys.readouterr()
    assert "frost.md" in out
    assert "2 texts have no vector yet" in err


def test_mistakes_are_named(ask, docs, tmp_path, capsys) -> None:
    assert ask("--no-refresh", "water") == 1
    assert "nothing was built here yet" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        ask("-k", "0", "water")
    assert "'0' is not a whole number from 1" in capsys.readouterr().err
    assert ask("--in", str(tmp_path / "absent"), "water") == 1
    assert "absent" in capsys.readouterr().err
    assert ask("--model", str(docs), "water") == 1
    assert "not a sentence-transformers directory" in capsys.readouterr().err


def test_without_a_model_it_says_so(docs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "reconciler.retrieval.models.installed_model", lambda: None
    )
    words = ["--state", str(tmp_path / "s"), "search", "--in", str(docs)]
    assert main([*words, "water"]) == 0
    assert "no model is installed or named" in capsys.readouterr().err
