from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from reconciler.artifacts.tree import digest_of
from reconciler.runs.protocol import Request, RunDirectory
from reconciler.runs.worker import InvalidRequestError
from reconciler.serving.bundle import read_bundle
from reconciler.serving.convert import ConvertParameters, convert
from reconciler.serving.generation import Limits, generate
from reconciler.serving.runtime import LoadedModel
from reconciler.serving.sampling import Sampler

from .conftest import run_python

pytestmark = pytest.mark.slow


REFUSING = """
import sys
from reconciler import telemetry
telemetry.refuse()
import openvino.tools.ovc.telemetry_utils as ovc
import nncf
print([m for m in sys.modules if m.startswith("openvino_telemetry.")])
print("stub" if "stub" in ovc.tm.__name__ else ovc.tm.__name__)
"""


def result(tiny: Path, name: str) -> Any:
    found = RunDirectory(tiny / name).result()
    assert found is not None
    return found


def test_the_same_model_gives_the_same_bytes_in_two_processes(
    tiny: Path, tmp_path: Path, first: Path
) -> None:
    run = RunDirectory(tmp_path / "run")
    request = RunDirectory(tiny / "first").request()
    assert request is not None
    run.write_request(request)
    run_python("-m", "reconciler.serving", str(run.path), PYTHONHASHSEED="2")
    ended = run.result()
    assert ended is not None
    assert ended.phase == "Succeeded"
    assert ended.outputs == {"model": "output/ir"}
    assert digest_of(run.output / "ir") == digest_of(first)


def test_converting_twice_in_one_process_gives_the_same_bytes(
    tiny: Path, first: Path
) -> None:
    assert digest_of(tiny / "again/output/ir") == digest_of(first)


def test_other_weights_give_another_digest(first: Path, second: Path) -> None:
    assert digest_of(first) != digest_of(second)


def test_facts_say_what_quantising_cost(tiny: Path) -> None:
    fidelity = result(tiny, "first").facts["fidelity"]
    assert 0.9 <= fidelity["top1Agreement"] < 1
    assert abs(fidelity["perplexityChange"]) < 0.05
    assert fidelity["sweepDeviation"] < 0.001
    assert fidelity["texts"] == 9
    assert fidelity["tokens"] > 300


def test_the_manifest_names_precision_and_source(
    tiny: Path, first: Path
) -> None:
    manifest = read_bundle(first).manifest
    assert manifest.precision == "INT8_ASYM"
    assert manifest.precision_hint == "f32"
    assert manifest.device == "CPU"
    assert manifest.end_tokens == (2,)
    assert manifest.context_length == 96
    assert manifest.source == digest_of(tiny / "model1")
    assert manifest.versions["openvino"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("strict", "below minTop1Agreement 1"),
        ("nan", "NaN"),
        ("nowhere", "NPU: "),
    ],
)
def test_a_model_that_may_not_serve_fails_with_the_reason(
    tiny: Path, name: str, message: str
) -> None:
    ended = result(tiny, name)
    assert ended.phase == "Failed"
    assert message in ended.message
    assert ended.outputs == {}


def test_a_refused_model_still_reports_its_numbers(tiny: Path) -> None:
    fidelity = result(tiny, "strict").facts["fidelity"]
    assert 0.9 <= fidelity["top1Agreement"] < 1


def test_weights_are_eight_bits(tiny: Path, first: Path) -> None:
    exact = (tiny / "exact/openvino_model.bin").stat().st_size
    assert (first / "openvino_model.bin").stat().st_size < exact / 2


def test_the_unquantised_graph_answers_as_transformers_does(
    tiny: Path,
) -> None:
    model = LoadedModel(read_bundle(tiny / "exact"), "CPU")
    expected = json.loads((tiny / "greedy.json").read_text())
    assert len(expected) == 3
    for prompt, tokens in expected.items():
        answers = generate(
            model,
            model.encode(prompt + "\n"),
            [Sampler(temperature=0)],
            Limits(max_tokens=24),
        )
        assert answers[0].tokens == tokens


def parameters(**changes: Any) -> dict[str, Any]:
    return {"stage": "convert", "model": "/nonexistent", **changes}


def request_with(given: dict[str, Any]) -> Request:
    return Request(
        work="reconciler.serving", name="x", key="x", parameters=given
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "parameters.stage"),
        (parameters(precision="INT2"), "parameters.precision"),
        (parameters(device="AUTO:NPU,CPU"), "parameters.device"),
        (parameters(minTop1Agreement="2"), "parameters.minTop1Agreement"),
        (parameters(surprise=1), "parameters.surprise"),
        (parameters(), "not a Hugging Face model directory"),
    ],
)
def test_invalid_requests_are_refused_before_any_work(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(InvalidRequestError, match=message):
        convert(run, request_with(given))
    assert not run.output.exists()


def test_nothing_is_reported_to_the_makers_of_the_tools() -> None:
    said = run_python("-c", REFUSING)
    assert said.split() == ["[]", "stub"]


def test_it_is_an_error_if_reporting_was_imported_before() -> None:
    late = "import openvino_telemetry\n" + REFUSING
    with pytest.raises(AssertionError, match="imported already"):
        run_python("-c", late)


def test_a_tokenizer_is_required(tiny: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny / "model1", model)
    (model / "tokenizer.json").unlink()
    with pytest.raises(InvalidRequestError, match=r"tokenizer\.json"):
        convert(
            RunDirectory(tmp_path / "run"),
            request_with(parameters(model=str(model))),
        )


def test_limits_arrive_as_decimal_text() -> None:
    given = parameters(minTop1Agreement="0.95", maxPerplexityChange="0.02")
    found = ConvertParameters.model_validate(given)
    assert found.min_top1_agreement == 0.95
    assert found.max_perplexity_change == 0.02
