import fcntl
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def up(tmp_path):
    from operating import operator

    with operator(tmp_path) as started:
        yield started


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest that a run without any kill promotes, found once for all.

    Workers share the directory above their own; who comes second waits.
    """
    from kill_moments import undisturbed_digest

    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    found = shared / "undisturbed"
    with (shared / "undisturbed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            root = tmp_path_factory.mktemp("run")
            found.write_text(undisturbed_digest(root))
    return found.read_text()
