from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.retrieval.build import build
from reconciler.retrieval.embedder import HashingEmbedder
from reconciler.retrieval.library import Library
from reconciler.serving.index_documents import DesiredIndex
from reconciler.serving.open_index import Opener
from reconciler.serving.shared_models import SharedModels
from tests.retrieval.library_support import write_documents


class Model:
    """Something large."""


def test_a_model_is_loaded_once_and_goes_with_its_last_user() -> None:
    models = SharedModels[Model]()
    first = models.get("a", Model)
    assert models.get("a", Model) is first
    assert models.get("b", Model) is not first
    assert models.get("a", Model, lambda _: False) is not first

    models.get("c", Model)  # nobody keeps it
    gc.collect()
    loaded: list[Model] = []

    def load() -> Model:
        loaded.append(Model())
        return loaded[-1]

    assert models.get("c", load) is loaded[0]


def test_who_asks_meanwhile_waits_and_others_do_not() -> None:
    models, go_on = SharedModels[Model](), threading.Event()
    begun = threading.Event()

    def slowly() -> Model:
        begun.set()
        assert go_on.wait(60)
        return Model()

    def refuse() -> Model:
        raise AssertionError("loaded twice")

    with ThreadPoolExecutor() as threads:
        first = threads.submit(models.get, "a", slowly)
        assert begun.wait(60)
        second = threads.submit(models.get, "a", refuse)
        assert models.get("b", Model)
        go_on.set()
        assert first.result(60) is second.result(60)


def test_what_cannot_be_loaded_is_tried_again() -> None:
    def fail() -> Model:
        raise OSError("the disk is away")

    models = SharedModels[Model]()
    with pytest.raises(OSError, match="away"):
        models.get("a", fail)
    assert models.get("a", Model)


def test_two_indexes_answer_with_one_embedder(tmp_path) -> None:
    opener, opened = Opener(), []
    source = write_documents(tmp_path / "docs", 3)
    for name in ("one", "two"):
        library = Library(tmp_path / name)
        build(library, [source], HashingEmbedder())
        wanted = DesiredIndex(
            index=name,
            root=str(library.root),
            graphs=str(tmp_path / "graphs"),
            device="CPU",
        )
        opened.append(opener.open(wanted))
    one, two = opened
    assert one.embedder is two.embedder
    for index in opened:
        index.retire()
