"""Which file of an overlay a pin is written to, with the real kustomize."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.build import Builder
from reconciler.gitops.documents import BuildError
from reconciler.gitops.kustomize import Kustomize
from reconciler.gitops.manifest import DesiredObject, ObjectId
from reconciler.gitops.overlay import Edit, OverlayError, pinned
from reconciler.gitops.promotion import Promotion
from reconciler.gitops.stand_ins import built
from reconciler.gitops.tree import Tree

pytestmark = pytest.mark.skipif(
    not (shutil.which("kustomize") or shutil.which("kubectl")),
    reason="neither kustomize nor kubectl is installed",
)

MODEL = """\
# The assistant.
apiVersion: reconciler.dev/v1alpha1
kind: Model
metadata: {name: docs}
spec:
  suiteRef: {name: suite}   # how it is judged
"""
PATCH = """\
apiVersion: reconciler.dev/v1alpha1
kind: Model
metadata:
  name: docs
spec: # of production
  promotion: {mode: Manual}
"""
FILES = {
    "base/kustomization.yaml": "resources: [model.yaml]\n",
    "base/model.yaml": MODEL,
    "prod/kustomization.yaml": "resources: [../base]\nnamespace: prod\n",
    "stage/kustomization.yaml": "resources: [../base]\nnamespace: stage\n",
}
PATCHED = {
    "prod/kustomization.yaml": "namespace: prod\nresources: [../base]\n"
    "patches: [{path: patch.yaml}]\n",
    "prod/patch.yaml": PATCH,
}
NONE: dict[str, str | None] = {}


def write(
    changed: Mapping[str, str | None],
    name: str = "docs",
    value: str = "d-2",
    *,
    whole: bool = True,
) -> tuple[Edit, dict[str, bytes]]:
    texts = {**FILES, **changed}
    files = {k: v.encode() for k, v in texts.items() if v is not None}

    def build(given: Mapping[str, bytes]) -> Sequence[DesiredObject]:
        tree = Tree("r", given, overlay="prod")
        return built(tree, Kustomize(), Builder("default"))

    model = ObjectId("prod", name, "reconciler.dev", "Model")
    edit = pinned(files, "prod", model, value, build, whole=whole)
    objects = build({**files, edit.path: edit.data})
    found = next(o for o in objects if o.id == model)
    assert found.body["spec"]["generation"] == value
    return edit, files


def test_a_patch_of_the_overlay_is_where_it_belongs() -> None:
    edit, files = write(PATCHED)
    assert edit.path == "prod/patch.yaml"
    assert edit.data.decode() == PATCH.replace(
        "  promotion", "  generation: d-2\n  promotion"
    )
    assert files["base/model.yaml"] == MODEL.encode()


def test_a_resource_of_the_overlay_itself() -> None:
    edit, _ = write(
        {
            "prod/kustomization.yaml": "namespace: prod\n"
            "resources: [model.yaml]\n",
            "prod/model.yaml": MODEL,
        }
    )
    assert edit.path == "prod/model.yaml"
    assert "# how it is judged" in edit.data.decode()


def test_a_base_that_nobody_else_uses() -> None:
    edit, _ = write({"stage/kustomization.yaml": None})
    assert edit.path == "base/model.yaml"


def test_a_base_of_two_environments_is_refused_with_the_way_out() -> None:
    with pytest.raises(OverlayError) as told:
        write(NONE)
    text = str(told.value)
    assert "base/model.yaml is, or may be, used by stage too" in text
    assert "in patches of prod" in text


def test_only_files_of_the_overlay_if_not_all_is_read() -> None:
    alone: dict[str, str | None] = {"stage/kustomization.yaml": None}
    with pytest.raises(OverlayError, match="that are not read"):
        write(alone, whole=False)
    edit, _ = write({**alone, **PATCHED}, whole=False)
    assert edit.path == "prod/patch.yaml"


def test_a_base_that_is_used_through_another_one() -> None:
    with pytest.raises(OverlayError, match="used by far too"):
        write(
            {
                "stage/kustomization.yaml": None,
                "far/kustomization.yaml": "resources: [../middle]\n",
                "middle/kustomization.yaml": "resources: [../base]\n",
            }
        )


def test_the_patch_wins_over_a_pin_in_the_base() -> None:
    base = MODEL.replace("spec:\n", "spec:\n  generation: d-1\n")
    edit, _ = write({**PATCHED, "base/model.yaml": base})
    assert edit.path == "prod/patch.yaml"


def test_the_last_of_two_patches_wins() -> None:
    later = PATCH.replace("mode: Manual", "mode: Automatic").replace(
        "  promotion", "  generation: d-1\n  promotion"
    )
    edit, _ = write(
        {
            **PATCHED,
            "prod/kustomization.yaml": "namespace: prod\n"
            "resources: [../base]\n"
            "patches: [{path: patch.yaml}, {path: later.yaml}]\n",
            "prod/later.yaml": later,
        }
    )
    assert edit.path == "prod/later.yaml"
    assert b"generation: d-2" in edit.data


@pytest.mark.parametrize(
    "inline",
    [
        (
            "  - target: {kind: Model}\n    patch: |\n"
            "      - {op: add, path: /spec/generation, value: d-1}\n"
        ),
        (
            "  - patch: |\n      apiVersion: reconciler.dev/v1alpha1\n"
            "      kind: Model\n      metadata: {name: docs}\n"
            "      spec: {generation: d-1}\n"
        ),
    ],
)
def test_a_pin_inside_the_kustomization_is_refused(inline: str) -> None:
    text = f"namespace: prod\nresources: [../base]\npatches:\n{inline}"
    with pytest.raises(OverlayError, match="name a patch file"):
        write(
            {
                "prod/kustomization.yaml": text,
                "stage/kustomization.yaml": None,
            }
        )


def test_a_name_with_a_prefix_and_a_model_beside_it() -> None:
    other = MODEL.replace("name: docs", "name: doc")
    edit, _ = write(
        {
            "prod/kustomization.yaml": "namespace: prod\nnamePrefix: my-\n"
            "resources: [both.yaml]\n",
            "prod/both.yaml": f"{other}---\n{MODEL}",
        },
        name="my-docs",
    )
    first, second = edit.data.decode().split("---\n")
    assert first == other
    assert "generation: d-2" in second


def test_a_model_that_is_used_twice_is_refused() -> None:
    """The same file under two names: a pin would be one of both."""
    with pytest.raises(OverlayError):
        write(
            {
                "stage/kustomization.yaml": None,
                "a/kustomization.yaml": "resources: [../base]\n"
                "namePrefix: a-\n",
                "b/kustomization.yaml": "resources: [../base]\n"
                "namePrefix: b-\n",
                "prod/kustomization.yaml": "resources: [../a, ../b]\n"
                "namespace: prod\n",
            },
            name="a-docs",
        )


def test_circles_elsewhere_do_not_matter() -> None:
    edit, _ = write(
        {
            "stage/kustomization.yaml": "resources: [../x]\n",
            "x/kustomization.yaml": "resources: [../stage]\n",
        }
    )
    assert edit.path == "base/model.yaml"


def test_nobody_knows_what_a_broken_kustomization_uses() -> None:
    with pytest.raises(BuildError, match=r"stage/kustomization\.yaml:1"):
        write({"stage/kustomization.yaml": "resources: [../gone]\n"})


def following(make_engine: Any, remote: Any, **git: Any) -> Any:
    spec = {"git": {"url": remote.url, **git}, "path": "prod"}
    engine = make_engine({**spec, "writeBack": {"enabled": True}})
    engine.cluster.namespaces.add("prod")
    pending = Promotion("prod", "docs", "docs-2")

    def promotions(*_: Any) -> list[Promotion]:
        live = engine.cluster.objects.get(("Model", "prod", "docs"))
        pin = live and live["spec"].get("generation")
        return [] if pin == pending.generation else [pending]

    engine.promotions = promotions
    return engine


async def test_a_promotion_is_committed_to_the_patch(
    make_engine: Any, make_remote: Any, tmp_path: Path
) -> None:
    remote = make_remote(tmp_path / "r", bare=True)
    first = remote.commit({**FILES, **PATCHED})
    engine = following(make_engine, remote)
    await engine.settle()
    await engine.settle()
    spec = engine.cluster.objects["Model", "prod", "docs"]["spec"]
    assert (spec["generation"], spec["promotion"]["mode"]) == (
        "docs-2",
        "Manual",
    )
    shown = remote.ask("diff", "--name-status", first, remote.head)
    assert shown == "M\tprod/patch.yaml"
    assert remote.ask("show", f"{remote.head}:prod/patch.yaml") == (
        PATCH.replace("  promotion", "  generation: docs-2\n  promotion")
    ).strip("\n")
    assert engine.condition("WrittenBack")["status"] == "True"
    assert engine.condition()["status"] == "True"


async def test_a_shared_base_is_told_of_and_heals_by_a_patch(
    make_engine: Any, make_remote: Any, tmp_path: Path
) -> None:
    remote = make_remote(tmp_path / "r", bare=True)
    head = remote.commit(FILES)
    engine = following(make_engine, remote)
    await engine.settle()
    told = engine.condition("WrittenBack")
    assert (told["status"], told["reason"]) == ("False", "KustomizeOverlay")
    assert "used by stage too" in told["message"]
    assert (remote.head, engine.condition()["status"]) == (head, "True")
    remote.commit(PATCHED)
    engine.wait()
    await engine.settle()
    assert engine.condition("WrittenBack")["status"] == "True"
    assert "generation: docs-2" in remote.ask("show", "main:prod/patch.yaml")


async def test_what_is_ignored_may_share_the_base(
    make_engine: Any, make_remote: Any, tmp_path: Path
) -> None:
    remote = make_remote(tmp_path / "r", bare=True)
    head = remote.commit(FILES)
    engine = following(make_engine, remote, ignore="/stage/")
    await engine.settle()
    told = engine.condition("WrittenBack")
    assert "folders that are not read" in told["message"]
    assert remote.head == head
