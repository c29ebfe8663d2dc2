"""Several nodes look at the same model."""

from __future__ import annotations

from types import SimpleNamespace

from generation_objects import NOW, model

from reconciler.generations import model_controller
from reconciler.generations.model_controller import Adapters, ModelController
from reconciler.serving.documents import ServerInfo, ServingState
from reconciler.storage.placement import Place


class Nothing:
    """No objects besides the model."""

    def get(self, *_):
        return None

    def list(self, *_):
        return []


def node(name, place):
    """A node that serves models at an address of its own."""
    info = ServerInfo(
        pid=1,
        start_ticks=1,
        port=1,
        url=f"http://{name}:1",
        started_at="2026-01-01T00:00:00Z",
    )
    return ModelController(
        Adapters(
            Place(name, alone=False),
            place / "datasets",
            None,
            SimpleNamespace(info=lambda: info),
            ServingState(place / name),
            None,
        )
    )


async def test_nodes_say_the_same_of_a_model_whose_layout_is_missing(
    tmp_path, monkeypatch
):
    """Otherwise each answers the status of the other, without an end."""
    monkeypatch.setattr(model_controller, "answers", lambda _: True)
    context, live = SimpleNamespace(objects=Nothing()), model()
    told = []
    for name in ("a", "b", "a"):
        controller = node(name, tmp_path)
        seen = await controller.observe(context, live)
        status = controller.plan(live, seen, NOW).status
        live = live.model_copy(update={"status": status})
        told.append(status)
    assert told[0].conditions
    assert told[1:] == told[:-1]
