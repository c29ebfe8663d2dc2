"""`reconciler demo gitops`: its parts, and all of it with real processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from reconciler.cli.demo.gitops.clone import Clone
from reconciler.cli.demo.gitops.lines import Lines
from reconciler.cli.demo.screen import Screen
from reconciler.cli.errors import CommandError
from reconciler.cli.kinds import KINDS
from reconciler.gitops.build import Builder
from reconciler.gitops.directory import read_directory
from tests.gitops.conftest import Remote

EXAMPLE = Path(__file__).parents[2] / "examples" / "demo-gitops"
SCREEN = (30, 80)
STEPS = (
    "start", "bootstrap", "commit", "drift", "refused", "prune", "promotion",
    "promotion", "revert",
)  # fmt: skip


def test_the_example_is_what_the_kinds_take() -> None:
    parsers = {kind.definition.kind: kind for kind in KINDS}
    objects = Builder("default").build(read_directory(str(EXAMPLE), ".").files)
    for item in objects:
        parsers[item.id.kind].parse(item.body)
    assert len(objects) == 6


def test_lines_fit_on_a_screen(tmp_path: Path) -> None:
    file = (tmp_path / "out").open("w+")
    lines = Lines(Screen(Console(file=file, width=200), quiet=True))
    with lines.step("bootstrap"):
        lines.tell("x" * 200)
        lines.tell("word " * 100)
        lines.screen.show("what moves")
    file.seek(0)
    shown = file.read().splitlines()
    assert [len(line) <= SCREEN[1] for line in shown] == [True] * 3
    assert shown[0].startswith(" 1 bootstrap xxx")
    assert re.search(r" \d+\.\d s$", shown[0])
    assert shown[2].endswith(" ...")


def test_a_step_that_fails_is_not_told_as_seen(tmp_path: Path) -> None:
    file = (tmp_path / "out").open("w+")
    lines = Lines(Screen(Console(file=file), quiet=True))

    def drift() -> None:
        with lines.step("drift"):
            lines.tell("fine")
            raise CommandError("not seen")

    with pytest.raises(CommandError):
        drift()
    file.seek(0)
    assert (lines.steps, file.read()) == (0, "")


def test_a_clone_commits_on_top_of_others_and_reverts(tmp_path: Path) -> None:
    remote = Remote(tmp_path / "remote", bare=True)
    remote.commit({"a.yaml": "a: 1\n"})
    clone = Clone(tmp_path / "clone")
    clone.create(remote.home)
    theirs = remote.commit(
        {"m.yaml": "spec:\n  generation: m-1\n"},
        "Promote\n\nReconciler-Promotion: default/m/m-1@12345678",
    )
    ours = clone.commit("Ours", {"b.yaml": "b: 1\n", "a.yaml": None})
    assert remote.head == ours
    assert remote.ask("rev-parse", f"{ours}^") == theirs
    assert clone.promotion_of("m-1") == theirs
    assert clone.promotion_of("m-2") is None
    assert clone.changed(theirs) == "spec:"
    assert clone.revert(ours) == remote.head
    assert remote.ask("show", "main:a.yaml") == "a: 1"
    shutil.rmtree(remote.home)
    with pytest.raises(CommandError, match="git pull"):
        clone.revert(theirs)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_step_is_observed_and_fits_on_one_screen(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "reconciler",
            "--state", str(tmp_path / "state"), "demo", "gitops",
        ],
        capture_output=True, text=True, check=False, timeout=1400,
        env={**os.environ, "COLUMNS": str(SCREEN[1]), "TERM": "dumb"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout.splitlines()
    named = re.findall(
        r"^ ?\d+ (\w+) .* \d+\.\d s$", done.stdout, re.MULTILINE
    )
    assert tuple(named) == STEPS
    assert len(shown) <= SCREEN[0]
    assert max(map(len, shown)) <= SCREEN[1]
