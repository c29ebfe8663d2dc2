"""/v1/search over HTTP, in this process: answers, errors, switches."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
from pathlib import Path

import pytest
from aiohttp import test_utils

from reconciler.retrieval.approximate.tier import Wish
from reconciler.retrieval.build import build
from reconciler.retrieval.chunking import Passage
from reconciler.retrieval.embedder import EmbedderError, HashingEmbedder
from reconciler.retrieval.library import Library
from reconciler.retrieval.rerank_training import Listed, train
from reconciler.retrieval.search import Hit
from reconciler.retrieval.title_questions import TitleQuestion
from reconciler.serving.admission import Admission
from reconciler.serving.api import Api
from reconciler.serving.index_documents import (
    DesiredIndex,
    IndexFiles,
    Reranking,
)
from reconciler.serving.index_rollout import IndexRollout
from reconciler.serving.open_index import Opener
from reconciler.serving.search_endpoint import SearchEndpoint
from reconciler.serving.watch import index_fleet


class Site:
    """An index on the disk and the routes that answer from it."""

    def __init__(self, root: Path) -> None:
        self.documents = root / "docs"
        self.documents.mkdir()
        self.library = Library(root / "index")
        self.files = IndexFiles(root / "serving")
        self.files.prepare()
        self.rollouts: dict[str, IndexRollout] = {}
        self.endpoint = SearchEndpoint(self.rollouts)
        self.client: test_utils.TestClient | None = None

    def write(self, number: int) -> None:
        """Documents that all say which generation they are of."""
        for i in range(20):
            (self.documents / f"d{i}.md").write_text(
                f"# Topic {i}\n\nThe answer of generation {number:06} to "
                f"question {i} is written here in full.\n"
            )

    def build(self, approximate: Wish | None = None) -> str:
        report = build(
            self.library,
            [self.documents],
            HashingEmbedder(),
            approximate=approximate,
        )
        return report.generation

    def ask_for(self, reranking: Reranking | None = None) -> IndexRollout:
        name = "docs"
        self.files.write_desired(
            DesiredIndex(
                index=name,
                root=str(self.library.root),
                graphs=str(self.library.root.parent / "graphs"),
                device="CPU",
                reranking=reranking,
            )
        )
        rollout = IndexRollout(self.files, name)
        self.rollouts[name] = rollout
        return rollout

    async def post(self, **body):
        answer = await self.client.post(
            "/v1/search", data=json.dumps({"index": "docs", **body})
        )
        return answer.status, await answer.json()


@pytest.fixture
async def site(tmp_path):
    at = Site(tmp_path)
    app = Api({}, search=at.endpoint).application()
    async with test_utils.TestClient(test_utils.TestServer(app)) as client:
        at.client = client
        yield at
    for rollout in at.rollouts.values():
        rollout.unload()
    at.endpoint.close()


async def test_hits_tell_document_span_text_score_and_generation(site):
    site.write(1)
    site.build()
    await site.ask_for().converge()
    status, body = await site.post(query="question 7 in full", k=2)
    assert status == 200
    assert (body["index"], body["generation"]) == ("docs", "000001")
    first = body["hits"][0]
    assert first["document"] == "d7.md"
    assert first["span"] == {"start": 3, "end": 3}
    stands = first["characters"]
    document = (site.documents / "d7.md").read_text()
    assert document[stands["start"] : stands["end"]] == first["text"]
    assert "question 7 is written" in first["text"]
    assert first["score"] >= body["hits"][1]["score"]
    assert len(body["hits"]) == 2
    health = await (await site.client.get("/healthz")).json()
    assert health["indexes"] == {"docs": "000001"}


async def test_an_index_of_an_embedder_that_is_gone_is_to_be_built_again(site):
    site.write(1)
    build(site.library, [site.documents], HashingEmbedder(512))
    await site.ask_for().converge()
    told = site.files.observed("docs")
    assert (told.state, told.damaged) == ("Failed", "000001")
    assert "was built with hashed-features-512" in told.message
    site.build()
    rollout = site.rollouts["docs"]
    await rollout.converge()
    told = site.files.observed("docs")
    assert (told.state, told.damaged, told.generation) == (
        *("Serving", None),
        "000002",
    )


async def test_a_full_disk_keeps_nobody_from_answering(site, monkeypatch):
    site.write(1)
    site.build()
    rollout = site.ask_for()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(IndexFiles, "write_observed", full)
        await rollout.converge()
        status, body = await site.post(query="question 7 in full", k=1)
        assert (status, body["generation"]) == (200, "000001")
    assert site.files.observed("docs") is None
    await rollout.converge()
    assert site.files.observed("docs").generation == "000001"


async def test_a_graph_that_cannot_be_read_is_told_and_tried_again(site):
    site.write(1)
    graph = site.library.generation(site.build(Wish(5))) / "graph"
    (graph / "graph.json").rename(graph / "away")
    rollout = site.ask_for()
    await rollout.converge()
    status, body = await site.post(query="question 7 in full", k=2)
    assert (status, body["hits"][0]["document"]) == (200, "d7.md")
    told = site.files.observed("docs")
    assert (told.generation, told.state) == ("000001", "Serving")
    assert told.graph_damaged
    assert "holds no graph" in told.graph_fault
    await rollout.converge()
    (graph / "away").rename(graph / "graph.json")
    opened = rollout.current
    await rollout.converge()
    assert rollout.current is opened  # not at every look
    rollout._recheck_at = 0.0
    await rollout.converge()
    told = site.files.observed("docs")
    assert (told.graph_damaged, told.graph_fault) == (False, "")
    status, body = await site.post(query="question 7 in full", k=2)
    assert (status, body["hits"][0]["document"]) == (200, "d7.md")


async def test_a_filter_narrows_the_documents(site):
    site.write(1)
    site.build()
    await site.ask_for().converge()
    wanted = {"documents": ["d1[0-9].md"]}
    _, body = await site.post(query="question 7", k=20, filter=wanted)
    assert {hit["document"][:2] for hit in body["hits"]} == {"d1"}
    assert len(body["hits"]) == 10


@pytest.mark.slow
async def test_a_reranker_orders_the_hits_unless_it_is_left_out(
    site, tmp_path
):
    site.write(1)
    site.build()
    identity = HashingEmbedder().identity
    train(lessons(), tmp_path / "reranker", identity)
    train(lessons(), tmp_path / "other", "another embedder")
    site.ask_for(Reranking(path=str(tmp_path / "reranker"), depth=20))
    await site.rollouts["docs"].converge()
    question = "question 7 is written"
    _, judged = await site.post(query=question, k=5, rerank=True)
    _, usual = await site.post(query=question, k=5)
    assert usual == judged
    scores = [hit["score"] for hit in judged["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert all(hit["reranked"] for hit in judged["hits"])
    _, without = await site.post(query=question, k=5, rerank=False)
    assert not any(hit["reranked"] for hit in without["hits"])
    assert judged["hits"][0]["document"] == "d7.md"
    site.ask_for(Reranking(path=str(tmp_path / "other"), depth=20))
    await site.rollouts["docs"].converge()
    assert "another embedder" in site.files.observed("docs").message


def lessons():
    """The longer agreement of words is right."""
    question = TitleQuestion("alpha beta", frozenset({"d1"}), test=False)
    hits = [
        Hit(Passage(f"d{i}", 1, 1, "", text), 0.01, 0.5, i + 1)
        for i, text in enumerate(["alpha", "alpha beta", "gamma"])
    ]
    return [Listed(question, hits)] * 3


async def test_errors_have_the_shape_of_the_api(site):
    status, body = await site.post(query="why?")
    assert (status, body["error"]["code"]) == (404, "index_not_found")
    await site.ask_for().converge()  # nothing was built yet
    status, body = await site.post(query="why?")
    assert (status, body["error"]["type"]) == (503, "server_error")
    site.write(1)
    site.build()
    rollout = IndexRollout(site.files, "docs")
    site.rollouts["docs"] = rollout
    await rollout.converge()
    status, body = await site.post(query="why?", rerank=True)
    assert (status, body["error"]["param"]) == (400, "rerank")
    status, body = await site.post(query="")
    assert (status, body["error"]["param"]) == (400, "query")


async def test_a_device_that_fails_is_said_and_the_next_one_is_answered(
    site, monkeypatch
):
    site.write(1)
    site.build()
    await site.ask_for().converge()
    with monkeypatch.context() as patched:

        def fail(*_):
            raise EmbedderError("GPU: the device went away")

        patched.setattr(HashingEmbedder, "embed", fail)
        status, body = await site.post(query="why?")
        assert (status, body["error"]["type"]) == (500, "server_error")
        assert "went away" in body["error"]["message"]
    assert (await site.post(query="why?"))[0] == 200


async def test_more_questions_than_there_is_room_for_are_told_so(
    site, monkeypatch
):
    site.write(1)
    site.build()
    await site.ask_for().converge()
    site.endpoint.admission = Admission(capacity=3)
    go = threading.Event()
    embed = HashingEmbedder.embed

    def slowly(self, texts):
        assert go.wait(30)
        return embed(self, texts)

    monkeypatch.setattr(HashingEmbedder, "embed", slowly)
    asked = [asyncio.create_task(site.post(query="why?")) for _ in range(8)]
    refused, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    assert {task.result()[0] for task in refused} == {429}
    go.set()
    statuses = [status for status, _ in await asyncio.gather(*asked)]
    assert (statuses.count(200), statuses.count(429)) == (3, 5)


async def test_questions_during_switches_never_fail_and_never_mix(site):
    """Blue and green: every answer is of one generation, whole."""
    site.write(1)
    site.build()
    rollout = site.ask_for()
    await rollout.converge()
    done, seen = asyncio.Event(), set[str]()

    async def keep_asking() -> None:
        while not done.is_set():
            status, body = await site.post(query="answer in full", k=20)
            assert status == 200, body
            generation = body["generation"]
            assert len(body["hits"]) == 20
            for hit in body["hits"]:
                assert f"generation {generation} " in hit["text"]
            seen.add(generation)

    async with asyncio.TaskGroup() as asking:
        for _ in range(4):
            asking.create_task(keep_asking())
        for number in range(2, 8):
            await asyncio.to_thread(site.write, number)
            name = await asyncio.to_thread(site.build)
            await rollout.converge()
            assert rollout.current.generation == name == f"{number:06}"
            while name not in seen:  # at least one answer from each
                await site.post(query="once more")
        done.set()
    assert seen >= {f"{number:06}" for number in range(2, 8)}


async def test_files_of_a_retired_generation_are_closed_after_the_last_use(
    site,
):
    site.write(1)
    site.build()
    rollout = site.ask_for()
    await rollout.converge()
    old = rollout.current
    with old.lent() as alive:
        assert alive
        site.write(2)
        site.build()
        await rollout.converge()
        assert old._searcher.search("answer", 1)
    with old.lent() as alive:
        assert not alive
    assert rollout.current.generation == "000002"


async def test_what_cannot_be_opened_leaves_no_file_open(site, tmp_path):
    site.write(1)
    site.build()
    (tmp_path / "reranker").mkdir()
    (tmp_path / "reranker/notes").write_text("no model")
    rollout = site.ask_for(Reranking(path=str(tmp_path / "reranker"), depth=9))
    await rollout.converge()
    assert "no tokenizer.json" in site.files.observed("docs").message
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        rollout._refused = None
        await rollout.converge()
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


async def test_a_generation_that_cannot_be_opened_leaves_the_old_one(site):
    site.write(1)
    site.build()
    rollout = site.ask_for()
    await rollout.converge()
    site.write(2)
    name = site.build()
    damaged = site.library.generation(name) / "passages.db"
    damaged.write_bytes(b"rubbish")
    await rollout.converge()
    seen = site.files.observed("docs")
    assert (seen.state, seen.generation) == ("Failed", "000001")
    assert "another digest" in seen.message
    assert (await site.post(query="why?"))[1]["generation"] == "000001"
    site.build()
    await rollout.converge()
    seen = site.files.observed("docs")
    assert (seen.state, seen.generation) == ("Serving", "000003")


async def test_a_fleet_follows_wishes_and_pointers(site):
    site.write(1)
    fleet, stop = index_fleet(site.files), asyncio.Event()

    async def until(condition):
        while not condition():
            fleet.rescan()
            await asyncio.sleep(0.01)

    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        group.create_task(fleet.follow(stop))
        site.build()
        site.ask_for()
        await until(lambda: _answers(fleet) == "000001")
        site.write(2)
        site.build()
        await until(lambda: _answers(fleet) == "000002")
        site.files.remove_desired("docs")
        await until(lambda: not fleet.rollouts)
        assert site.files.observed("docs") is None
        stop.set()


def _answers(fleet):
    rollout = fleet.rollouts.get("docs")
    current = rollout.current if rollout else None
    return current.generation if current else None


async def test_what_is_let_go_while_it_is_opened_is_closed(site, monkeypatch):
    site.write(1)
    site.build()
    rollout, opened = site.ask_for(), []
    open_it = Opener.open

    def open_slowly(self, desired):
        opened.append(open_it(self, desired))
        site.files.remove_desired("docs")
        return opened[-1]

    monkeypatch.setattr(Opener, "open", open_slowly)
    await rollout.converge()
    (index,) = opened
    with index.lent() as alive:
        assert not alive
    assert rollout.current is None
    assert site.files.observed("docs") is None


async def test_latencies_are_reported_with_the_state(site, monkeypatch):
    monkeypatch.setattr("reconciler.serving.index_rollout.REPORT_SECONDS", 0.0)
    site.write(1)
    site.build()
    rollout = site.ask_for()
    await rollout.converge()
    assert site.files.observed("docs").questions == 0
    for _ in range(3):
        await site.post(query="why?")
    await rollout.converge()
    seen = site.files.observed("docs")
    assert seen.questions == 3
    assert 0 < seen.p50 <= seen.p99
