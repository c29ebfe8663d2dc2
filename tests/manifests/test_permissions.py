"""Both roles under exactly the rules of the manifests: enough, none too many.

Every decision of the API server is recorded while the two roles reconcile
objects of every kind. No request may have been refused, and each rule, taken
away for itself, would have had one refused.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from cluster import NAMESPACE, Cluster, rendered, until

from reconciler.cli.kinds import KINDS
from reconciler.controlplane.access.identity import User
from reconciler.controlplane.access.policy import Policy, compile_policy
from reconciler.controlplane.access.rules import Request
from reconciler.controlplane.errors import ApiError
from reconciler.controlplane.thread import ControlPlaneThread
from reconciler.feedback import EmbeddedServer

ACCOUNTS = {
    f"system:serviceaccount:{NAMESPACE}:reconciler-{role}": role
    for role in ("controller", "node")
}
GROUP = "reconciler.dev"
Json = dict[str, Any]

OBJECTS = {
    "storage": ("DatasetLayout", {"datasets": [{"name": "tiny"}]}),
    "feedback": (
        "FeedbackStore",
        {
            "engine": "External",
            "connection": {"secretRef": {"name": "database"}},
        },
    ),
    "suite": (
        "EvaluationSuite",
        {
            "data": {"corpus": "python-docstrings", "samples": 60},
            "primary": {"name": "house-style"},
        },
    ),
    "model": (
        "Model",
        {
            "architecture": {
                "vocabularySize": 512,
                "hiddenSize": 32,
                "layers": 1,
                "heads": 2,
                "contextLength": 96,
            },
            "suiteRef": {"name": "suite"},
            "storage": {"layoutRef": {"name": "storage"}, "dataset": "tiny"},
        },
    ),
    "schedule": (
        "TrainingSchedule",
        {
            "modelRef": {"name": "model"},
            "learnFrom": {"storeRef": {"name": "feedback"}, "minRows": 1000},
            "bootstrap": {
                "algorithm": "SFT",
                "data": {"corpus": {"name": "python-docstrings"}},
                "training": {"steps": 2, "batchSize": 1},
            },
            "template": {
                "algorithm": "DPO",
                "data": {"feedback": {"storeRef": {"name": "feedback"}}},
            },
        },
    ),
    "generation": (
        "ModelGeneration",
        {
            "modelRef": {"name": "model"},
            "parentRef": {"name": "nobody"},
            "number": 7,
            "algorithm": "SFT",
            "data": {"corpus": {"name": "python-docstrings"}},
            "training": {"steps": 2, "batchSize": 1},
            "suiteRef": {"name": "suite"},
        },
    ),
    "index": (
        "VectorIndex",
        {
            "source": {"feedbackStoreRef": {"name": "feedback"}},
            "embedder": {"type": "Hashing"},
            "interval": "1s",
        },
    ),
    "alert": (
        "Alert",
        {
            "provider": {"type": "generic", "address": "http://127.0.0.1:1"},
            "eventSources": [{"kind": "*"}],
        },
    ),
    "other": (
        "ConfigRepository",
        {"suspend": True, "directory": {"path": "/nowhere"}},
    ),
}
"""One object of each kind, as a config repository would hold it."""


@dataclass(frozen=True)
class Asked:
    """A request that was judged."""

    user: User
    request: Request
    allowed: bool


class Record:
    """Decisions of a control plane in this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._asked: dict[tuple[str, Request, bool], Asked] = {}
        self._conflicts = {"datasetlayouts", "models", "vectorindexes"}
        self.judge = Policy.decide

    def decide(self, policy: Policy, user: User, request: Request) -> Any:
        found = self.judge(policy, user, request)
        if user.name in ACCOUNTS:
            with self._lock:
                asked = Asked(user, request, found.allowed)
                self._asked[user.name, request, found.allowed] = asked
                self._conflict_once(user, request)
        return found

    def _conflict_once(self, user: User, request: Request) -> None:
        """Refuse the node's first write: somebody else was faster.

        It reads the object again, which nothing else makes it do.
        """
        if ACCOUNTS[user.name] != "node" or request.verb != "patch":
            return
        if request.resource in self._conflicts and not request.subresource:
            self._conflicts.remove(request.resource)
            raise ApiError(409, "Conflict", "somebody else was faster")

    def all(self) -> list[Asked]:
        with self._lock:
            return list(self._asked.values())

    def seen(self, **wanted: str) -> bool:
        return any(
            all(getattr(a.request, k) == v for k, v in wanted.items())
            for a in self.all()
        )


@pytest.fixture
def record(monkeypatch):
    record = Record()

    def decide(policy: Policy, user: User, request: Request) -> Any:
        return record.decide(policy, user, request)

    monkeypatch.setattr(Policy, "decide", decide)
    return record


def body(name: str) -> Json:
    kind, spec = OBJECTS[name]
    return {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def read_by_node(record: Record, resource: str) -> bool:
    return any(
        ACCOUNTS[asked.user.name] == "node"
        and (asked.request.verb, asked.request.resource) == ("get", resource)
        for asked in record.all()
    )


@pytest.fixture
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database for the feedback store, so that it has rows to index."""
    postgres = EmbeddedServer(tmp_path_factory.mktemp("pg"))
    yield postgres.ensure("feedback")
    postgres.stop()


def drive(
    cluster: Cluster, operators: Any, root: Path, record: Record, dsn: str
) -> None:
    """Have both roles do everything that they ever do to the API server."""
    cluster.install()
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "database", "namespace": NAMESPACE},
            "data": {"dsn": base64.b64encode(dsn.encode()).decode()},
        }
    )
    config, artifacts = root / "config", root / "artifacts"
    config.mkdir()
    for name in OBJECTS:
        (config / f"{name}.yaml").write_text(json.dumps(body(name)))
    arguments = ("--artifacts", str(artifacts))
    operators(
        cluster.account("reconciler-controller"),
        root / "controller",
        *("--roles", "controller", "--leader-elect"),
        *("--lease-namespace", NAMESPACE, *arguments),
    ).ready()
    operators(
        cluster.account("reconciler-node"),
        root / "node",
        *("--roles", "node", *arguments),
    ).ready()
    repository = {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "ConfigRepository",
        "metadata": {"name": "fleet", "namespace": NAMESPACE},
        "spec": {
            "targetNamespace": NAMESPACE,
            "directory": {"path": str(config)},
            "prune": True,
            "interval": "1s",
            "postBuild": {
                "substituteFrom": [
                    {"kind": "ConfigMap", "name": "v", "optional": True}
                ]
            },
        },
    }
    cluster.apply(repository)
    for name, (kind, _) in OBJECTS.items():
        until(
            lambda n=name, k=kind: reported(cluster, k, n),
            f"{kind} {name}",
        )
    until(lambda: len(cluster.objects("modelgenerations")) > 1, "a generation")
    until(
        lambda: record.seen(verb="get", resource="models"),
        "a second look at the model",
    )
    until(lambda: record.seen(verb="patch", resource="leases"), "a renewal")
    until(lambda: read_by_node(record, "secrets"), "rows for the index")
    for name in OBJECTS:
        (config / f"{name}.yaml").unlink()
    kept = body("suite") | {
        "metadata": {"name": "kept", "namespace": NAMESPACE}
    }
    (config / "kept.yaml").write_text(json.dumps(kept))
    for kind, _ in OBJECTS.values():
        plural = next(
            known.definition.plural
            for known in KINDS
            if known.definition.kind == kind
        )
        until(
            lambda p=plural: (
                approved(cluster) and record.seen(verb="delete", resource=p)
            ),
            f"deletion of {plural}",
        )


def approved(cluster: Cluster) -> bool:
    """Approve the prune that waits: data sets and feedback are among it."""
    fleet = next(
        item
        for item in cluster.objects("configrepositories")
        if item["metadata"]["name"] == "fleet"
    )
    waiting = fleet.get("status", {}).get("pendingPrune")
    if waiting:
        cluster.kubectl(
            *("annotate", "repo", "fleet", "-n", NAMESPACE, "--overwrite"),
            f"{GROUP}/approved={waiting['token']}",
        )
    return True


def reported(cluster: Cluster, kind: str, name: str) -> bool:
    return any(
        item["metadata"]["name"] == name and item.get("status")
        for item in cluster.objects(kind)
    )


def roles_of_the_manifests() -> list[Json]:
    bound = {"reconciler-view", "reconciler-edit", "reconciler-gitops"}
    return [
        item
        for item in rendered("manifests")
        if item["kind"] in {"Role", "ClusterRole"}
        and item["metadata"]["name"] not in bound
    ]


def policy(roles: list[Json], plane: ControlPlaneThread) -> Policy:
    """The policy of these roles and of what every control plane has."""
    ours = {r["metadata"]["name"] for r in roles}
    cluster = plane._plane._cluster
    assert cluster is not None
    store = cluster.store
    found: dict[str, list[Json]] = {}
    for plural in ("roles", "clusterroles", "rolebindings"):
        found[plural] = stored(store, plural)
    found["clusterrolebindings"] = stored(store, "clusterrolebindings")
    for plural in ("roles", "clusterroles"):
        found[plural] = [
            r for r in found[plural] if r["metadata"]["name"] not in ours
        ]
        kind = "Role" if plural == "roles" else "ClusterRole"
        found[plural] += [r for r in roles if r["kind"] == kind]
    return compile_policy(
        found["roles"],
        found["clusterroles"],
        found["rolebindings"],
        found["clusterrolebindings"],
    )


def stored(store: Any, plural: str) -> list[Json]:
    page = store.read.page(f"rbac.authorization.k8s.io/{plural}", None)
    return [item.object() for item in page.items]


def smaller(roles: list[Json]) -> Iterator[tuple[str, list[Json]]]:
    """Every way to leave out one verb on one resource of one rule."""
    for number, role in enumerate(roles):
        for index, rule in enumerate(role["rules"]):
            for resource, verb in product(rule["resources"], rule["verbs"]):
                changed = deepcopy(roles)
                rules = changed[number]["rules"]
                others = [r for r in rule["resources"] if r != resource]
                verbs = [v for v in rule["verbs"] if v != verb]
                rules[index : index + 1] = [
                    rule | {"resources": others},
                    rule | {"resources": [resource], "verbs": verbs},
                ]
                yield f"{role['metadata']['name']}: {verb} {resource}", changed


@pytest.mark.slow
def test_the_rules_are_enough_and_none_is_too_many(
    plane, cluster, operators, tmp_path, record, dsn
):
    drive(cluster, operators, tmp_path, record, dsn)
    asked = record.all()
    assert [a for a in asked if not a.allowed] == []
    roles = roles_of_the_manifests()
    whole = policy(roles, plane)
    assert all(record.judge(whole, a.user, a.request).allowed for a in asked)
    idle = [
        what
        for what, changed in smaller(roles)
        if (less := policy(changed, plane))
        and all(record.judge(less, a.user, a.request).allowed for a in asked)
    ]
    assert idle == []
