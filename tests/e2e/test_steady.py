"""After the loop has settled nothing is written, by nobody."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from kill_moments import begin
from operating import Up, operator
from tiny import MODEL

from reconciler.cli.kinds import KINDS
from reconciler.cli.session import Session
from reconciler.engine import conditions
from reconciler.generations.resource import Model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

QUIET_SECONDS = 25.0
"""More than twice the longest interval that the tiny configuration has."""

MEMORY_BYTES = 150e6


def versions(session: Session) -> dict[str, str]:
    """resourceVersion of everything that there is."""
    kinds = [("reconciler.dev/v1alpha1", k.definition.kind) for k in KINDS]
    kinds += [
        ("v1", "Namespace"),
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("events.k8s.io/v1", "Event"),
        ("coordination.k8s.io/v1", "Lease"),
    ]
    found = {}
    for version, kind in kinds:
        for item in session.run(session.client.list(version, kind)):
            meta = item["metadata"]
            key = f"{kind}/{meta.get('namespace')}/{meta['name']}"
            found[key] = meta["resourceVersion"]
    return found


def settled(session: Session) -> Any:
    model = session.find(Model, "default", MODEL)
    if model is None or model.status.promotion is None:
        return None
    recorded = model.status.promotion.state == "Recorded"
    ready = conditions.is_true(
        model.status.conditions, "Ready", model.metadata.generation
    )
    return model if recorded and ready else None


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """An `up` that was just given its repository, for all tests here."""
    root = tmp_path_factory.mktemp("steady")
    with operator(root) as up:
        begin(up, root)
        yield up


@pytest.fixture
def kubectl(running: Up) -> Callable[..., str]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")

    def ask(*words: str) -> str:
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={running.state.kubeconfig}", *words],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr + running.tail()
        return done.stdout

    return ask


WAIT = ("wait", "--for=condition=Ready", f"mdl/{MODEL}", "--timeout=230s")


def test_waiting_for_the_model_works_with_kubectl(
    running: Up, kubectl: Callable[..., str]
) -> None:
    with running.session() as session:
        running.until(
            lambda: session.find(Model, "default", MODEL), 30.0, "the model"
        )
    assert "condition met" in kubectl(*WAIT)


def test_a_steady_state_writes_nothing_and_is_small(running: Up) -> None:
    up = running
    with up.session() as session:
        up.until(lambda: settled(session), 240.0, "settled model")
        last = versions(session)

        def unchanged() -> bool:
            nonlocal last
            before, last = last, versions(session)
            time.sleep(1.0)
            return before == last

        up.until(unchanged, 30.0, "quiet")
        before = versions(session)
        process = psutil.Process(up.pid)
        cpu = sum(process.cpu_times()[:2])
        time.sleep(QUIET_SECONDS)
        assert versions(session) == before
        used = sum(process.cpu_times()[:2]) - cpu
        memory = process.memory_info().rss
    print(
        f"idle: {100 * used / QUIET_SECONDS:.1f} % CPU, {memory / 1e6:.0f} MB"
    )
    assert memory < MEMORY_BYTES


def test_right_after_a_change_kubectl_waits_for_the_controllers(
    running: Up, kubectl: Callable[..., str]
) -> None:
    kubectl(*WAIT)
    patch = '{"spec":{"promotion":{"mode":"Manual"}}}'
    kubectl("patch", "mdl", MODEL, "--type=merge", "-p", patch)
    kubectl(*WAIT)
    with running.session() as session:
        model = session.find(Model, "default", MODEL)
    ready = conditions.find(model.status.conditions, "Ready")
    assert ready.observed_generation == model.metadata.generation
    table = kubectl("get", "reconciler")
    assert f"{MODEL}-1" in table
    assert "LINEAGE" in table
    assert "Deploy" in kubectl("describe", "mdl", MODEL), "events are shown"
