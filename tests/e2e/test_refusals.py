"""An invalid object of each kind is refused with the path of the field."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from reconciler.cli.kinds import KINDS
from reconciler.controlplane.thread import ControlPlaneThread
from reconciler.engine.client import KubeClient
from reconciler.engine.crd import render_crd
from reconciler.engine.credentials import ClientSettings
from reconciler.engine.errors import InvalidError

TEMPLATE = {
    "algorithm": "SFT",
    "data": {"corpus": {"name": "python-docstrings"}},
}
VALID: dict[str, dict[str, Any]] = {
    "ConfigRepository": {"git": {"url": "https://git.example/x.git"}},
    "DatasetLayout": {"datasets": [{"name": "a"}]},
    "EvaluationSuite": {
        "data": {"corpus": "python-docstrings"},
        "primary": {"name": "house-style"},
    },
    "FeedbackStore": {"engine": "Embedded"},
    "Model": {
        "suiteRef": {"name": "s"},
        "storage": {"layoutRef": {"name": "l"}, "dataset": "a"},
    },
    "TrainingSchedule": {
        "modelRef": {"name": "m"},
        "learnFrom": {"storeRef": {"name": "f"}},
        "bootstrap": TEMPLATE,
        "template": TEMPLATE,
    },
    "ModelGeneration": {
        "modelRef": {"name": "m"},
        "number": 1,
        "suiteRef": {"name": "s"},
        "architecture": {},
        **TEMPLATE,
    },
    "VectorIndex": {"source": {"directory": {"path": "/srv/handbook"}}},
    "Alert": {
        "provider": {"type": "slack", "secretRef": {"name": "chat"}},
        "eventSources": [{"kind": "Model"}],
    },
}
INVALID = [
    ("ConfigRepository", ("git", "url"), "ftp://x", "spec.git.url"),
    ("ConfigRepository", ("interval",), "soon", "spec.interval"),
    ("ConfigRepository", ("directory",), {"path": "/x"}, "exactly one of"),
    ("DatasetLayout", ("datasets",), [], "spec.datasets"),
    ("DatasetLayout", ("datasets", 0, "name"), "A_B", "spec.datasets[0].name"),
    ("EvaluationSuite", ("primary", "name"), "vibes", "spec.primary.name"),
    (
        "EvaluationSuite",
        ("guardrails",),
        [{"name": "chrf"}],
        "every guardrail needs maxDrop",
    ),
    ("FeedbackStore", ("engine",), "SQLite", "spec.engine"),
    ("FeedbackStore", ("engine",), "External", "connection is required"),
    ("FeedbackStore", ("rewards",), {"thumbsUp": "big"}, "rewards.thumbsUp"),
    ("Model", ("suiteRef",), None, "spec.suiteRef"),
    ("Model", ("architecture",), {"layers": 0}, "spec.architecture.layers"),
    (
        "TrainingSchedule",
        ("windows",),
        [{"start": "25:00"}],
        "spec.windows[0]",
    ),
    (
        "TrainingSchedule",
        ("template", "data"),
        {},
        "exactly one of corpus and feedback",
    ),
    ("ModelGeneration", ("algorithm",), "MAGIC", "spec.algorithm"),
    ("ModelGeneration", ("number",), "one", "spec.number"),
    ("ModelGeneration", ("architecture",), None, "exactly one of parentRef"),
    ("VectorIndex", ("source",), {}, "exactly one of"),
    ("VectorIndex", ("metric",), "far", "spec.metric"),
    ("Alert", ("provider", "type"), "smoke", "spec.provider.type"),
    ("Alert", ("eventSources",), [], "spec.eventSources"),
]


def made(kind: str, spec: dict[str, Any], name: str = "x") -> dict[str, Any]:
    return {
        "apiVersion": "reconciler.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def changed(spec: Any, path: tuple[Any, ...], value: Any) -> Any:
    spec = copy.deepcopy(spec)
    place = spec
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return spec


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory):
    state = tmp_path_factory.mktemp("plane")
    plane = ControlPlaneThread(state, kubeconfig=state / "kubeconfig")
    plane.start()
    yield state / "kubeconfig"
    plane.stop()


@pytest.fixture
async def client(kubeconfig):
    client = KubeClient(ClientSettings(kubeconfig=kubeconfig))
    await client.open()
    for kind in KINDS:
        await client.apply(render_crd(kind))
    yield client
    await client.close()


def test_no_kind_is_left_out() -> None:
    assert set(VALID) == {kind.definition.kind for kind in KINDS}


@pytest.mark.parametrize("kind", VALID)
async def test_the_valid_one_is_accepted(client, kind: str) -> None:
    body = made(kind, VALID[kind])
    applied = await client.apply(body, dry_run=True)
    assert applied["kind"] == kind


@pytest.mark.parametrize(("kind", "path", "value", "said"), INVALID)
async def test_refused_with_the_path(client, kind, path, value, said) -> None:
    body = made(kind, changed(VALID[kind], path, value))
    with pytest.raises(InvalidError) as refused:
        await client.apply(body, dry_run=True)
    assert said in str(refused.value)


async def test_a_generation_cannot_be_changed(client) -> None:
    body = made("ModelGeneration", VALID["ModelGeneration"], "immutable")
    await client.apply(body)
    body["spec"] = {**VALID["ModelGeneration"], "seed": 2}
    with pytest.raises(InvalidError, match="spec is immutable"):
        await client.apply(body)


async def test_statuses_say_that_nobody_has_looked_yet(client) -> None:
    for kind, spec in VALID.items():
        applied = await client.apply(made(kind, spec, "fresh"))
        assert applied["status"] == {"observedGeneration": -1}, kind
