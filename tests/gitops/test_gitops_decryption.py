"""Encrypted files from a commit to the server, and Secrets in clear."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from reconciler.engine.redact import one_line
from reconciler.gitops.build import Builder
from reconciler.gitops.diff import difference, render
from reconciler.gitops.documents import BuildError, compose, documents
from reconciler.gitops.kustomize import Kustomize
from reconciler.gitops.sops.keys import AgeKeys, new_identity
from reconciler.gitops.sops.metadata import Rules
from reconciler.gitops.sops.opener import Opener
from reconciler.gitops.sops.sealing import SECRETS, as_yaml, seal
from reconciler.gitops.stand_ins import built as overlay_built
from reconciler.gitops.tree import Tree

SECRET = (
    "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\n"
    "stringData: {password: %s}\n"
)
KEY = ("Secret", "default", "login")
IDENTITY, RECIPIENT = new_identity()

needs_program = pytest.mark.skipif(
    not (shutil.which("kustomize") or shutil.which("kubectl")),
    reason="neither kustomize nor kubectl is installed",
)


def sealed(text: str, recipient: str = RECIPIENT, **rules: str) -> str:
    nodes = compose("f.yaml", text)
    meant = Rules(**rules) if rules else SECRETS
    return as_yaml(nodes, seal(nodes, [recipient], meant))


async def with_key(engine: Any, cluster: Any, identity: str) -> None:
    """Have the repository decrypt with this identity."""
    value = base64.b64encode(f"# mine\n{identity}\n".encode()).decode()
    await cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "sops-age", "namespace": "default"},
            "data": {"age.agekey": value},
        }
    )
    engine.raw["spec"]["decryption"] = {
        "provider": "sops",
        "secretRef": {"name": "sops-age"},
    }


def everywhere(engine: Any) -> str:
    """All that is told, and all that is on the disk."""
    disk = [
        path.read_bytes().decode("utf-8", "replace")
        for path in Path(engine.root).rglob("*")
        if path.is_file()
    ]
    return str((engine.status, engine.events.told, disk))


async def test_an_encrypted_secret_is_applied_and_shown_nowhere(
    engine: Any, remote: Any, cluster: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await with_key(engine, cluster, IDENTITY)
    remote.commit({"s.yaml": sealed(SECRET % "hunter2")})
    await engine.settle()
    made = cluster.objects[KEY]
    assert made["stringData"] == {"password": "hunter2"}
    assert "sops" not in made
    assert engine.condition()["status"] == "True"
    assert "hunter2" not in everywhere(engine)
    writes = len(cluster.writes)
    for _ in range(3):
        engine.wait()
        await engine.settle()
    assert len(cluster.writes) == writes
    made["stringData"]["password"] = "drifted"
    engine.raw["spec"]["driftPolicy"] = "Warn"
    engine.wait()
    await engine.settle()
    text = everywhere(engine)
    assert "stringData.password" in text
    assert "hunter2" not in text
    assert "drifted" not in text
    assert "hunter2" not in caplog.text


def test_no_error_has_a_value_behind_it() -> None:
    """What a traceback in a log would show."""
    keys = AgeKeys.file("f", IDENTITY.encode())
    good = sealed(SECRET % "hunter2")
    for kind in ("int", "float", "bool", "nothing"):
        text = good.replace("type:str", f"type:{kind}", 1)
        with pytest.raises(BuildError) as error:
            documents("f.yaml", text.encode(), None, Opener(keys))
        shown = "".join(traceback.format_exception(error.value))
        assert "hunter2" not in shown


async def test_what_cannot_be_opened_keeps_the_last_good_revision(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    await with_key(engine, cluster, IDENTITY)
    good = sealed(SECRET % "hunter2")
    remote.commit({"s.yaml": good, "a.yaml": make_config_map("a", x="1")})
    await engine.settle()
    applied = engine.status["lastAppliedRevision"]
    _, stranger = new_identity()
    broken = {
        good.replace("name: login", "name: other"): "sops.mac: the checksum",
        sealed(SECRET % "sw0rdfish", stranger): f"encrypted for {stranger}",
        good.replace("type:str", "type:int", 1): "something that is no int",
    }
    for text, reason in broken.items():
        new = {"s.yaml": text, "a.yaml": make_config_map("a", x="2")}
        remote.commit(new)
        cluster.objects[KEY]["stringData"] = {"password": "drift"}
        engine.wait()
        await engine.settle()
        ready = engine.condition()
        assert (ready["status"], ready["reason"]) == ("False", "BuildFailed")
        assert ready["message"].startswith("s.yaml:")
        assert reason in ready["message"]
        assert cluster.objects[KEY]["stringData"] == {"password": "hunter2"}
        assert cluster.objects["ConfigMap", "default", "a"]["data"]["x"] == "1"
        assert engine.status["lastAppliedRevision"] == applied
        assert "sw0rdfish" not in everywhere(engine)
    remote.commit({"s.yaml": good})
    engine.wait()
    await engine.settle()
    assert engine.condition()["status"] == "True"


async def test_a_lost_or_wrong_key_applies_and_prunes_nothing(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    await with_key(engine, cluster, IDENTITY)
    remote.commit(
        {
            "s.yaml": sealed(SECRET % "hunter2"),
            "a.yaml": make_config_map("a"),
        }
    )
    await engine.settle()
    inventory = engine.status["inventory"]
    remote.commit({"a.yaml": None})
    await cluster.delete("v1", "Secret", "default", "sops-age")
    other, _ = new_identity()
    for spoil, reason in (
        (None, "Secret default/sops-age does not exist"),
        (other, "none of the keys given opens it"),
        (IDENTITY[:-3], "age.agekey:2 is no identity AGE-SECRET-KEY-1"),
    ):
        if spoil is not None:
            await with_key(engine, cluster, spoil)
        cluster.writes.clear()
        engine.restart()
        engine.wait()
        await engine.settle()
        assert cluster.writes == []
        assert engine.status["inventory"] == inventory
        assert engine.condition()["reason"] == "BuildFailed"
        assert reason in engine.condition()["message"]
        assert IDENTITY[:-3] not in everywhere(engine)
    await with_key(engine, cluster, IDENTITY)
    engine.wait()
    await engine.settle()
    assert engine.condition()["status"] == "True"
    assert ("ConfigMap", "default", "a") not in cluster.objects


async def test_without_decryption_an_encrypted_file_is_refused(
    engine: Any, remote: Any, cluster: Any
) -> None:
    remote.commit({"s.yaml": sealed(SECRET % "hunter2")})
    await engine.settle()
    assert "set spec.decryption" in engine.condition()["message"]
    assert cluster.writes == []


async def test_what_a_secret_holds_is_no_variable(
    engine: Any, remote: Any, cluster: Any
) -> None:
    await with_key(engine, cluster, IDENTITY)
    engine.raw["spec"]["postBuild"] = {"substitute": {"NAME": "login"}}
    text = SECRET.replace("name: login", "name: '${NAME}'")
    remote.commit({"s.yaml": sealed(text % "'a${B}c'")})
    await engine.settle()
    assert cluster.objects[KEY]["stringData"] == {"password": "a${B}c"}


async def test_a_refusal_by_the_server_shows_no_value(
    engine: Any, remote: Any, cluster: Any
) -> None:
    await with_key(engine, cluster, IDENTITY)
    cluster.refuse = lambda body, _: (
        f"stringData.password: Invalid value: {body['stringData']}"
        if body["metadata"]["name"] == "login"
        else None
    )
    remote.commit({"s.yaml": sealed(SECRET % "hunter2")})
    await engine.settle()
    assert "stringData.password is invalid" in engine.condition()["message"]
    assert "hunter2" not in everywhere(engine)


def test_what_decrypts_is_loaded_only_by_who_decrypts() -> None:
    program = (
        "import sys, reconciler.gitops.controller\n"
        "print([m for m in sys.modules if m in ('pyrage', 'cryptography')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "[]\n"


def test_a_diff_shows_no_value() -> None:
    keys = AgeKeys.file("f", IDENTITY.encode())
    text = sealed(SECRET % "hunter2" + "immutable: true\n")
    builder = Builder("default", opener=Opener(keys))
    (item,) = builder.build({"s.yaml": text.encode()})
    assert item.body["stringData"] == {"password": "hunter2"}
    live = item.body | {"stringData": {"password": "sw0rdfish"}}
    shown = render(difference([item], {item.id: live}))
    assert "stringData.password" in shown
    assert "hunter2" not in shown
    assert "sw0rdfish" not in shown
    assert "hunter2" not in repr(item)


PREFIX = """\
resources: [../base]
namePrefix: p-
labels: [{pairs: {env: prod}}]
"""


def overlay(secret: str, kustomization: str = PREFIX) -> Tree:
    files = {
        "base/kustomization.yaml": "resources: [s.yaml]\n",
        "base/s.yaml": secret,
        "prod/kustomization.yaml": kustomization,
        "other/s.yaml": sealed(SECRET % "x", new_identity()[1]),
        "other/broken.yaml": "sops: [\n",
    }
    data = {k: v.encode() for k, v in files.items()}
    return Tree("r", data, overlay="prod")


def built(tree: Tree) -> Any:
    keys = AgeKeys.file("f", IDENTITY.encode())
    builder = Builder("default", opener=Opener(keys))
    return overlay_built(tree, Kustomize(), builder)


@needs_program
def test_an_overlay_is_decrypted_after_kustomize_built_it() -> None:
    (item,) = built(overlay(sealed(SECRET % "hunter2" + "type: ada\n")))
    assert item.body["metadata"]["name"] == "p-login"
    assert item.body["metadata"]["labels"] == {"env": "prod"}
    assert item.body["stringData"] == {"password": "hunter2"}
    assert item.sealed
    assert "sops" not in item.body


@needs_program
def test_the_checksum_is_that_of_the_file_that_an_overlay_builds_on() -> None:
    text = sealed(SECRET % "hunter2" + "type: Opaque\n")
    with pytest.raises(BuildError, match=r"base/s\.yaml:1: sops\.mac: the"):
        built(overlay(text.replace("Opaque", "Other")))


@needs_program
def test_a_patch_may_not_touch_what_is_encrypted() -> None:
    patch = (
        "resources: [../base]\npatches:\n  - target: {kind: Secret}\n"
        "    patch: |\n      - {op: replace, path: %s, value: new}\n"
    )
    text = sealed(SECRET % "hunter2")
    for path, reason in (
        ("/sops/mac", "not those of a file of the source"),
        ("/sops/lastmodified", "lastmodified: is no time"),
        ("/stringData/password", "stringData.password: is not encrypted"),
    ):
        with pytest.raises(BuildError, match=reason):
            built(overlay(text, patch % path))


async def test_secrets_in_clear_are_told_once_for_a_revision(
    engine: Any, remote: Any, cluster: Any, make_config_map: Any
) -> None:
    note = "annotations: {reconciler.dev/plain-secret: allowed}"
    allowed = SECRET.replace("{name: login}", f"{{name: b, {note}}}")
    empty = SECRET.replace("login", "c").replace("{password: %s}", "{}")
    await with_key(engine, cluster, IDENTITY)
    remote.commit(
        {
            "a.yaml": SECRET % "hunter2",
            "b.yaml": allowed % "x",
            "c.yaml": empty,
            "d.yaml": sealed(SECRET.replace("login", "d") % "x"),
            "e.yaml": make_config_map("e"),
            "f.yaml": sealed(
                SECRET.replace("login", "f") % "x",
                encrypted_regex="^password$",
            ),
            "g.yaml": sealed(
                SECRET.replace("login", "wrong") % "x" + "other: y\n",
                encrypted_regex="^other$",
            ),
        }
    )
    for _ in range(3):
        await engine.settle()
        engine.wait()
    engine.restart()
    await engine.settle()
    told = [t for t in engine.events.told if t[1] == "PlainSecret"]
    ((severity, _, text),) = told
    assert severity == "Warning"
    assert "secret/default/login (a.yaml:1), " in text
    assert "secret/default/wrong (g.yaml:1);" in text
    assert "reconciler.dev/plain-secret with the value allowed" in text
    assert one_line(text, 10_000) == text, "the net for secrets spares it"
    assert "hunter2" not in text
    remote.commit({"e.yaml": make_config_map("e", x="1")})
    engine.wait()
    await engine.settle()
    assert engine.events.reasons().count("PlainSecret") == 2
    remote.commit({"a.yaml": sealed(SECRET % "hunter3"), "g.yaml": None})
    engine.wait()
    await engine.settle()
    assert engine.events.reasons().count("PlainSecret") == 2
