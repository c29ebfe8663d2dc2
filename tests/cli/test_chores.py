"""Which process does what now and then, and when an artifact may go."""

from __future__ import annotations

import argparse

import pytest

from reconciler.cli import wiring
from reconciler.cli.up import add_loop_options
from reconciler.engine.paths import StateDirectory


def options(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_loop_options(parser, roles="controller,node")
    return parser.parse_args(given)


def test_the_controller_tidies_up_artifacts(tmp_path) -> None:
    node = wiring.node_of(StateDirectory(tmp_path))
    (chore,) = wiring.chores(node, {"controller", "node"}, 14)
    assert chore.run.store.root == tmp_path / "artifacts"
    assert chore.run.runs == tmp_path / "runs"
    assert chore.run.keep_seconds == 14 * 24 * 3600


def test_a_node_only_reads_artifacts(tmp_path) -> None:
    node = wiring.node_of(StateDirectory(tmp_path))
    assert wiring.chores(node, {"node"}, 14) == ()


def test_artifacts_are_kept_for_two_weeks_or_as_told(capsys) -> None:
    assert options().keep_artifacts == 14
    assert options("--keep-artifacts", "90").keep_artifacts == 90
    with pytest.raises(SystemExit):
        options("--keep-artifacts", "0")
    assert "must be at least 1" in capsys.readouterr().err
