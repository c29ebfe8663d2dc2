"""The example of two environments is what the kinds and kustomize take."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reconciler.cli.kinds import KINDS
from reconciler.cli.main import main
from reconciler.gitops.build import Builder
from reconciler.gitops.dependencies import cycle
from reconciler.gitops.directory import read_directory
from reconciler.gitops.kustomize import Kustomize
from reconciler.gitops.resource import ConfigRepository
from reconciler.gitops.sops.keys import AgeKeys
from reconciler.gitops.sops.opener import Opener

FLEET = Path(__file__).parents[2] / "examples" / "fleet"
PARSERS = {kind.definition.kind: kind for kind in KINDS}

pytestmark = pytest.mark.skipif(
    not (shutil.which("kustomize") or shutil.which("kubectl")),
    reason="neither kustomize nor kubectl is installed",
)


def repositories() -> dict[str, ConfigRepository]:
    text = (FLEET / "clusters/fleet/environments.yaml").read_text()
    found: dict[str, ConfigRepository] = {}
    for raw in YAML(typ="safe").load_all(text):
        raw["metadata"]["namespace"] = "default"
        found[raw["metadata"]["name"]] = ConfigRepository.parse(raw)
    return found


def built(path: str) -> dict[tuple[str, str], dict[str, Any]]:
    tree = read_directory(str(FLEET), path)
    key = (FLEET.parent / "fleet.agekey").read_bytes()
    opener = Opener(AgeKeys.of({"age.agekey": key}))
    objects = Builder("default", opener=opener).build(Kustomize().files(tree))
    for item in objects:
        if item.id.kind in PARSERS:
            PARSERS[item.id.kind].parse(item.body)
    return {(o.id.kind, o.id.namespace): o.body for o in objects}


def test_a_commit_reaches_production_through_staging() -> None:
    found = repositories()
    names = {k: [d.name for d in r.spec.depends_on] for k, r in found.items()}
    assert names == {
        "platform": [],
        "staging": ["platform"],
        "production": ["staging"],
    }
    known = {r.key: r for r in found.values()}
    assert not any(cycle(r, known) for r in found.values())
    assert {r.spec.path for r in found.values()} == set(found)


def test_environments_differ_in_what_their_overlays_say() -> None:
    staging, production = built("staging"), built("production")
    assert {k for k, _ in staging} == {k for k, _ in production}
    assert {n for _, n in staging} == {"staging"}
    model = production["Model", "production"]["spec"]
    assert model["promotion"] == {"mode": "Manual"}
    assert staging["Model", "staging"]["spec"]["promotion"] == {
        "mode": "Automatic"
    }
    schedule = production["TrainingSchedule", "production"]["spec"]
    assert schedule["windows"] == [{"start": "22:00", "duration": "8h"}]
    assert "windows" not in staging["TrainingSchedule", "staging"]["spec"]
    checks = repositories()["staging"].spec.health_checks
    assert [(c.kind, c.namespace) for c in checks if c.namespace] == [
        ("DatasetLayout", "staging")
    ]
    assert ("DatasetLayout", "staging") in staging


def test_the_secret_of_the_example_is_encrypted() -> None:
    file = FLEET / "platform" / "hook.yaml"
    assert b"known-to-everyone" not in file.read_bytes()
    hook = built("platform")["Secret", "default"]
    assert hook["stringData"] == {
        "token": "an-example-that-is-known-to-everyone"
    }
    assert not any(FLEET.rglob("*.agekey"))


def test_diff_of_the_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "fleet"
    shutil.copytree(FLEET, changed)
    model = changed / "base" / "model.yaml"
    model.write_text(model.read_text().replace("[CPU]", "[NPU, CPU]"))
    words = ["diff", str(FLEET), str(changed), "--path", "production"]
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "~ model/production/docs-assistant" in out
    assert "asks for NPU, CPU: model/production/docs-assistant" in out
