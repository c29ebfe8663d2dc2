"""After the loop has settled nothing is written, by nobody."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from operating import Up
from tiny import MODEL, make_repository, repository_object

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


def test_a_steady_state_writes_nothing_and_is_small(
    up: Up, tmp_path: Path
) -> None:
    repository = make_repository(tmp_path / "config")
    up.start()
    with up.session() as session:
        session.run(session.client.apply(repository_object(repository)))
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


def test_waiting_for_the_model_works_with_kubectl(up: Up, tmp_path) -> None:
    import shutil
    import subprocess

    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    repository = make_repository(tmp_path / "config")
    up.start()
    with up.session() as session:
        session.run(session.client.apply(repository_object(repository)))
        up.until(
            lambda: session.find(Model, "default", MODEL), 30.0, "the model"
        )

        def kubectl(*words: str, seconds: float = 240.0) -> str:
            done = subprocess.run(
                ["kubectl", "--kubeconfig", str(up.state.kubeconfig), *words],
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
            assert done.returncode == 0, done.stderr + up.tail()
            return done.stdout

        wait = ("wait", "--for=condition=Ready", f"mdl/{MODEL}")
        assert "condition met" in kubectl(*wait, "--timeout=230s")
        # Right after a change it waits for the controllers to have seen it.
        patch = '{"spec":{"promotion":{"mode":"Manual"}}}'
        kubectl("patch", "mdl", MODEL, "--type=merge", "-p", patch)
        kubectl(*wait, "--timeout=60s")
        model = session.find(Model, "default", MODEL)
        ready = conditions.find(model.status.conditions, "Ready")
        assert ready.observed_generation == model.metadata.generation
        table = kubectl("get", "reconciler")
        assert f"{MODEL}-1" in table
        assert "LINEAGE" in table
        described = kubectl("describe", "mdl", MODEL)
        assert "Deploy" in described, "events are shown"
