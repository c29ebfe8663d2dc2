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
            "are the same, but vector search and advantages are slow"
        )
        return None
