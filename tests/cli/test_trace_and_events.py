"""Where an object comes from, and what happened to it."""

from __future__ import annotations

import json

import pytest
from ruamel.yaml import YAML

from reconciler.cli.kinds import KINDS
from reconciler.cli.main import main
from reconciler.cli.session import Session
from reconciler.controlplane.thread import ControlPlaneThread
from reconciler.engine.crd import render_crd
from reconciler.engine.paths import StateDirectory

API = "reconciler.dev/v1alpha1"


def repository(name, **spec):
    return {
        "apiVersion": API,
        "kind": "ConfigRepository",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def store(name, owner=None):
    meta = {"name": name, "namespace": "default"}
    if owner:
        meta["ownerReferences"] = [owner]
    return {
        "apiVersion": API,
        "kind": "FeedbackStore",
        "metadata": meta,
        "spec": {},
    }


def event(name, about, seconds, kind="FeedbackStore", api=API, **more):
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "default"},
        "eventTime": f"2026-01-01T00:00:{seconds:02}.000000Z",
        "type": "Normal",
        "reason": "Looked",
        "note": f"{name} of\n{about}",
        "action": "Look",
        "reportingController": "test/x",
        "reportingInstance": "here",
        "regarding": {
            "apiVersion": api,
            "kind": kind,
            "name": about,
            "namespace": "default",
        },
        **more,
    }


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    state = StateDirectory(tmp_path_factory.mktemp("state"))
    plane = ControlPlaneThread(state.controlplane, kubeconfig=state.kubeconfig)
    plane.start()
    with Session(state.kubeconfig) as session:
        run, client = session.run, session.client
        for kind in KINDS:
            run(client.apply(render_crd(kind)))
        git = {"url": "https://example.com/fleet.git", "ref": {"branch": "m"}}
        run(client.apply(repository("fleet", git=git, path="models")))
        run(
            client.merge_patch(
                *(API, "ConfigRepository", "default", "fleet"),
                {
                    "status": {
                        "observedGeneration": 1,
                        "conditions": [
                            {
                                "type": "Ready",
                                "status": "True",
                                "reason": "ReconciliationSucceeded",
                                "message": "applied",
                                "lastTransitionTime": "2026-01-01T00:00:00Z",
                                "observedGeneration": 1,
                            }
                        ],
                        "lastAppliedRevision": "m@sha1:1",
                        "lastAttemptedRevision": "m@sha1:2",
                        "inventory": [
                            {
                                "id": "default_top_reconciler.dev_"
                                "FeedbackStore",
                                "v": "v1alpha1",
                            }
                        ],
                    }
                },
                subresource="status",
            )
        )
        top = run(client.apply(store("top")))
        owner = {
            "apiVersion": API,
            "kind": "FeedbackStore",
            "name": "top",
            "uid": top["metadata"]["uid"],
        }
        run(client.apply(store("below", owner)))
        run(client.apply(store("alone")))
        series = {
            "count": 3,
            "lastObservedTime": "2026-01-01T00:00:50.000000Z",
        }
        for body in (
            event("second", "top", 20),
            event("first", "below", 10, type="Warning"),
            event("last", "top", 5, series=series),
            event("foreign", "top", 1, api="v1"),
            event("other", "fleet", 30, kind="ConfigRepository"),
        ):
            run(client.create(body))
    yield state
    plane.stop()


@pytest.fixture
def reconciler(state, capsys):
    def call(*words):
        code = main(["--state", str(state.root), *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_an_object_is_traced_through_its_owner_to_the_revision(reconciler):
    code, out, _ = reconciler("trace", "fb/below")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == [
        *("Object", "Owned by", "Repository", "Source", "Path"),
        *("Applied", "Attempted"),
    ]
    assert "feedbackstore/top (default)" in out
    assert "https://example.com/fleet.git branch m" in out
    assert "m@sha1:1" in out
    assert "ReconciliationSucceeded: applied" in out


def test_what_was_applied_by_hand_is_told(reconciler):
    code, out, _ = reconciler("trace", "fb", "alone")
    assert code == 1
    assert "none: it was applied by hand" in out


def test_a_trace_as_data(reconciler):
    _, out, _ = reconciler("trace", "fb", "below", "-o", "json")
    facts = json.loads(out)
    assert facts["owners"][0]["name"] == "top"
    assert facts["repository"]["lastAppliedRevision"] == "m@sha1:1"
    _, out, _ = reconciler("trace", "fb", "below", "-o", "yaml")
    assert YAML(typ="safe").load(out) == facts


def test_a_trace_needs_an_object(reconciler):
    code, _, error = reconciler("trace", "fb")
    assert (code, error) == (2, "error: which fb? trace needs a name\n")
    code, _, error = reconciler("trace", "fb", "absent")
    assert code == 1
    assert "does not exist" in error


def test_events_are_those_of_our_objects_newest_last(reconciler):
    code, out, _ = reconciler("events")
    assert code == 0
    header, *rows = out.splitlines()
    assert header.split()[:2] == ["LAST", "SEEN"]
    messages = [row.split("   ")[-1].strip() for row in rows]
    assert messages == [
        "first of below",
        "second of top",
        "other of fleet",
        "last of top",
    ]
    assert rows[-1].split()[-4] == "3"


def test_events_of_one_object_and_warnings_only(reconciler):
    _, out, _ = reconciler("events", "fb/top", "-o", "json")
    names = [e["metadata"]["name"] for e in json.loads(out)["items"]]
    assert names == ["second", "last"]
    _, out, _ = reconciler("events", "--warnings", "-o", "yaml")
    items = YAML(typ="safe").load(out)["items"]
    assert [e["metadata"]["name"] for e in items] == ["first"]
    code, _, error = reconciler("events", "fb/alone")
    assert code == 0
    assert "No events found in default namespace." in error
