"""The C++ kernels, where the installation has them."""

from __future__ import annotations

import functools
import importlib
import logging
from typing import Any

log = logging.getLogger(__name__)


@functools.cache
def native() -> Any:
    """The extension `reconciler._native`, or None; says so once.

    Every kernel has a definition in Python or numpy beside its caller, which
    is used where this is None: the same results, slower.
    """
    try:
        return importlib.import_module("reconciler._native")
    except ImportError:
        log.warning(
            "reconciler was installed without its C++ kernels: the results "
            "are the same, but slow. For kernels, install it again where "
            "there is a C++ compiler (pip's --no-cache-dir forgets this one)"
        )
        return None


def described() -> str:
    """Which kernels answer here, in a few words."""
    kernels = native()
    if kernels is None:
        return "pure Python, without C++ kernels"
    return f"C++ kernels, {kernels.isa()}"
