"""Receivers on the loopback, and the objects around an Alert."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from reconciler.gitops.resource import ConfigRepository
from reconciler.notifications.resource import Alert
from tests.notifications.receivers import Receivers

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SHA = "ab" * 20


def alert(**spec: Any) -> Alert:
    status = spec.pop("status", {})
    given = {
        "provider": {"type": "generic", "address": "http://127.0.0.1/hook"},
        "eventSources": [{"kind": "*"}],
        **spec,
    }
    meta = {
        "name": "team",
        "namespace": "default",
        "uid": "uid-alert",
        "generation": 1,
        "creationTimestamp": "2026-11-25T00:00:00Z",
    }
    return Alert.parse({"metadata": meta, "spec": given, "status": status})


def event(name: str = "fleet", minute: int = 0, **more: Any) -> dict[str, Any]:
    """An event about an object of ours, at 11:MM."""
    about = {
        "apiVersion": "reconciler.dev/v1alpha1",
        "kind": more.pop("kind", "ConfigRepository"),
        "namespace": "default",
        "name": name,
        "uid": f"uid-{name}",
    }
    revision = more.pop("revision", "")
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{name}.1",
            "annotations": {"reconciler.dev/revision": revision},
        },
        "eventTime": f"2026-11-25T11:{minute:02}:00.000000Z",
        "type": "Normal",
        "reason": "Applied",
        "note": "1 created",
        "regarding": about,
        "reportingController": "reconciler.dev/controller",
        "reportingInstance": "here",
        **more,
    }


def repository(
    name: str = "fleet", reason: str = "ReconciliationSucceeded", **more: Any
) -> ConfigRepository:
    """A repository that looked at the commit SHA."""
    ready = "True" if reason == "ReconciliationSucceeded" else "False"
    revision = f"main@sha1:{more.pop('sha', SHA)}"
    applied = revision if ready == "True" else "main@sha1:" + "0" * 40
    url = more.pop("url", "https://git.example.org/team/models.git")
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": reason,
        "message": more.pop("message", "that is so"),
        "lastTransitionTime": "2026-11-25T11:00:00Z",
    }
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    return ConfigRepository.parse(
        {
            "metadata": meta,
            "spec": {"git": {"url": url}, **more},
            "status": {
                "conditions": [condition],
                "lastAttemptedRevision": revision,
                "lastAppliedRevision": applied,
            },
        }
    )


def secret(**values: str) -> dict[str, Any]:
    coded = {
        k.replace("_", "."): base64.b64encode(v.encode()).decode()
        for k, v in values.items()
    }
    return {"metadata": {"name": "s"}, "data": coded}


@pytest.fixture
def receivers() -> Receivers:
    return Receivers()


@pytest.fixture
async def server(receivers: Receivers) -> AsyncIterator[TestServer]:
    found = TestServer(receivers.app())
    await found.start_server()
    yield found
    await found.close()


@pytest.fixture
def base(server: TestServer) -> str:
    return f"http://127.0.0.1:{server.port}"
