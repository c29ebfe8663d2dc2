"""What Prometheus is told of sources, of what was applied, and of commits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.metrics import Fetch, GitOpsMetrics, stored_bytes
from reconciler.gitops.promotion import Promotion

MODEL = """\
apiVersion: reconciler.dev/v1alpha1
kind: Model
metadata: {name: docs}
spec:
  suiteRef: {name: suite}
"""


def samples(metrics: GitOpsMetrics) -> dict[tuple[str, str], float]:
    """Values by name and by the label that is not the object's."""
    found = {}
    for family in metrics.collect():
        for sample in family.samples:
            if sample.name.endswith(("_bucket", "_created")):
                continue
            labels = dict(sample.labels)
            where = labels.pop("namespace"), labels.pop("name")
            assert where == ("default", "fleet")
            value = "".join(labels.values())
            found[sample.name.removeprefix("reconciler_"), value] = (
                sample.value
            )
    return found


async def test_fetches_are_timed_and_measured(
    engine: Any, remote: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a", x=os.urandom(9000).hex())})
    await engine.settle()
    metrics = engine.controller.metrics
    first = samples(metrics)
    assert first["fetch_duration_seconds_count", "fetched"] == 1
    assert first["fetch_duration_seconds_sum", "fetched"] > 0
    assert first["fetched_bytes_total", ""] > 9000
    engine.wait()
    await engine.settle()
    second = samples(metrics)
    assert second["fetch_duration_seconds_count", "unchanged"] == 1
    key = ("fetched_bytes_total", "")
    assert second[key] == first[key]
    remote.work.rename(remote.work.with_name("away"))
    engine.wait()
    await engine.settle()
    failed = samples(metrics)["fetch_duration_seconds_count", "failed"]
    assert failed == 1


async def test_what_was_applied_is_counted(
    engine: Any, remote: Any, make_config_map: Any
) -> None:
    files = {f"{n}.yaml": make_config_map(n, x="1") for n in "ab"}
    remote.commit(files)
    await engine.settle()
    remote.commit({"a.yaml": make_config_map("a", x="2"), "b.yaml": None})
    engine.wait()
    await engine.settle()
    found = samples(engine.controller.metrics)
    counted = {k[1]: v for k, v in found.items() if k[0].startswith("applied")}
    assert counted == {"created": 2, "configured": 1, "pruned": 1}


@pytest.mark.parametrize(
    ("branch", "outcome"), [(None, "committed"), ("p", "proposed")]
)
async def test_write_backs_are_counted(
    make_engine: Any,
    make_remote: Any,
    tmp_path: Path,
    branch: str | None,
    outcome: str,
) -> None:
    remote = make_remote(tmp_path / "r", bare=True)
    settings: dict[str, Any] = {"enabled": True}
    if branch:
        settings["push"] = {"branch": branch}
    engine = make_engine({"git": {"url": remote.url}, "writeBack": settings})
    remote.commit({"docs.yaml": MODEL})
    engine.promotions = lambda *_: [Promotion("default", "docs", "docs-2")]
    hook = remote.home / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    await engine.settle()
    hook.unlink()
    engine.wait()
    await engine.settle()
    found = samples(engine.controller.metrics)
    counted = {k[1]: v for k, v in found.items() if k[0].startswith("write")}
    assert counted == {"failed": 1, outcome: 1}


async def test_the_series_of_a_repository_end_with_it(
    engine: Any, remote: Any, make_config_map: Any
) -> None:
    remote.commit({"a.yaml": make_config_map("a")})
    await engine.settle()
    assert samples(engine.controller.metrics)
    engine.raw["metadata"]["name"] = "another"
    engine.raw["spec"]["suspend"] = True
    await engine.step()
    assert samples(engine.controller.metrics) == {}
    assert len(engine.controller._memories) == 1


def test_metrics_of_many_are_apart() -> None:
    metrics = GitOpsMetrics()
    for name in ("fleet", "other"):
        metrics.fetched("default", name, Fetch("fetched", 1.0, 10))
        metrics.written("default", name, "committed")
        metrics.applied("default", name, "created", 3)
    metrics.forget("default", "other")
    assert samples(metrics)["applied_objects_total", "created"] == 3


def test_the_size_of_a_mirror(tmp_path: Path) -> None:
    assert stored_bytes(tmp_path / "absent") == 0
    (tmp_path / "objects" / "ab").mkdir(parents=True)
    (tmp_path / "objects" / "ab" / "cd").write_bytes(b"x" * 7)
    (tmp_path / "objects" / "pack").write_bytes(b"y" * 5)
    (tmp_path / "elsewhere").write_bytes(b"z" * 100)
    assert stored_bytes(tmp_path) == 12
