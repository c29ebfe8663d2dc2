"""JSON merge patch (RFC 7386)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any


def merge_patch(obj: Any, patch: Any) -> Any:
    """Return `obj` with a merge patch applied; neither is changed.

    Maps merge, null deletes, everything else (lists too) replaces.
    """
    if not isinstance(patch, dict):
        return deepcopy(patch)
    result = dict(obj) if isinstance(obj, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result
