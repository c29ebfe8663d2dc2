from __future__ import annotations

from pathlib import Path

import pytest

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


@pytest.mark.parametrize("damage", ["changed", "shortened", "lost"])
def test_a_damaged_one_is_named_and_the_one_before_is_used(
    tmp_path, capsys, damage
) -> None:
    older, newer = make(tmp_path, 10), make(tmp_path, 20)
    state = newer / "state.pt"
    match damage:
        case "changed":
            state.write_bytes(b"y")
        case "shortened":
            state.write_bytes(b"")
        case _:
            state.unlink()

    assert checkpoints.newest(tmp_path) == older

    assert "sft-20 is damaged (state.pt changed)" in capsys.readouterr().err
    assert not newer.exists()


@pytest.mark.parametrize("marker", ["", "20\n", "{", "[1]"])
def test_a_garbled_marker_vouches_for_nothing(tmp_path, marker) -> None:
    (make(tmp_path, 20) / MARKER).write_text(marker)

    assert checkpoints.newest(tmp_path) is None
