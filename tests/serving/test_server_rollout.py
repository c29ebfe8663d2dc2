"""The serving process under load: switching, refusing, rolling back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.serving.client import CompletionError, complete, request

from .conftest import BREAKAGES, Served

pytestmark = pytest.mark.slow


class Load:
    """Requests without pause from two threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.generations: list[str] = []
        self.failures: list[str] = []
        self._stop = threading.Event()

    def run(self) -> None:
        body = {"model": "tiny", "prompt": "Who?", "max_tokens": 8}
        while not self._stop.is_set():
            try:
                answer = request(self.url, body, timeout=20)
            except CompletionError as error:
                self.failures.append(str(error))
            else:
                self.generations.append(answer["system_fingerprint"])

    @contextmanager
    def going(self) -> Iterator[Load]:
        threads = [threading.Thread(target=self.run) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def wait_for(self, fingerprint: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while self.generations[-1:] != [fingerprint]:
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_blue_green_and_rollback_lose_no_request(
    server: Served, first: Path, second: Path
) -> None:
    assert server.deploy(first, "g1").state == "Serving"
    with Load(server.url).going() as load:
        load.wait_for("tiny@g1")
        seen = server.deploy(second, "g2")
        load.wait_for("tiny@g2")
        took = []
        for path, name in ((first, "g1"), (second, "g2"), (first, "g1")):
            asked = time.monotonic()
            back = server.deploy(path, name)
            took.append(time.monotonic() - asked)
        load.wait_for("tiny@g1")
    assert load.failures == []
    assert seen.serving is not None
    assert seen.previous is not None
    assert (seen.serving.generation, seen.previous.generation) == ("g2", "g1")
    assert back.state == "Serving"
    assert min(took) < 1, "a busy machine may be late, not always"
    assert len(load.generations) > 20


def test_what_is_broken_never_takes_over(
    server: Served,
    first: Path,
    broken: Callable[[Callable[[Path], None]], Path],
) -> None:
    server.deploy(first, "good")
    with Load(server.url).going() as load:
        for breakage, message in BREAKAGES.items():
            name = breakage.__name__.replace("_", "-")
            seen = server.deploy(broken(breakage), name)
            assert seen.state == "Failed", name
            assert message in seen.message, name
            assert seen.serving is not None
            assert seen.serving.generation == "good"
        assert server.deploy(first, "good").state == "Serving"
    assert load.failures == []
    assert set(load.generations) == {"tiny@good"}


def test_a_version_in_memory_survives_its_files(
    server: Served, broken: Callable[..., Path]
) -> None:
    copy = broken(lambda _bundle: None)
    server.deploy(copy, "fragile", "fragile")
    before = complete(server.url, "fragile", "Who?")
    for file in copy.iterdir():
        file.write_bytes(b"")
    assert complete(server.url, "fragile", "Who?") == before
    server.process.files.remove_desired("fragile")


def test_a_damaged_wish_is_no_wish_to_stop(
    server: Served, first: Path
) -> None:
    server.deploy(first, "kept", "wish")
    path = server.process.files.models / "wish.json"
    wish = path.read_text()
    path.write_text("{ not json")
    server.deploy(first, "other")  # the damaged file was seen by then
    assert complete(server.url, "wish", "Who?", max_tokens=1)
    path.write_text(wish)


def test_withdrawing_a_model_unloads_it(server: Served, first: Path) -> None:
    server.deploy(first, "g1", "gone")
    server.process.files.remove_desired("gone")
    deadline = time.monotonic() + 60
    while server.process.files.observed("gone") is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(CompletionError, match="404: the model gone"):
        complete(server.url, "gone", "Who?")


def test_memory_stays_bounded_over_many_versions(
    server: Served, first: Path, second: Path
) -> None:
    server.deploy(first, "m0", "many")
    sizes = []
    for number in range(1, 5):
        server.deploy((second, first)[number % 2], f"m{number}", "many")
        sizes.append(server.process.rss_bytes() or 0)
    assert sizes[0] > 0
    assert sizes[-1] - sizes[1] < 30 * 2**20
    server.process.files.remove_desired("many")
