"""An index of judged answers: real rows, real build, real answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.engine.controller import TransientError
from reconciler.feedback import (
    EmbeddedServer,
    NoServerError,
    counts,
    import_rows,
    migrate,
)
from reconciler.feedback.binaries import discover, select
from reconciler.feedback.resource import FeedbackStore
from reconciler.indexes.plan import ExportRows
from reconciler.serving.client import post

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    try:
        select(discover(), None)
    except NoServerError as error:
        pytest.skip(str(error))
    server = EmbeddedServer(tmp_path_factory.mktemp("pg"))
    migrate(server.ensure("default.feedback"))
    yield server
    server.stop()


@pytest.fixture
def dsn(postgres):
    return postgres.dsn("default.feedback")


def judged(answer, value, model="docs"):
    return {
        "kind": "thumbs",
        "model": model,
        "generation": f"{model}-1",
        "prompt": f"What of {answer}?",
        "response": f"Everything that there is to say of {answer}.",
        "value": value,
        "rater": "ann",
    }


def ready_store(dsn):
    """The object as its controller reports it."""
    return FeedbackStore.parse(
        {
            "metadata": {"name": "feedback", "uid": "f"},
            "spec": {},
            "status": {
                "through": str(counts(dsn, 0).through),
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "True",
                        "reason": "Available",
                        "message": "",
                        "lastTransitionTime": "2026-11-28T14:00:00Z",
                    }
                ],
            },
        }
    )


async def test_liked_answers_are_found_and_new_ones_follow(
    world, postgres, dsn
):
    at = world(
        source={"feedbackStoreRef": {"name": "feedback", "model": "docs"}}
    )
    at.adapters = replace(at.adapters, postgres=postgres)
    at.__post_init__()
    rows = [judged("volcanoes", True), judged("glaciers", False)]  # noqa: FBT003
    import_rows(dsn, [*rows, judged("deserts", True, "other")])  # noqa: FBT003
    at.objects.add(ready_store(dsn))
    await at.settle()
    assert at.live.status.documents == 1
    (hit, *_) = search(at, "volcanoes")
    assert hit["document"].startswith("docs/docs-1/")
    assert hit["title"] == "What of volcanoes?"
    assert ("ExportRows", "1 answers of feedback are to be indexed") in (
        at.events.seen
    )
    import_rows(dsn, [judged("meadows", True)])  # noqa: FBT003
    at.objects.add(ready_store(dsn))
    await at.until(lambda: at.live.status.documents == 2)
    await at.settle()
    assert search(at, "meadows")[0]["title"] == "What of meadows?"
    assert at.live.status.build.embedded == 1
    home = at.adapters.home(at.live)
    await at.until(lambda: len(list((home.root / "rows").iterdir())) == 1)


async def test_a_database_that_is_away_is_tried_again(world, postgres, dsn):
    at = world(source={"feedbackStoreRef": {"name": "feedback"}})
    at.adapters = replace(
        at.adapters, postgres=EmbeddedServer(postgres.directory / "absent")
    )
    at.__post_init__()
    at.objects.add(ready_store(dsn))
    seen = await at.controller.observe(at.context, at.live)
    with pytest.raises(TransientError, match="no server at the socket"):
        await at.controller.act(
            at.context, at.live, ExportRows("k", seen.wanted.source)
        )
    assert not list(at.adapters.indexes.rglob("*.jsonl"))


def search(at, text):
    status = at.live.status
    body = {"index": status.index, "query": text}
    return post(status.endpoint, "search", body)["hits"]
