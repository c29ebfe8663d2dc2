"""`reconciler diff OLD NEW`: no API server is asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from reconciler.cli.main import main

CM = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {x: '%s'}\n"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    for name, value in (("old", "1"), ("new", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text(CM % ("a", value))
        (tmp_path / name / "b.yaml").write_text(CM % (name, value))
    return str(tmp_path / "old"), str(tmp_path / "new")


def test_text_and_exit_codes(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = folders
    assert main(["diff", old, new]) == 1
    assert capsys.readouterr().out == (
        "~ configmap/default/a  (a.yaml:1)\n"
        '    data.x: "1" -> "2"\n'
        "+ configmap/default/new  (b.yaml:1)\n"
        "- configmap/default/old\n\n"
        "1 added, 1 changed, 1 pruned\n"
        "deletes configmap/default/old\n"
    )
    assert main(["diff", old, old]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("output", ["json", "markdown"])
def test_other_formats(
    folders: tuple[str, str], output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = folders
    assert main(["diff", new, old, "-o", output, "-n", "team"]) == 1
    out = capsys.readouterr().out
    assert "team" in out
    if output == "json":
        assert json.loads(out)["summary"]["pruned"] == 1


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "either -f DIR, --revision R, or two"),
        (["OLD"], "two folders, OLD NEW"),
        (["OLD", "NEW", "-f", "OLD"], "without -f"),
        (["--revision", "main"], "--revision needs --repository"),
        (["OLD", "/nowhere"], "/nowhere does not exist"),
        (["OLD", "NEW", "--path", "../.."], "leads out of the source"),
    ],
)
def test_errors_have_another_exit_code(
    folders: tuple[str, str],
    words: list[str],
    part: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = dict(zip(("OLD", "NEW"), folders, strict=True))
    assert main(["diff", *(names.get(w, w) for w in words)]) == 2
    assert part in capsys.readouterr().err


@pytest.mark.skipif(
    not (shutil.which("kustomize") or shutil.which("kubectl")),
    reason="neither kustomize nor kubectl is installed",
)
def test_overlays_are_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("old", "1"), ("new", "2")):
        base, prod = tmp_path / name / "base", tmp_path / name / "prod"
        base.mkdir(parents=True)
        prod.mkdir()
        (base / "a.yaml").write_text(CM % ("a", value))
        (base / "kustomization.yaml").write_text("resources: [a.yaml]\n")
        text = "resources: [../base]\nnameSuffix: -prod\n"
        (prod / "kustomization.yaml").write_text(text)
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    assert main(["diff", old, new, "--path", "prod"]) == 1
    out = capsys.readouterr().out
    assert "~ configmap/default/a-prod  (prod/kustomization.yaml[" in out
