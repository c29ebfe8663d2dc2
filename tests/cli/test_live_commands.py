"""Commands against a real (embedded) API server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reconciler.cli.kinds import KINDS
from reconciler.cli.main import main
from reconciler.cli.session import Session
from reconciler.controlplane.thread import ControlPlaneThread
from reconciler.engine.crd import render_crd
from reconciler.engine.paths import StateDirectory

STORE = """\
apiVersion: reconciler.dev/v1alpha1
kind: FeedbackStore
metadata:
  name: opinions
spec:
  interval: 10s
"""
CONFIGURATION = {
    "apiVersion": "reconciler.dev/v1alpha1",
    "kind": "ConfigRepository",
    "metadata": {"name": "config", "namespace": "default"},
    "spec": {"directory": {"path": "/nowhere"}, "targetNamespace": "team"},
}
IGNORING = {
    "apiVersion": "reconciler.dev/v1alpha1",
    "kind": "ConfigRepository",
    "metadata": {"name": "ignoring", "namespace": "default"},
    "spec": {
        "directory": {"path": "/nowhere"},
        "ignore": [{"paths": ["/spec/interval"]}],
        "commonMetadata": {"labels": {"owner": "ada"}},
        "postBuild": {"substitute": {"NAME": "opinions"}},
    },
}


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    state = StateDirectory(tmp_path_factory.mktemp("state"))
    plane = ControlPlaneThread(state.controlplane, kubeconfig=state.kubeconfig)
    plane.start()
    with Session(state.kubeconfig) as session:
        for kind in KINDS:
            session.run(session.client.apply(render_crd(kind)))
        body = YAML(typ="safe").load(STORE)
        body["metadata"]["namespace"] = "default"
        session.run(session.client.apply(body))
        session.run(session.client.apply(CONFIGURATION))
        session.run(session.client.apply(IGNORING))
    yield state
    plane.stop()


@pytest.fixture
def reconciler(state, capsys):
    def call(*words: str) -> tuple[int, str, str]:
        code = main(["--state", str(state.root), *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def live(state: StateDirectory, kind: str, name: str) -> dict[str, Any]:
    with Session(state.kubeconfig) as session:
        return session.get(kind, "default", name)


def test_get_prints_the_servers_columns(reconciler) -> None:
    code, out, _ = reconciler("get", "fb")
    assert code == 0
    header, row = out.splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "ROWS", "LAST", "AGE"]
    assert row.split()[0] == "opinions"


def test_get_everything_names_the_kinds(reconciler) -> None:
    code, out, _ = reconciler("get")
    assert code == 0
    assert "feedbackstore.reconciler.dev/opinions" in out
    assert "configrepository.reconciler.dev/config" in out


@pytest.mark.parametrize("words", [["fb", "opinions"], ["fb/opinions"]])
def test_get_one(reconciler, words) -> None:
    code, out, _ = reconciler("get", *words, "-o", "yaml")
    assert code == 0
    found = YAML(typ="safe").load(out)
    assert found["spec"]["interval"] == "10s"
    assert "managedFields" not in found["metadata"]


def test_get_as_json_and_names(reconciler) -> None:
    _, out, _ = reconciler("get", "fb", "-o", "json")
    assert json.loads(out)["items"][0]["metadata"]["name"] == "opinions"
    _, out, _ = reconciler("get", "fb", "-o", "name")
    assert out == "feedbackstore.reconciler.dev/opinions\n"


def test_nothing_there_is_said_and_no_error(reconciler) -> None:
    code, out, err = reconciler("get", "mdl")
    assert (code, out) == (0, "")
    assert err == "No resources found in default namespace.\n"


def test_a_name_that_does_not_exist_is_an_error(reconciler) -> None:
    code, _, err = reconciler("get", "fb", "absent", "-o", "yaml")
    assert code == 1
    assert "FeedbackStore absent does not exist" in err


def test_suspend_and_resume(reconciler, state) -> None:
    assert reconciler("suspend", "fb", "opinions")[0] == 0
    assert live(state, "FeedbackStore", "opinions")["spec"]["suspend"] is True
    code, out, _ = reconciler("resume", "fb", "opinions")
    assert (code, out) == (0, "feedbackstore/opinions resumed\n")
    assert live(state, "FeedbackStore", "opinions")["spec"]["suspend"] is False


def test_what_cannot_be_suspended_is_refused(reconciler) -> None:
    code, _, err = reconciler("suspend", "suite", "x")
    assert code == 2
    assert "EvaluationSuite has no spec.suspend" in err


def test_reconcile_says_that_nobody_listens(reconciler, state) -> None:
    code, _, err = reconciler(
        "reconcile", "fb", "opinions", "--timeout", "0.5"
    )
    assert code == 1
    assert "no controller handled the request within 0.5 s" in err
    annotations = live(state, "FeedbackStore", "opinions")["metadata"][
        "annotations"
    ]
    assert "reconciler.dev/requested-at" in annotations


def test_reconcile_needs_a_name(reconciler) -> None:
    code, _, err = reconciler("reconcile", "fb")
    assert code == 2
    assert "reconciler reconcile fb NAME" in err


def test_tree_shows_what_belongs_to_nobody(reconciler) -> None:
    code, out, _ = reconciler("tree")
    assert code == 0
    assert "FeedbackStore/opinions" in out
    assert "ConfigRepository/config" in out


def test_what_belongs_to_nobody_as_data(reconciler) -> None:
    code, out, _ = reconciler("tree", "-o", "json")
    assert code == 0
    items = json.loads(out)["items"]
    kinds = [item["kind"] for item in items]
    assert kinds == sorted(kinds, key=lambda k: k != "ConfigRepository")
    store = next(i for i in items if i["name"] == "opinions")
    assert store == {
        "kind": "FeedbackStore",
        "namespace": "default",
        "name": "opinions",
        "ready": "Unknown",
        "children": [],
    }
    assert reconciler("tree", "-A", "-o", "yaml")[0] == 0


def test_requests_as_data(reconciler) -> None:
    _, out, _ = reconciler("suspend", "fb", "opinions", "-o", "json")
    about = {
        "kind": "FeedbackStore",
        "namespace": "default",
        "name": "opinions",
    }
    assert json.loads(out) == about | {"suspend": True}
    _, out, _ = reconciler("resume", "fb", "opinions", "-o", "yaml")
    assert YAML(typ="safe").load(out) == about | {"suspend": False}
    asked = ("reconcile", "fb", "opinions", "-o", "json", "--timeout")
    code, out, _ = reconciler(*asked, "0")
    found = json.loads(out)
    assert code == 0
    assert found.pop("requestedAt").startswith("20")
    assert found == about | {"ready": "Unknown", "handled": False}
    code, out, _ = reconciler(*asked, "0.3")
    error = json.loads(out)["error"]
    assert (code, error["exitCode"]) == (1, 1)
    assert "no controller handled the request" in error["message"]


def test_diff_tells_by_exit_code(reconciler, tmp_path: Path) -> None:
    (tmp_path / "store.yaml").write_text(STORE)
    assert reconciler("diff", "-f", str(tmp_path)) == (0, "", "")
    (tmp_path / "store.yaml").write_text(STORE.replace("10s", "30s"))
    (tmp_path / "more.yaml").write_text(
        STORE.replace("opinions", "more opinions".replace(" ", "-"))
    )
    code, out, _ = reconciler("diff", "-f", str(tmp_path))
    assert code == 1
    assert "+ feedbackstore/default/more-opinions" in out
    assert "~ feedbackstore/default/opinions" in out
    assert 'spec.interval: "10s" -> "30s"' in out
    code, out, _ = reconciler("diff", "-f", str(tmp_path), "-o", "json")
    assert code == 1
    assert json.loads(out)["summary"] == {
        "added": 1,
        "changed": 1,
        "pruned": 0,
    }
    code, out, _ = reconciler("diff", "-f", str(tmp_path), "-o", "yaml")
    assert code == 1
    assert YAML(typ="safe").load(out)["summary"]["changed"] == 1
    (tmp_path / "broken.yaml").write_text("a: [1")
    code, _, err = reconciler("diff", "-f", str(tmp_path))
    assert code == 2
    assert "broken.yaml" in err


def test_diff_has_the_variables_and_ignores_of_a_repository(
    reconciler, tmp_path: Path
) -> None:
    text = STORE.replace("10s", "30s").replace("opinions", "${NAME}", 1)
    (tmp_path / "store.yaml").write_text(text)
    asked = ("diff", "-f", str(tmp_path), "--repository", "ignoring")
    code, out, _ = reconciler(*asked)
    assert code == 1
    _, changed, *rest = out.splitlines()
    assert rest == ["", "0 added, 1 changed, 0 pruned"]
    assert changed == '    metadata.labels: (none) -> {"owner": "ada"}'
    (tmp_path / "store.yaml").write_text(text + "  suspend: true\n")
    code, out, _ = reconciler(*asked)
    assert code == 1
    assert "spec.suspend" in out
    assert "metadata.labels" in out
    assert "spec.interval" not in out


def test_diff_for_a_repository_is_in_its_target_namespace(
    reconciler, tmp_path: Path
) -> None:
    (tmp_path / "store.yaml").write_text(STORE)
    code, out, _ = reconciler(
        "diff", "-f", str(tmp_path), "--repository", "config"
    )
    assert code == 1
    assert "+ feedbackstore/team/opinions" in out
    code, _, err = reconciler(
        "diff", "-f", str(tmp_path), "--repository", "absent"
    )
    assert code == 2
    assert "ConfigRepository absent does not exist" in err


def test_diff_leaves_out_what_the_repository_ignores(
    reconciler, state, tmp_path: Path
) -> None:
    source = {"path": "/nowhere", "ignore": "/conf/draft*\n"}
    body = {
        **CONFIGURATION,
        "metadata": {"name": "drafts", "namespace": "default"},
        "spec": {"directory": source, "path": "conf"},
    }
    with Session(state.kubeconfig) as session:
        session.run(session.client.apply(body))
    (tmp_path / "conf").mkdir()
    for name in ("draft", "store"):
        text = STORE.replace("opinions", name)
        (tmp_path / "conf" / f"{name}.yaml").write_text(text)
    ways = (
        ("-f", str(tmp_path), "--path", "conf"),
        ("-f", str(tmp_path / "conf")),
    )
    for way in ways:
        code, out, _ = reconciler("diff", *way, "--repository", "drafts")
        assert code == 1
        assert "+ feedbackstore/default/store" in out
        assert "draft" not in out


def test_diff_of_a_revision_that_is_not_applied_yet(
    reconciler, state, tmp_path: Path
) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        done = subprocess.run(
            ["git", *who, *words],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    (tmp_path / "store.yaml").write_text(STORE)
    git("add", "-A")
    git("commit", "-q", "-m", "one")
    git("checkout", "-q", "-b", "next")
    (tmp_path / "store.yaml").write_text(STORE.replace("10s", "45s"))
    git("commit", "-q", "-a", "-m", "two")
    body = {
        **CONFIGURATION,
        "metadata": {"name": "git", "namespace": "default"},
        "spec": {"git": {"url": f"file://{tmp_path}"}},
    }
    with Session(state.kubeconfig) as session:
        session.run(session.client.apply(body))
    ways = ("next", "refs/heads/next", git("rev-parse", "HEAD"))
    for revision in ways:
        words = ("diff", "--repository", "git", "--revision", revision)
        code, out, err = reconciler(*words)
        assert (code, err) == (1, "")
        assert 'spec.interval: "10s" -> "45s"' in out
    words = ("diff", "--repository", "git", "--revision")
    assert reconciler(*words, "main") == (0, "", "")
    for wrong in ("absent", "-x", "refs/heads/none", "0" * 40):
        code, _, err = reconciler(*words[:-1], f"--revision={wrong}")
        assert code == 2
        assert f"--revision {wrong!r}"[:-1] in err or wrong in err
    code, _, err = reconciler("diff", "--repository=config", "--revision=main")
    assert code == 2
    assert "is not a Git repository" in err


def test_generate_says_what_is_missing(reconciler) -> None:
    code, _, err = reconciler("generate", "absent", "hello")
    assert code == 1
    assert "Model absent does not exist" in err


def test_feedback_needs_its_store_and_its_file(reconciler, tmp_path) -> None:
    file = tmp_path / "rows.jsonl"
    code, _, err = reconciler("feedback", "import", "absent", str(file))
    assert code == 1
    assert "FeedbackStore absent does not exist" in err
