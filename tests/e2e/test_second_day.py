"""What happens to a system that has run for a while."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from kill_moments import END_SECONDS, begin, converge
from operating import Up
from tiny import MODEL

from reconciler.engine import conditions
from reconciler.engine.paths import StateDirectory
from reconciler.generations.resource import Model, ModelGeneration
from reconciler.serving.client import CompletionError, complete

QUESTION = "What does json.dumps do?"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def answer_of(up: Up) -> str:
    """Wait until the model is Ready and answers, and return the answer.

    Right after a start the status is still what the last process wrote.
    """
    with up.session() as session:

        def done() -> str | None:
            model = session.find(Model, "default", MODEL)
            if model is None or not conditions.is_true(
                model.status.conditions,
                "Ready",
                model.metadata.generation,
            ):
                return None
            try:
                return complete(model.status.endpoint, MODEL, QUESTION)
            except CompletionError:
                return None

        found: str = up.until(done, END_SECONDS, "answer")
    return found


def test_moving_the_state_and_healing_the_processes(
    up: Up, tmp_path: Path
) -> None:
    repository = begin(up, tmp_path)
    _, generation = converge(up, repository)
    answer = answer_of(up)

    # Moved to another place: it serves from there, and trains nothing.
    up.stop()
    moved = StateDirectory(tmp_path / "moved")
    up.state.root.rename(moved.root)
    up.state = moved
    up.start()
    assert answer_of(up) == answer
    desired = (moved.serving / "models" / f"{MODEL}.json").read_text()
    assert str(moved.root) in desired

    # A serving process that hangs is replaced.
    pid = server_pid(moved)
    os.kill(pid, signal.SIGSTOP)
    up.until(lambda: server_pid(moved) != pid, 120.0, "a new server")
    assert answer_of(up) == answer

    # Deleting the model ends serving and its generations, not its data.
    with up.session() as session:
        session.run(
            session.client.merge_patch(
                "reconciler.dev/v1alpha1",
                "ConfigRepository",
                "default",
                "config",
                {"spec": {"suspend": True}},
            )
        )
        session.run(
            session.client.delete(
                "reconciler.dev/v1alpha1", "Model", "default", MODEL
            )
        )

        def gone() -> bool:
            name = generation.metadata.name
            return (
                session.find(Model, "default", MODEL) is None
                and session.find(ModelGeneration, "default", name) is None
            )

        up.until(gone, 60.0, "end of the model")
    assert not (moved.serving / "models" / f"{MODEL}.json").exists()
    assert not any(moved.runs.iterdir())
    stored = moved.datasets.glob("default/models/datasets/tiny/*/tiny-1-*")
    assert any(stored)
    up.stop()


def server_pid(state: StateDirectory) -> int:
    import json

    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        try:
            text = (state.serving / "server.json").read_text()
        except FileNotFoundError:
            continue
        pid: int = json.loads(text)["pid"]
        return pid
    pytest.fail("no server.json")
