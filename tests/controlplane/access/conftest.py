"""An account on a control plane."""

import sys
from pathlib import Path

import pytest

# Tests import from the support module beside this file.
sys.path.insert(0, str(Path(__file__).parent))

from access_support import ACCOUNTS, Account, token_request


@pytest.fixture
async def builder(widgets):
    """A ServiceAccount without any rights yet."""
    await widgets.ok("POST", ACCOUNTS, {"metadata": {"name": "builder"}})
    answer = await widgets.ok(
        "POST", f"{ACCOUNTS}/builder/token", token_request()
    )
    return Account(widgets, answer["status"]["token"])
