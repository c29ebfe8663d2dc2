"""A graph is written by one process at a time, and kept whole or not."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.retrieval import graphs
from reconciler.retrieval.embedder import EmbedderError
from reconciler.retrieval.graphs import GRAPH, kept_graph

DIGEST = "sha256:ab"


def write(directory) -> None:
    (directory / GRAPH).write_text("graph")
    (directory / "model.bin").write_bytes(b"weights")


def refuse(_directory) -> None:
    raise AssertionError("written again")


def test_who_comes_second_waits_and_writes_nothing(tmp_path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(directory) -> None:
        begun.set()
        assert go_on.wait(60)
        write(directory)

    with ThreadPoolExecutor() as threads:
        first = threads.submit(kept_graph, tmp_path, DIGEST, slowly)
        assert begun.wait(60)
        second = threads.submit(kept_graph, tmp_path, DIGEST, refuse)
        go_on.set()
        assert first.result(60) == second.result(60) == tmp_path / "sha256-ab"
    assert (first.result() / "model.bin").read_bytes() == b"weights"


def test_waiting_ends(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(graphs, "WAIT_SECONDS", 0.0)

    def impatient(_directory) -> None:
        kept_graph(tmp_path, DIGEST, refuse)

    with pytest.raises(EmbedderError, match="another process has been"):
        kept_graph(tmp_path, DIGEST, impatient)


def test_what_failed_or_was_cut_short_is_not_kept(tmp_path) -> None:
    def half(directory) -> None:
        (directory / "model.bin").write_bytes(b"half")
        raise EmbedderError("other vectors")

    with pytest.raises(EmbedderError, match="other vectors"):
        kept_graph(tmp_path, DIGEST, half)
    (tmp_path / "sha256-ab").mkdir()  # weights without a graph
    (tmp_path / "sha256-ab" / "model.bin").write_bytes(b"half")
    home = kept_graph(tmp_path, DIGEST, write)
    assert (home / "model.bin").read_bytes() == b"weights"
    assert kept_graph(tmp_path, DIGEST, refuse) == home
