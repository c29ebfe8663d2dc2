"""Starting, finding, killing and stopping the serving process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.runs import lock
from reconciler.serving.client import complete, request
from reconciler.serving.documents import ServerInfo, ServingState
from reconciler.serving.process import (
    ServerProcess,
    ServerStartError,
    answers,
    resident_bytes,
    start_ticks,
)
from reconciler.serving.server import listen

from .conftest import REPOSITORY, Served, garbage_graph

STARTER = """
import sys, time
from pathlib import Path
from reconciler.serving.process import ServerProcess
print(ServerProcess(Path(sys.argv[1])).ensure().pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "serving")
    yield process
    process.stop()


def kill(process: ServerProcess) -> ServerInfo:
    """SIGKILL the server and wait until it is gone."""
    info = process.info()
    assert info is not None
    os.kill(info.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while lock.is_held(process.files.lock):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return info


@pytest.mark.slow
def test_starting_is_idempotent_also_from_several_threads(
    process: ServerProcess,
) -> None:
    found: list[ServerInfo] = []
    threads = [
        threading.Thread(target=lambda: found.append(process.ensure()))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len({info.pid for info in found}) == 1
    assert process.ensure() == found[0]
    assert process.info() == found[0]


@pytest.mark.slow
def test_the_server_outlives_whoever_started_it(
    process: ServerProcess,
) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(process.state)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    starter.stdout.close()
    info = process.ensure()
    assert info.pid == pid
    assert os.getsid(pid) == pid
    assert (process.rss_bytes() or 0) > 10 * 2**20


@pytest.mark.slow
def test_after_sigkill_it_comes_back_with_what_served(
    process: ServerProcess, first: Path
) -> None:
    served = Served(process)
    assert served.deploy(first, "g1").state == "Serving"
    before = complete(served.url, "tiny", "Who?")
    old = kill(process)
    assert process.info() is None
    new = process.ensure()
    assert new.pid != old.pid
    assert new.url == old.url
    assert wait_for_answer(new.url) == before


@pytest.mark.slow
def test_after_sigkill_with_a_broken_wish_the_good_version_returns(
    process: ServerProcess, first: Path, broken: object
) -> None:
    served = Served(process)
    served.deploy(first, "g1")
    copy = broken(garbage_graph)  # type: ignore[operator]
    assert served.deploy(copy, "g2").state == "Failed"
    kill(process)
    url = process.ensure().url
    assert wait_for_answer(url) is not None
    answer = request(url, {"model": "tiny", "prompt": "Who?"})
    assert answer["system_fingerprint"] == "tiny@g1"
    seen = served.outcome("g2")
    assert seen.state == "Failed"
    assert seen.serving is not None
    assert seen.serving.generation == "g1"


def wait_for_answer(url: str) -> str:
    deadline = time.monotonic() + 60
    while True:
        try:
            return complete(url, "tiny", "Who?")
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@pytest.mark.slow
def test_stopping_ends_it_and_is_idempotent(process: ServerProcess) -> None:
    info = process.ensure()
    assert process.stop() is True
    assert not answers(info, timeout=0.5)
    assert process.info() is None
    assert process.stop() is False


@pytest.mark.slow
def test_a_stopped_server_ignores_terms_but_not_kill(
    process: ServerProcess,
) -> None:
    info = process.ensure()
    os.kill(info.pid, signal.SIGSTOP)
    assert process.stop(timeout=0.2) is True
    assert process.info() is None


@pytest.mark.slow
def test_serving_needs_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, reconciler.serving.server, reconciler.serving.probe;"
        "import openvino, tokenizers;"
        "print(sorted({'torch', 'transformers', 'nncf'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_the_controller_side_imports_nothing_heavy() -> None:
    code = (
        "import sys, reconciler.serving.documents,"
        "reconciler.serving.devices, reconciler.serving.client;"
        "print(sorted({'torch', 'openvino', 'numpy', 'tokenizers',"
        "'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = ServerProcess(tmp_path / "serving", port=port)
        with pytest.raises(ServerStartError, match="in use"):
            process.ensure()
    assert process.info() is None


def info_of(pid: int, ticks: int, port: int = 1) -> ServerInfo:
    return ServerInfo(
        pid=pid,
        start_ticks=ticks,
        port=port,
        url=f"http://127.0.0.1:{port}",
        started_at="2026-11-25T00:00:00Z",
    )


def test_a_pid_that_was_used_again_is_not_the_server(tmp_path: Path) -> None:
    state = ServingState(tmp_path)
    state.write_server(info_of(os.getpid(), 1))
    handle = lock.acquire(state.lock)
    assert handle is not None
    process = ServerProcess(tmp_path)
    assert process.info() is None
    assert process.stop(timeout=0.1) is False  # and we are still alive
    os.close(handle)


def test_without_its_lock_a_live_pid_is_not_the_server(
    tmp_path: Path,
) -> None:
    ticks = start_ticks(os.getpid())
    assert ticks is not None
    ServingState(tmp_path).write_server(info_of(os.getpid(), ticks))
    assert ServerProcess(tmp_path).info() is None


def test_the_last_port_is_kept_if_it_is_free() -> None:
    with listen("127.0.0.1", 0, None) as listener:
        port = listener.getsockname()[1]
        listener.listen()
        with listen("127.0.0.1", 0, info_of(1, 1, port)) as other:
            assert other.getsockname()[1] != port
    with listen("127.0.0.1", 0, info_of(1, 1, port)) as again:
        assert again.getsockname() == ("127.0.0.1", port)


def test_processes_that_are_gone_have_no_start_and_no_memory() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert start_ticks(done.pid) is None
    assert resident_bytes(done.pid) is None
    assert (resident_bytes(os.getpid()) or 0) > 2**20
