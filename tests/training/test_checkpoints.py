from __future__ import annotations

from pathlib import Path

from reconciler.training import checkpoints
from reconciler.training.checkpoints import MARKER


def make(directory: Path, step: int, *, complete: bool = True) -> Path:
    path = directory / f"sft-{step}"
    path.mkdir(parents=True)
    (path / "state.pt").write_bytes(b"x")
    if complete:
        checkpoints.complete(path)
    return path


def test_without_any_there_is_no_newest(tmp_path) -> None:
    assert checkpoints.newest(tmp_path / "absent") is None
    assert checkpoints.newest(tmp_path) is None


def test_the_newest_is_by_number_not_by_name(tmp_path) -> None:
    for step in (90, 100, 20):
        make(tmp_path, step)
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert checkpoints.step_of(found) == 100


def test_one_without_its_marker_does_not_exist(tmp_path) -> None:
    make(tmp_path, 10)
    make(tmp_path, 20, complete=False)
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert checkpoints.step_of(found) == 10


def test_tidying_keeps_the_two_newest_complete_ones(tmp_path) -> None:
    for step in (10, 20, 30):
        make(tmp_path, step)
    make(tmp_path, 40, complete=False)
    (tmp_path / "runs").mkdir()  # somebody else's
    checkpoints.tidy(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "runs",
        "sft-20",
        "sft-30",
    ]


def test_a_marker_is_removed_before_what_it_vouches_for(
    tmp_path, monkeypatch
) -> None:
    make(tmp_path, 10)
    make(tmp_path, 20)
    make(tmp_path, 30)

    def crash(path: Path) -> None:
        raise KeyboardInterrupt(path)

    monkeypatch.setattr(checkpoints.shutil, "rmtree", crash)
    try:
        checkpoints.tidy(tmp_path)
    except KeyboardInterrupt:
        assert not (tmp_path / "sft-10" / MARKER).exists()
    else:
        raise AssertionError
