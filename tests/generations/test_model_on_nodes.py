"""Several nodes look at the same model."""

from __future__ import annotations

from types import SimpleNamespace

from generation_objects import NOW, model

from reconciler.engine.resource import FINALIZER
from reconciler.generations import model_controller
from reconciler.generations.model_controller import Adapters, ModelController
from reconciler.generations.orphans import undeploy_orphans
from reconciler.serving.documents import Desired, ServerInfo, ServingState
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


class Objects(Nothing):
    """Models, and nothing else."""

    def __init__(self, *models):
        self._models = models

    def list(self, *_):
        return self._models


def serving(tmp_path, *names):
    state = ServingState(tmp_path / "serving")
    for name in names:
        state.write_desired(
            Desired(
                model=name,
                path=str(tmp_path),
                generation="g",
                digest="sha256:" + "0" * 64,
                device="CPU",
            )
        )
    return state


async def test_the_node_that_served_a_deleted_model_clears_up(
    tmp_path, monkeypatch
):
    """Its layout is gone already; another node must not let it go."""
    monkeypatch.setattr(model_controller, "answers", lambda _: True)
    gone = model(
        {"node": "a"},
        meta={
            "deletionTimestamp": "2026-11-25T01:00:00Z",
            "finalizers": [FINALIZER],
        },
    )
    context = SimpleNamespace(objects=Nothing())
    outcomes = {}
    for name in ("a", "b"):
        controller = node(name, tmp_path)
        seen = await controller.observe(context, gone)
        outcomes[name] = controller.plan(gone, seen, NOW)
    assert outcomes["a"].release
    assert not outcomes["b"].release


def test_what_no_model_is_called_is_not_served_any_more(tmp_path):
    state = serving(tmp_path, "m", "gone", "other--m")
    stopped = undeploy_orphans(state, Objects(model()))
    assert stopped == ["gone", "other--m"]
    assert list(state.desired_models()) == ["m"]
    assert undeploy_orphans(state, Objects(model())) == []
