"""Where documents come from, and when they count as changed."""

from __future__ import annotations

import pytest

from reconciler.artifacts import digest_of
from reconciler.feedback.resource import FeedbackStore
from reconciler.indexes.observation import Problem
from reconciler.indexes.resource import VectorIndex
from reconciler.indexes.sources import SourceFinder, model_of, recipe_of
from reconciler.retrieval import chunking
from reconciler.storage.backend import layout_backend
from reconciler.storage.placement import Place
from reconciler.storage.resource import DatasetLayout


class Objects:
    """What there is, by kind and name."""

    def __init__(self, *items):
        self._items = {(type(i), i.metadata.name): i for i in items}

    def get(self, kind, _namespace, name):
        return self._items.get((kind, name))


def index(source, **spec):
    return VectorIndex.parse(
        {
            "metadata": {"name": "docs", "uid": "u"},
            "spec": {"source": source, **spec},
        }
    )


def store(through="5", ready="True", **rewards):
    return FeedbackStore.parse(
        {
            "metadata": {"name": "answers", "uid": "f"},
            "spec": {"rewards": rewards},
            "status": {
                "through": through,
                "conditions": [
                    {
                        "type": "Ready",
                        "status": ready,
                        "reason": "Available",
                        "message": "",
                        "lastTransitionTime": "2026-11-28T14:00:00Z",
                    }
                ],
            },
        }
    )


@pytest.fixture
def finder(tmp_path):
    return SourceFinder(tmp_path / "datasets", Place("here", alone=False))


def feedback(finder, *items, **wanted):
    source = {"feedbackStoreRef": {"name": "answers", **wanted}}
    return finder.locate(Objects(*items), index(source))


def test_feedback_changes_with_its_rows_and_with_what_is_taken(finder):
    one = feedback(finder, store())
    assert one.fingerprint == feedback(finder, store()).fingerprint
    others = [
        feedback(finder, store("6")),
        feedback(finder, store(), model="m"),
        feedback(finder, store(), minReward="0.5"),
        feedback(finder, store(thumbsUp="0.5")),
    ]
    prints = {other.fingerprint for other in others}
    assert len(prints | {one.fingerprint}) == 5


@pytest.mark.parametrize(
    "items", [(), (store(through=None),), (store(ready="False"),)]
)
def test_a_store_that_is_not_ready_is_waited_for(finder, items):
    found = feedback(finder, *items)
    assert found.fingerprint is None
    assert found.problem.reason == "DependencyNotReady"
    assert not found.problem.lasting


def layout(node="here"):
    return DatasetLayout.parse(
        {
            "metadata": {"name": "data", "uid": "l"},
            "spec": {"datasets": [{"name": "manuals"}]},
            "status": {"node": node},
        }
    )


def dataset(finder, *items):
    source = {"datasetRef": {"layoutRef": {"name": "data"}}}
    source["datasetRef"]["dataset"] = "manuals"
    return finder.locate(Objects(*items), index(source))


def test_a_dataset_gives_its_current_generation(finder, tmp_path):
    assert "does not exist" in dataset(finder).problem.message
    backend = layout_backend(finder.datasets, layout())
    backend.ensure("manuals")
    assert "no generation" in dataset(finder, layout()).problem.message
    prints = []
    for name in ("g1", "g2"):
        tree = tmp_path / name
        tree.mkdir()
        (tree / "a.md").write_text(f"# A\n\nThis is what {name} has to say.\n")
        backend.commit("manuals", name, tree, digest_of(tree))
        backend.activate("manuals", name)
        found = dataset(finder, layout())
        assert found.directory.resolve() == (
            backend.path("manuals", name).resolve()
        )
        prints.append(found.fingerprint)
    assert prints[0] != prints[1]
    backend.activate("manuals", "g1")
    assert dataset(finder, layout()).fingerprint == prints[0]


def test_a_dataset_of_another_node_is_said_with_its_name(finder):
    problem = dataset(finder, layout("elsewhere")).problem
    assert (problem.reason, problem.lasting) == ("OtherNode", True)
    assert "elsewhere" in problem.message


def test_a_model_is_named_or_installed_or_missing(tmp_path):
    source = {"directory": {"path": "/docs"}}
    assert model_of(index(source), tmp_path) == str(tmp_path)
    named = {"type": "SentenceTransformers", "path": "/model"}
    assert model_of(index(source, embedder=named), None) == "/model"
    hashing = index(source, embedder={"type": "Hashing"})
    assert model_of(hashing, tmp_path) == "hashing"
    missing = model_of(index(source), None)
    assert isinstance(missing, Problem)
    assert missing.lasting


def test_the_recipe_changes_with_everything_that_decides_over_vectors(
    tmp_path, monkeypatch
):
    source = {"directory": {"path": "/docs"}}
    (tmp_path / "weights").write_bytes(b"1")
    model = str(tmp_path)
    first = recipe_of(index(source), model)
    assert first == recipe_of(index(source, interval="5s"), model)
    reranker = {"path": str(tmp_path)}
    changed = [
        recipe_of(index(source, metric="ip"), model),
        recipe_of(index(source, chunking={"maxCharacters": 500}), model),
        recipe_of(index(source, embedder={"precision": "INT8"}), model),
        recipe_of(index(source, reranker=reranker), model),
        recipe_of(index(source), "hashing"),
        recipe_of(index(source, approximateAbove=5), model),
        recipe_of(index(source, approximateAbove=6), model),
        recipe_of(index(source, approximateAbove=6, minimumRecall="1"), model),
    ]
    (tmp_path / "weights").write_bytes(b"23")
    changed.append(recipe_of(index(source), model))
    (tmp_path / "1_Pooling").mkdir()
    changed.append(recipe_of(index(source), model))
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")
    changed.append(recipe_of(index(source), model))
    # Another version of this program may split documents in another way.
    monkeypatch.setattr(chunking, "_VERSION", 99)
    changed.append(recipe_of(index(source), model))
    assert len({first, *changed}) == 13
    gone = recipe_of(index(source), str(tmp_path / "absent"))
    assert isinstance(gone, Problem)
    assert gone.reason == "ModelMissing"
