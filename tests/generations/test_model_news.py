"""What is told when another generation serves."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from generation_objects import generation, model

from reconciler.generations import model_controller
from reconciler.generations.model_actions import Activate, Hold
from reconciler.generations.model_controller import ModelController
from reconciler.generations.model_news import News, news
from reconciler.generations.resource import ModelStatus

GENERATIONS = [generation(1), generation(2)]


def served(name):
    since = "2026-01-01T00:00:00Z"
    return {"generation": name, "digest": "d", "device": "CPU", "since": since}


@pytest.mark.parametrize(
    ("now", "before", "wanted"),
    [
        (None, None, None),
        ("m-1", None, News("Promoted", "m-1 serves on CPU")),
        (
            "m-2",
            "m-1",
            News("Promoted", "m-2 serves on CPU instead of m-1"),
        ),
        (
            "m-1",
            "m-2",
            News("RolledBack", "m-1 serves on CPU instead of m-2"),
        ),
    ],
)
def test_a_promotion_and_a_rollback_are_told_apart(now, before, wanted):
    status = ModelStatus.model_validate(
        {
            "production": served(now) if now else None,
            "previous": served(before) if before else None,
        }
    )
    assert news(status, GENERATIONS) == wanted


async def test_they_are_told_when_the_pointer_has_moved(monkeypatch):
    done, told = [], []
    monkeypatch.setattr(
        ModelController, "_act", lambda *given: done.append(given[-1])
    )
    events = SimpleNamespace(
        normal=lambda _, *said: told.append(("Normal", *said)),
        warning=lambda _, *said: told.append(("Warning", *said)),
    )
    objects = SimpleNamespace(list=lambda *_: GENERATIONS)
    context = SimpleNamespace(objects=objects, events=events)
    controller = model_controller.ModelController(None)
    old, new = served("m-1"), served("m-2")
    live = model({"production": new, "previous": old})
    await controller.act(context, live, Activate("k", "m-2-d"))
    await controller.act(context, live, Hold("k", "m-2-d"))
    assert len(done) == 2
    text = "m-2 serves on CPU instead of m-1"
    assert told == [("Normal", "Promoted", text)]
    back = model({"production": old, "previous": new})
    await controller.act(context, back, Activate("k", "m-1-d"))
    assert told[-1][:2] == ("Warning", "RolledBack")
