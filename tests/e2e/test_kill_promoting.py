"""Killed at moments of promotion and at all of them: the same end."""

from __future__ import annotations

import pytest
from kill_moments import (
    MOMENTS,
    assert_trained_once,
    begin,
    converge,
    kill_at,
    kill_when,
)
from operating import Up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("moment", list(MOMENTS)[5:])
def test_killed_while_promoting(
    moment: str, up: Up, tmp_path, undisturbed: str
) -> None:
    kill_at(moment, up, tmp_path, undisturbed)


def test_killed_at_every_moment(up: Up, tmp_path, undisturbed: str) -> None:
    repository = begin(up, tmp_path)
    for moment in MOMENTS:
        kill_when(moment, up, repository)
    _, generation = converge(up, repository)
    assert generation.status.artifact_digest == undisturbed
    assert up.starts == len(MOMENTS) + 1
    assert_trained_once(up)
