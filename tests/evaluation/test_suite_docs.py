"""What the documentation shows works as it is written."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reconciler.evaluation.plan import problems
from reconciler.evaluation.resource import EvaluationSuite
from reconciler.evaluation.worker import Parameters
from reconciler.runs.protocol import Request
from reconciler.runs.worker import parameters

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evaluationsuite.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_example_suite_is_usable():
    suite = EvaluationSuite.parse(YAML(typ="safe").load(block("yaml")))
    assert problems(suite.spec) == []
    assert suite.kind == EvaluationSuite.definition.kind


def test_the_example_request_is_valid():
    request = Request.model_validate(json.loads(block("json")))
    wanted = parameters(request, Parameters)
    assert wanted.candidate_name == "new"
    assert problems(wanted.suite) == []


@pytest.mark.slow
def test_the_simulation_script_prints_the_documented_tables(
    monkeypatch, capsys
):
    script = ROOT / "benchmarks" / "gate_simulation.py"
    monkeypatch.setattr(sys, "argv", [str(script), "20"])
    runpy.run_path(str(script), run_name="__main__")
    printed = capsys.readouterr().out
    for scores in ("continuous", "fifths", "binary"):
        assert f"{scores} scores, 20 pairs per cell" in printed
    assert printed.count("| gate |") == printed.count("| 5 % better |") == 15
