from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from reconciler.serving.documents import (
    MAX_DOCUMENT_BYTES,
    Desired,
    Observed,
    ServingState,
)


def desired(model: str = "m", generation: str = "m-1") -> Desired:
    return Desired(
        model=model,
        path="/data/m-1",
        generation=generation,
        digest="sha256:x",
        device="CPU",
    )


def observed(state: str = "Loading") -> Observed:
    return Observed.model_validate(
        {
            "model": "m",
            "generation": "m-1",
            "digest": "sha256:x",
            "device": "CPU",
            "state": state,
            "since": "2026-11-25T00:00:00Z",
        }
    )


@pytest.fixture
def state(tmp_path: Path) -> ServingState:
    state = ServingState(tmp_path)
    state.prepare()
    return state


def test_what_is_asked_for_is_read_back(state: ServingState) -> None:
    assert state.desired("m") is None
    state.write_desired(desired())
    assert state.desired("m") == desired()
    assert list(state.desired_models()) == ["m"]
    state.remove_desired("m")
    assert state.desired("m") is None
    assert not state.is_asked_for("m")


def test_asking_for_the_same_again_writes_nothing(
    state: ServingState,
) -> None:
    state.write_desired(desired())
    before = (state.models / "m.json").stat().st_ino
    state.write_desired(desired())
    assert (state.models / "m.json").stat().st_ino == before
    state.write_desired(desired(generation="m-2"))
    assert (state.models / "m.json").stat().st_ino != before


def test_telling_the_same_again_writes_nothing(state: ServingState) -> None:
    path = state.root / "observed/m.json"
    state.write_observed(observed())
    before = path.stat().st_ino
    state.write_observed(observed())
    assert path.stat().st_ino == before
    state.write_observed(observed("Serving"))
    assert path.stat().st_ino != before
    assert state.observed_models() == ["m"]
    state.remove_observed("m")
    assert state.observed_models() == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"{",
        b"\xff\xff",
        desired().to_json().encode()[:-10],
        desired("other").to_json().encode(),
        desired().to_json().encode() + b" " * MAX_DOCUMENT_BYTES,
    ],
)
def test_damaged_wishes_are_not_obeyed_but_seen(
    state: ServingState, content: bytes
) -> None:
    (state.models / "m.json").write_bytes(content)
    assert state.desired("m") is None
    assert state.is_asked_for("m")


@pytest.mark.parametrize("name", ["../m", "", ".", "a/b", "A", "m.json"])
def test_names_cannot_leave_the_directory(
    state: ServingState, name: str
) -> None:
    with pytest.raises(ValueError, match="not the name of a model"):
        state.desired(name)
    with pytest.raises(ValidationError):
        desired(model=name)


def test_files_that_are_no_models_are_passed_over(
    state: ServingState,
) -> None:
    for name in (".tmp-x", "README", "UPPER.json", "m.json.bak"):
        (state.models / name).write_text("x")
    state.write_desired(desired())
    assert list(state.desired_models()) == ["m"]


def test_paths_have_to_be_absolute() -> None:
    with pytest.raises(ValidationError, match="path"):
        Desired.model_validate(
            {**desired().model_dump(by_alias=True), "path": "current"}
        )
