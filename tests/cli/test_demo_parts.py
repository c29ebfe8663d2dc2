from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.cli.demo.load import Load
from reconciler.cli.demo.operator import clean
from reconciler.cli.demo.repository import Repository
from reconciler.cli.demo.summary import Row, Summary, table, write
from reconciler.cli.errors import CommandError
from reconciler.engine.paths import StateDirectory

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "quickstart"


def row(name: str, gate: str, phase: str) -> Row:
    return Row(
        name=name,
        phase=phase,
        algorithm="DPO",
        score=0.8,
        improvement=0.1,
        ciLow=0.05,
        ciHigh=0.15,
        baseline="m-1",
        gate=gate,
        device="CPU",
        dataDigest="sha256:" + "d" * 64,
        artifactDigest="sha256:" + "a" * 64,
        trainSeconds=12.0,
    )


SUMMARY = Summary(
    generations=(
        row("m-1", "Passed", "Promoted"),
        row("m-2", "Failed", "Rejected"),
    ),
    rollback_seconds=1.234,
    failed_requests=0,
    requests=40,
    seconds=200.0,
)


def test_the_summary_has_what_it_promises(tmp_path) -> None:
    paths = write(SUMMARY, tmp_path)
    data = json.loads((tmp_path / "summary.json").read_text())
    assert data["rollbackSeconds"] == 1.23
    assert data["failedRequests"] == 0
    assert {
        "name",
        "phase",
        "algorithm",
        "improvement",
        "ciLow",
        "ciHigh",
        "gate",
        "dataDigest",
        "artifactDigest",
        "trainSeconds",
    } <= data["generations"][0].keys()
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    page = paths[2].read_text()
    assert "data:image/png;base64," in page
    assert "m-2" in page
    assert table(SUMMARY).row_count == 2


def test_the_repository_is_a_real_one(tmp_path) -> None:
    repository = Repository(tmp_path / "config")
    repository.create(EXAMPLE)
    assert repository.url.startswith("file:///")
    assert len(repository.log()) == 1
    assert (tmp_path / "config" / "model.yaml").exists()
    assert repository.promotion_of("m-1") is None
    first = repository.head()
    (tmp_path / "config" / "model.yaml").write_text("# changed\n")
    repository._git(
        "commit",
        "-aqm",
        "x\n\nReconciler-Promotion: default/m/m-1@12345678",
    )
    commit = repository.promotion_of("m-1")
    assert commit == repository.head() != first
    repository.revert(commit)
    assert "architecture" in (tmp_path / "config" / "model.yaml").read_text()


def test_failed_requests_are_counted() -> None:
    load = Load("http://127.0.0.1:1", "m", ("q",))
    load.start()
    while load.requests < 2:
        pass
    load.stop()
    assert load.failures
    assert load.generations == {}


def test_a_foreign_directory_is_not_removed(tmp_path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CommandError, match="not a state directory"):
        clean(StateDirectory(tmp_path))
    assert (tmp_path / "thesis.txt").exists()


def test_nothing_to_clean_is_fine(tmp_path) -> None:
    clean(StateDirectory(tmp_path / "absent"))
