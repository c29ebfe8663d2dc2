"""Overlays: what is built, what is refused, and what is bounded."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from reconciler.gitops.build import Builder
from reconciler.gitops.directory import read_directory
from reconciler.gitops.documents import BuildError
from reconciler.gitops.kustomize import Kustomize
from reconciler.gitops.records import Records
from reconciler.gitops.tree import SourceError, Tree

BASE = b"resources: [a.yaml]\n"
A = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n"
PROD = b"""\
resources: [../base]
namePrefix: prod-
patches:
  - path: patch.yaml
configMapGenerator:
  - name: notes
    files: [text=notes.txt]
generatorOptions: {disableNameSuffixHash: true}
"""
PATCH = A.replace(b"'1'", b"'2'")
FILES = {
    "base/kustomization.yaml": BASE,
    "base/a.yaml": A,
    "prod/kustomization.yaml": PROD,
    "prod/patch.yaml": PATCH,
    "prod/notes.txt": b"hello\n",
}

needs_program = pytest.mark.skipif(
    not (shutil.which("kustomize") or shutil.which("kubectl")),
    reason="neither kustomize nor kubectl is installed",
)


def tree(overlay: str = "prod", **changed: bytes | None) -> Tree:
    files = {k: v for k, v in (FILES | changed).items() if v is not None}
    return Tree("r", files, overlay=overlay)


def program(folder: Path, text: str, name: str = "kustomize") -> Kustomize:
    target = folder / name
    target.write_text(f"#!/bin/sh\n{text}\n")
    target.chmod(0o755)
    return Kustomize(path=str(folder), timeout=20, limit=1000)


@needs_program
def test_an_overlay_is_built_with_files_from_beside_it() -> None:
    objects = Builder("team").build(Kustomize().files(tree()))
    assert {str(o.id): o.body["data"] for o in objects} == {
        "configmap/team/prod-a": {"x": "2"},
        "configmap/team/prod-notes": {"text": "hello\n"},
    }
    assert all(o.file.startswith("prod/kustomization.yaml[") for o in objects)


@needs_program
async def test_a_commit_to_an_overlay_is_applied_and_a_broken_one_is_not(
    engine: Any, remote: Any, cluster: Any
) -> None:
    engine.raw["spec"]["path"] = "prod"
    first = remote.commit(dict(FILES))
    await engine.settle()
    assert cluster.contents() == {
        "ConfigMap/default/prod-a": {"data": {"x": "2"}},
        "ConfigMap/default/prod-notes": {"data": {"text": "hello\n"}},
    }
    remote.commit({"base/a.yaml": A.replace(b"name: a", b"name: b")})
    engine.wait()
    await engine.settle()
    assert engine.condition()["reason"] == "BuildFailed"
    assert engine.condition()["message"].startswith(
        "prod/kustomization.yaml:1: kustomize: "
    )
    assert engine.status["lastAppliedRevision"] == f"main@sha1:{first}"
    cluster.objects.clear()
    engine.restart()
    engine.wait()
    await engine.settle()
    assert ("ConfigMap", "default", "prod-a") in cluster.objects


@needs_program
async def test_a_change_of_a_base_is_seen_in_a_directory(
    make_engine: Any, cluster: Any, tmp_path: Path
) -> None:
    conf = tmp_path / "conf"
    for name, data in FILES.items():
        (conf / name).parent.mkdir(parents=True, exist_ok=True)
        (conf / name).write_bytes(data)
    engine = make_engine({"directory": {"path": str(conf)}, "path": "prod"})
    await engine.settle()
    (conf / "base" / "a.yaml").write_bytes(A + b"immutable: false\n")
    engine.wait()
    await engine.settle()
    live = cluster.objects["ConfigMap", "default", "prod-a"]
    assert live["immutable"] is False


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("resources: ['https://example.invalid/x.yaml']", "remote bases"),
        ("resources: ['https://h.invalid/r']", "remote bases"),
        ("resources: ['github.com/o/r//base?ref=v1']", "remote bases"),
        ("resources: ['git@example.invalid:o/r.git']", "remote bases"),
        ("components: ['ssh://example.invalid/r']", "components: 'ssh"),
        ("resources: [../../etc]", "'../../etc' is no file"),
        ("resources: [/etc/passwd]", "'/etc/passwd' is no file"),
        ("patches: [{path: 'http://127.0.0.1/p'}]", "patches.path"),
        ("patchesStrategicMerge: ['https://e.invalid/p']", "no file"),
        ("openapi: {path: 'https://e.invalid/s'}", "openapi.path"),
        ("crds: ['https://e.invalid/c']", "crds: "),
        (
            "secretGenerator: [{name: s, files: ['k=../../../etc/shadow']}]",
            "secretGenerator.files",
        ),
        ("configMapGenerator: [{name: s, envs: ['.env']}]", "hidden files"),
        ("helmCharts: [{name: x}]", "helmCharts: plugins and charts"),
        ("generators: [g.yaml]", "generators: plugins and charts"),
        ("transformers: ['t.yaml']", "transformers: plugins"),
        ("resources: [../prod]", "goes round in a circle"),
        ("resources: [../docs]", "docs has no kustomization.yaml"),
        ("Resources: ['https://e.invalid/x']", "has to be written resources"),
        ("patches: [{Path: 'https://e.invalid/x'}]", "to be written path"),
        ("re\u017fources: ['https://e.invalid']", "be written resources"),
        ("- a", "has to be a mapping"),
        ("a: 1\na: 2", "kustomization.yaml:2"),
    ],
)
def test_what_leads_out_of_the_source_is_refused_before_anything_runs(
    tmp_path: Path, text: str, part: str
) -> None:
    mark = tmp_path / "ran"
    kustomize = program(tmp_path, f": > {mark}")
    wrong = FILES | {"prod/kustomization.yaml": text.encode()}
    wrong["docs/readme.txt"] = b"x"
    wrong["prod/https:/h.invalid/r/kustomization.yaml"] = b""
    with pytest.raises(BuildError, match=r"kustomization\.yaml:\d") as error:
        kustomize.files(Tree("r", wrong, overlay="prod"))
    assert part in str(error.value)
    assert not mark.exists()


def test_a_base_is_checked_like_the_overlay(tmp_path: Path) -> None:
    wrong = FILES | {"base/kustomization.yaml": b"resources: ['a://b/c']\n"}
    with pytest.raises(BuildError, match=r"^base/kustomization\.yaml:1: "):
        program(tmp_path, "true").files(Tree("r", wrong, overlay="prod"))


def test_without_a_program_the_error_says_what_to_install(
    tmp_path: Path,
) -> None:
    with pytest.raises(BuildError, match="neither kustomize nor kubectl"):
        Kustomize(path=str(tmp_path)).files(tree())


def test_a_program_that_hangs_is_ended_with_its_children(
    tmp_path: Path,
) -> None:
    pids = tmp_path / "pids"
    text = f"/bin/sleep 600 & echo $! > {pids}; /bin/sleep 600"
    found = program(tmp_path, text)
    limited = Kustomize(path=found.path, timeout=1.0)
    with pytest.raises(BuildError, match="took more than 1s"):
        limited.files(tree())
    child = int(pids.read_text())
    deadline = time.monotonic() + 30.0
    while is_alive(child):  # it was killed: it ends when it is scheduled
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_is_printed_is_bounded(tmp_path: Path) -> None:
    found = program(tmp_path, "while :; do echo xxxxxxxxxxxxxxxx; done")
    with pytest.raises(BuildError, match="printed more than 1000 bytes"):
        found.files(tree())


def test_a_failure_is_told_in_the_source_s_own_paths(tmp_path: Path) -> None:
    found = program(tmp_path, 'echo "first\nerror: bad $2/x" >&2; exit 1')
    with pytest.raises(BuildError) as error:
        found.files(tree())
    assert str(error.value) == (
        "prod/kustomization.yaml:1: kustomize: error: bad prod/x"
    )


def test_the_program_sees_the_files_and_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERY_SECRET", "x")
    out = tmp_path / "out"
    found = program(tmp_path, f"export -p > {out}; pwd >> {out}")
    assert found.files(tree()) == {}
    told = out.read_text()
    assert "VERY_SECRET" not in told
    assert "HTTPS_PROXY='http://127.0.0.1:1'" in told
    assert os.environ["PATH"] not in told
    folder = Path(told.splitlines()[-1])
    assert folder.name == "source"
    assert not folder.exists()


def test_a_tree_is_read_whole_only_for_an_overlay(tmp_path: Path) -> None:
    for name, data in (FILES | {".git/x": b"", "prod/.env": b""}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    found = read_directory(str(tmp_path), "prod")
    assert (found.overlay, set(found.files)) == ("prod", set(FILES))
    base = read_directory(str(tmp_path), "base")
    assert base.revision != found.revision
    (tmp_path / "base" / "link").symlink_to("/etc/passwd")
    with pytest.raises(SourceError, match="symbolic link"):
        read_directory(str(tmp_path), "prod")


def test_git_gives_the_same_tree(remote: Any, tmp_path: Path) -> None:
    from reconciler.gitops.git import Git
    from reconciler.gitops.mirror import Mirror
    from reconciler.gitops.reference import Reference
    from reconciler.gitops.resource_source import GitReference

    remote.commit(FILES | {".hidden/x.yaml": b"x"})
    git = Git(tmp_path / "m" / "mirror.git", remote=remote.url)
    mirror = Mirror(git, Reference(GitReference()))
    found = mirror.export(mirror.fetch(), "prod")
    assert found.overlay == "prod"
    assert dict(found.files) == FILES


def test_an_overlay_is_kept_for_the_next_life(tmp_path: Path) -> None:
    records = Records(tmp_path, "u")
    kept = tree(**{"prod/notes.txt": b"\xff\x00binary"})
    records.save(kept, [])
    assert records.load("r") == kept


def test_a_kustomization_deeper_down_says_where_to_point() -> None:
    text = (
        b"apiVersion: kustomize.config.k8s.io/v1beta1\n"
        b"kind: Kustomization\nmetadata: {name: x}\n"
    )
    with pytest.raises(BuildError, match="to its folder"):
        Builder("default").build({"x/kustomization.yaml": text})
