"""Real runs of a tiny network: what is killed and resumed ends the same."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.artifacts import digest_of
from reconciler.compute.local import LocalExecutor
from reconciler.corpus import python_docstrings
from reconciler.runs.protocol import Request
from reconciler.training import checkpoints
from reconciler.training.dataset import write_dataset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STEPS = 40
SECONDS = 90.0
ARCHITECTURE = {
    "vocabularySize": 320,
    "hiddenSize": 16,
    "layers": 1,
    "heads": 2,
    "contextLength": 64,
}


def schedule(**changes: Any) -> dict[str, Any]:
    return {
        "steps": STEPS,
        "batchSize": 4,
        "learningRate": "0.01",
        "maxLength": 48,
        "beta": "0.1",
        "sftWeight": "1",
        "lora": None,
        "checkpointSteps": 5,
        "threads": 1,
        **changes,
    }


def request(name: str, dataset: Path, **changes: Any) -> Request:
    parameters = {
        "stage": "train",
        "algorithm": "SFT",
        "dataset": str(dataset),
        "parent": None,
        "architecture": ARCHITECTURE,
        "training": schedule(),
        "seed": 3,
        **changes,
    }
    return Request(
        work="reconciler.training", name=name, key=name, parameters=parameters
    )


@pytest.fixture(scope="module")
def executor(tmp_path_factory):
    executor = LocalExecutor(tmp_path_factory.mktemp("runs"))
    yield executor
    executor.stop_all(5.0)


@pytest.fixture(scope="module")
def examples():
    return [e for e in python_docstrings() if e.split == "train"][:60]


@pytest.fixture(scope="module")
def sft_data(tmp_path_factory, examples) -> Path:
    path = tmp_path_factory.mktemp("sft")
    write_dataset(
        path,
        ({"prompt": e.prompt, "completion": e.answer} for e in examples),
        {"kind": "sft"},
    )
    return path


@pytest.fixture(scope="module")
def preferences(tmp_path_factory, examples) -> Path:
    path = tmp_path_factory.mktemp("preferences")
    write_dataset(
        path,
        (
            {
                "prompt": e.prompt,
                "chosen": f"Good: {e.answer}",
                "rejected": "bad bad bad",
            }
            for e in examples
        ),
        {"kind": "preference"},
    )
    return path


def wait(executor: LocalExecutor, name: str, done) -> Any:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        state = executor.poll(name)
        if done(state):
            return state
        time.sleep(0.005)
    log = executor.directory(name).log
    pytest.fail(f"{executor.poll(name)}\n{log.read_text()[-3000:]}")


def finish(executor: LocalExecutor, asked: Request) -> Any:
    """Start, and start again after every interruption, to the end."""
    executor.start(asked)
    state = wait(executor, asked.name, lambda s: not s.alive)
    if state.result is None:
        return finish(executor, asked)
    assert state.phase == "Succeeded", state
    return state


def model_of(executor: LocalExecutor, name: str) -> Path:
    return executor.directory(name).output / "model"


def checkpointed(executor: LocalExecutor, name: str):
    return lambda _: any(executor.directory(name).checkpoints.glob("*-10"))


@pytest.fixture(scope="module")
def trained(executor, sft_data) -> Path:
    digest = digest_of(sft_data)
    finish(executor, request("whole", sft_data, datasetDigest=digest))
    return model_of(executor, "whole")


@pytest.mark.parametrize("algorithm", ["SFT", "DPO"])
def test_a_length_without_room_for_answers_is_told(
    executor, sft_data, preferences, trained: Path, algorithm: str
) -> None:
    """It would end as a loss that is not a number, or as a traceback."""
    name = f"short-{algorithm.lower()}"
    data = preferences if algorithm == "DPO" else sft_data
    asked = request(
        name,
        data,
        algorithm=algorithm,
        parent=str(trained),
        architecture=None,
        training=schedule(maxLength=8),
    )
    executor.start(asked)
    state = wait(executor, name, lambda s: not s.alive)
    assert state.phase == "Invalid"
    assert state.message.startswith("training.maxLength 8 leaves no room")


def test_nothing_is_learnt_from_a_data_set_that_was_changed(
    executor, sft_data
) -> None:
    other = "sha256:" + "0" * 64
    executor.start(request("changed", sft_data, datasetDigest=other))
    state = wait(executor, "changed", lambda s: not s.alive)
    assert state.phase == "Invalid"
    assert "changed or damaged since it was frozen" in state.message


def test_the_output_is_a_model_without_pickles(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not [n for n in names if n.endswith((".bin", ".pt", ".pth"))]
    config = json.loads((trained / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["eos_token_id"] == 2


@pytest.mark.usefixtures("trained")
def test_progress_is_one_line_a_step(executor) -> None:
    lines = list(executor.directory("whole").progress())
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert lines[-1]["metrics"]["loss"] < lines[0]["metrics"]["loss"]


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_interrupted_sft_ends_bit_for_bit_the_same(
    executor, sft_data, trained, how
) -> None:
    asked = request(f"sft-{how}".lower(), sft_data)
    interrupt(executor, asked, how)
    finish(executor, asked)
    assert digest_of(model_of(executor, asked.name)) == digest_of(trained)
    steps = [
        line["step"] for line in executor.directory(asked.name).progress()
    ]
    assert steps == list(range(1, STEPS + 1))


def interrupt(executor: LocalExecutor, asked: Request, how: str) -> None:
    executor.start(asked)
    wait(executor, asked.name, checkpointed(executor, asked.name))
    if how == "SIGTERM":
        executor.cancel(asked.name)
    else:
        executor.stop_all(0.0)  # at once SIGKILL to the whole group
    state = wait(executor, asked.name, lambda s: not s.alive)
    assert state.result is None, "it was not interrupted"
    assert state.phase == "Preempted"


def dpo(name: str, data: Path, parent: Path) -> Request:
    return request(
        name,
        data,
        algorithm="DPO",
        parent=str(parent),
        architecture=None,
        training=schedule(
            steps=20, lora={"rank": 4, "alpha": 8}, learningRate="0.005"
        ),
    )


@pytest.fixture(scope="module")
def preferred(executor, preferences, trained) -> Path:
    finish(executor, dpo("dpo", preferences, trained))
    return model_of(executor, "dpo")


def test_dpo_learns_the_preference(executor, preferred, trained) -> None:
    lines = list(executor.directory("dpo").progress())
    assert lines[-1]["metrics"]["margin"] > 0
    assert lines[-1]["metrics"]["preferenceAccuracy"] == 1.0
    names = {path.name for path in preferred.iterdir()}
    assert not [n for n in names if n.startswith("adapter")], "merged"
    assert digest_of(preferred) != digest_of(trained)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_interrupted_dpo_ends_bit_for_bit_the_same(
    executor, preferences, trained, preferred, how
) -> None:
    asked = dpo(f"dpo-{how}".lower(), preferences, trained)
    interrupt(executor, asked, how)
    finish(executor, asked)
    assert digest_of(model_of(executor, asked.name)) == digest_of(preferred)


def test_a_checkpoint_that_was_cut_short_is_ignored(
    executor, sft_data, trained
) -> None:
    asked = request("torn", sft_data)
    interrupt(executor, asked, "SIGKILL")
    directory = executor.directory("torn").checkpoints
    torn = directory / "sft-39"
    shutil.copytree(max(directory.iterdir()), torn)
    (torn / "COMPLETE").unlink()
    (torn / "state.pt").write_bytes(b"half of it")
    finish(executor, asked)
    assert digest_of(model_of(executor, "torn")) == digest_of(trained)


def test_a_damaged_checkpoint_costs_steps_not_the_result(
    executor, sft_data, trained
) -> None:
    asked = request("damaged", sft_data)
    interrupt(executor, asked, "SIGTERM")
    directory = executor.directory("damaged").checkpoints
    newest = max(directory.iterdir(), key=checkpoints.step_of)
    (newest / "state.pt").write_bytes(b"not what was saved")
    finish(executor, asked)
    assert digest_of(model_of(executor, "damaged")) == digest_of(trained)
    log = executor.directory("damaged").log.read_text()
    assert f"{newest.name} is damaged (state.pt changed)" in log


@pytest.mark.parametrize("algorithm", ["SFT", "DPO"])
def test_a_loss_that_is_not_a_number_is_a_final_failure(
    executor, sft_data, preferences, trained, algorithm
) -> None:
    name = f"diverged-{algorithm}".lower()
    if algorithm == "SFT":
        asked = request(name, sft_data)
    else:
        asked = dpo(name, preferences, trained)
    training = {**asked.parameters["training"], "learningRate": "1e30"}
    parameters = {**asked.parameters, "training": training}
    executor.start(asked.model_copy(update={"parameters": parameters}))
    state = wait(executor, name, lambda s: not s.alive)
    assert state.phase == "Failed"
    assert state.ended
    assert state.message.startswith("diverged: the loss is nan at step")
    assert "learningRate" in state.message


def test_a_request_that_cannot_work_is_invalid(executor, tmp_path) -> None:
    asked = request("invalid", tmp_path / "absent")
    executor.start(asked)
    state = wait(executor, "invalid", lambda s: s.ended)
    assert state.phase == "Invalid"
    assert "train.jsonl" in state.message
