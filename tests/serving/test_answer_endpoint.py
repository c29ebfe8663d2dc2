"""/v1/answer over HTTP: answers, abstentions, errors."""

from __future__ import annotations

import pytest
from aiohttp import test_utils

from reconciler.retrieval.build import build
from reconciler.retrieval.embedder import HashingEmbedder
from reconciler.retrieval.library import Library
from reconciler.retrieval.selfrag import assembly
from reconciler.serving.api import Api
from reconciler.serving.index_documents import DesiredIndex, IndexFiles
from reconciler.serving.index_rollout import IndexRollout
from reconciler.serving.search_endpoint import SearchEndpoint
from tests.retrieval.selfrag.test_selfrag_heads import heads


@pytest.fixture
async def post(tmp_path):
    documents = tmp_path / "docs"
    documents.mkdir()
    (documents / "frost.md").write_text(
        "# Frost\n\nWater freezes at zero degrees and takes more room.\n"
    )
    library = Library(tmp_path / "index")
    build(library, [documents], HashingEmbedder())
    files = IndexFiles(tmp_path / "serving")
    files.prepare()
    files.write_desired(
        DesiredIndex(
            index="docs",
            root=str(library.root),
            graphs=str(tmp_path / "graphs"),
            device="CPU",
        )
    )
    ready, unready = (IndexRollout(files, "docs") for _ in range(2))
    await ready.converge()
    endpoint = SearchEndpoint({"docs": ready, "next": unready})
    app = Api({}, search=endpoint).application()
    async with test_utils.TestClient(test_utils.TestServer(app)) as client:

        async def post(**body):
            answer = await client.post("/v1/answer", json=body)
            return answer.status, await answer.json()

        yield post
    ready.unload()
    endpoint.close()


async def test_answers_have_evidence_and_abstentions_reasons(
    post, monkeypatch
) -> None:
    known = heads(1024)
    monkeypatch.setattr(assembly, "load_heads", lambda _path: known)
    status, body = await post(index="docs", question="when does water freeze?")
    assert (status, body["verdict"]) == (200, "answered")
    assert (
        body["answer"] == "Water freezes at zero degrees and takes more room."
    )
    assert body["evidence"][0]["document"] == "frost.md"
    assert (body["index"], body["generation"]) == ("docs", "000001")
    status, body = await post(index="docs", question="who sang the opera?")
    assert (status, body["verdict"], body["answer"]) == (200, "abstained", "")
    assert body["reason"]


async def test_an_index_that_the_critics_do_not_know_is_named(post) -> None:
    status, body = await post(index="docs", question="why?")
    assert (status, body["error"]["param"]) == (409, "index")
    assert "these critics were trained with" in body["error"]["message"]


async def test_errors_have_the_shape_of_the_api(post) -> None:
    status, body = await post(index="none", question="why?")
    assert (status, body["error"]["code"]) == (404, "index_not_found")
    status, body = await post(index="next", question="why?")
    assert (status, body["error"]["type"]) == (503, "server_error")
    status, body = await post(index="docs", question=" ")
    assert (status, body["error"]["param"]) == (400, "question")
    status, body = await post(index="docs", question="why?", k=3)
    assert status == 400
