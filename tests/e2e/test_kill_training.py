"""Killed at moments before there is a verdict: the same end."""

from __future__ import annotations

import pytest
from kill_moments import MOMENTS, kill_at
from operating import Up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("moment", list(MOMENTS)[:5])
def test_killed_before_the_verdict(
    moment: str, up: Up, tmp_path, undisturbed: str
) -> None:
    kill_at(moment, up, tmp_path, undisturbed)
