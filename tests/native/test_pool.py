from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from reconciler.retrieval import ExactIndex

_native = pytest.importorskip(
    "reconciler._native", reason="installed without a C++ compiler"
)


def index(threads: int, **options) -> ExactIndex:
    vectors = np.random.default_rng(0).standard_normal((9000, 64))
    made = ExactIndex(64, threads=threads, **options)
    made.add(np.arange(9000), vectors)
    return made


QUERIES = np.random.default_rng(1).standard_normal((40, 64))


def tasks() -> set[str]:
    return {path.name for path in Path("/proc/self/task").iterdir()}


def wait_for_child(pid: int) -> int:
    for _ in range(2000):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    pytest.fail("the child hangs")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_can_search() -> None:
    made = index(3)
    expected, _ = made.search(QUERIES, 5)
    pid = os.fork()
    if pid == 0:
        same = (made.search(QUERIES, 5)[0] == expected).all()
        os._exit(0 if same else 1)
    assert wait_for_child(pid) == 0
    np.testing.assert_array_equal(made.search(QUERIES, 5)[0], expected)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_amid_searches_does_not_hang() -> None:
    made = index(2)
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            made.search(QUERIES, 5)

    busy = [threading.Thread(target=search) for _ in range(2)]
    for thread in busy:
        thread.start()
    try:
        for _ in range(5):
            pid = os.fork()
            if pid == 0:
                made.search(QUERIES, 5)
                os._exit(0)
            assert wait_for_child(pid) == 0
    finally:
        stop.set()
        for thread in busy:
            thread.join()


def affinity(task: str) -> set[int]:
    try:
        return os.sched_getaffinity(int(task))
    except ProcessLookupError:
        return set()


def test_helpers_run_on_the_given_cpus() -> None:
    cpu = min(os.sched_getaffinity(0))
    # A sanitizer starts a thread of its own when it sees the first of others.
    first = threading.Thread(target=int)
    first.start()
    first.join()
    before = tasks()
    made = index(3, cpus={cpu})
    made.search(QUERIES, 5)
    new = tasks() - before
    # Something else in this process may have started a thread meanwhile.
    helpers = {task for task in new if affinity(task) == {cpu}}
    assert len(helpers) == 2
    assert os.sched_getaffinity(0) != set()
    del made
    for _ in range(500):
        if not helpers & tasks():
            return
        time.sleep(0.01)
    pytest.fail("the threads of a dropped index go on")


def test_searches_run_beside_python() -> None:
    made = index(1)
    queries = np.tile(QUERIES, (50, 1))
    turns, done = 0, threading.Event()

    def search() -> None:
        made.search(queries, 5)
        done.set()

    thread = threading.Thread(target=search)
    thread.start()
    while not done.is_set():
        turns += 1
        time.sleep(0)
    thread.join()
    assert turns > 50
