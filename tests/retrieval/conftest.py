from __future__ import annotations

import importlib.util

import pytest


def levels() -> list[str]:
    """Instruction sets of this machine, or none without the extension."""
    if importlib.util.find_spec("reconciler._native") is None:
        return []
    from reconciler import _native

    return list(_native.isa_levels())


@pytest.fixture(params=levels())
def isa(request):
    """Each instruction set in turn, for the whole process."""
    from reconciler import _native

    before = _native.isa()
    _native.use_isa(request.param)
    yield request.param
    _native.use_isa(before)
