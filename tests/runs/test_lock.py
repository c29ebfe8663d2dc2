import os
import subprocess
import sys
from pathlib import Path

from reconciler.runs import lock


def test_a_held_lock_cannot_be_taken(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    handle = lock.acquire(path)

    assert handle is not None
    assert lock.is_held(path)
    assert lock.acquire(path, wait=0.05) is None
    os.close(handle)
    assert not lock.is_held(path)


def test_a_missing_file_is_a_free_lock(tmp_path: Path) -> None:
    assert not lock.is_held(tmp_path / "lock")
    assert lock.holder(tmp_path / "lock") is None


def test_the_holder_is_known_only_while_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    handle = lock.acquire(path)
    assert handle is not None
    assert lock.holder(path) is None

    lock.write_holder(handle, 4711)

    assert lock.holder(path) == 4711
    os.close(handle)
    assert lock.holder(path) is None


def test_a_new_holder_is_not_mistaken_for_the_old(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("4711\n")

    handle = lock.acquire(path)

    assert handle is not None
    assert lock.holder(path) is None
    os.close(handle)


def test_the_kernel_frees_the_lock_of_a_killed_process(
    tmp_path: Path,
) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path; from reconciler.runs import "
        "lock; lock.acquire(Path(sys.argv[1])); print(1, flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"1\n"
    assert lock.is_held(path)

    holder.kill()
    holder.communicate()

    handle = lock.acquire(path)
    assert handle is not None
    os.close(handle)
