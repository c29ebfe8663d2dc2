"""Looking at a root directory: what is seen, and what it costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.storage import inspection as inspection_module
from reconciler.storage.inspection import Inspection
from reconciler.storage.ownership import claim
from reconciler.storage.plan import LayoutFacts


@pytest.fixture
def ready(backend, source):
    claim(backend, "default/models")
    for name in ("g1", "g2"):
        backend.commit("docs", name, *source(name))
    backend.activate("docs", "g2")
    backend.hold("docs", "g1", "promotion")
    return backend


def docs(facts: LayoutFacts):
    return facts.datasets[0]


def test_a_look_at_nothing_creates_nothing(backend):
    facts = Inspection().layout(backend, ("docs",), deep=False)
    assert facts == LayoutFacts(root=str(backend.root))
    assert not backend.root.exists()


def test_everything_is_seen(ready):
    facts = Inspection().layout(ready, ("docs", "more"), deep=False)
    assert facts.owner == "default/models"
    assert facts.held == ("docs/g1",)
    assert facts.used_bytes == 4
    assert facts.materialisation == ready.materialisation
    assert docs(facts).current == "g2"
    names = [(g.stored.name, g.stored.held) for g in docs(facts).generations]
    assert names == [("g1", True), ("g2", False)]
    assert [dataset.usable for dataset in facts.datasets] == [True, False]


def test_somebody_elses_files_are_foreign(backend):
    backend.root.mkdir()
    (backend.root / "photo.jpg").write_text("of a person")
    facts = Inspection().layout(backend, ("docs",), deep=True)
    assert facts.foreign is not None
    assert "photo.jpg" in facts.foreign


def test_bytes_are_read_once_and_again_on_request(ready, monkeypatch):
    read: list[Path] = []
    original = inspection_module.problems

    def counting(tree, manifest):
        read.append(tree)
        return original(tree, manifest)

    monkeypatch.setattr(inspection_module, "problems", counting)
    eyes = Inspection()
    for _ in range(3):
        eyes.layout(ready, ("docs",), deep=False)
    assert len(read) == 2
    eyes.layout(ready, ("docs",), deep=True)
    assert len(read) == 4


def test_a_change_is_found_without_a_request(ready):
    eyes = Inspection()
    eyes.layout(ready, ("docs",), deep=False)
    model = ready.path("docs", "g2") / "model.bin"
    model.chmod(0o644)
    model.write_text("changed")
    found = docs(eyes.layout(ready, ("docs",), deep=False)).generations[1]
    assert found.problems == ("model.bin changed",)
    assert not found.rebuildable


def test_a_lost_tree_is_rebuildable_while_its_objects_are_intact(ready, lose):
    eyes = Inspection()
    lose(ready.path("docs", "g1"))
    found = docs(eyes.layout(ready, ("docs",), deep=False)).generations[0]
    assert (found.problems, found.rebuildable) == (
        ("the directory is missing",),
        True,
    )
    for path in ready.objects.root.glob("??/*"):
        path.chmod(0o644)
        path.write_text("")
    found = docs(eyes.layout(ready, ("docs",), deep=False)).generations[0]
    assert not found.rebuildable


def test_one_damaged_manifest_does_not_hide_the_others(ready):
    manifests = ready.root / "datasets" / "docs" / "manifests"
    (manifests / "g1.json").write_bytes(b"\xff")
    (manifests / "Bad Name.json").write_text("{}")
    found = docs(Inspection().layout(ready, ("docs",), deep=False))
    assert [g.stored.name for g in found.generations] == ["g2"]
    assert len(found.damaged) == 2
