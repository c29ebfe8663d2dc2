"""Retrieval: exact nearest neighbours and what stands on them.

Names are loaded when first used, so that whoever reads only this package's
resources never imports numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.retrieval.approximate.approximate_index import (
        ApproximateIndex,
    )
    from reconciler.retrieval.approximate.errors import GraphError
    from reconciler.retrieval.features import hashed_features
    from reconciler.retrieval.files import CorruptFileError
    from reconciler.retrieval.index import ExactIndex

__all__ = [
    "ApproximateIndex",
    "CorruptFileError",
    "ExactIndex",
    "GraphError",
    "hashed_features",
]


_MODULES = {
    "ApproximateIndex": "approximate.approximate_index",
    "CorruptFileError": "files",
    "ExactIndex": "index",
    "GraphError": "approximate.errors",
    "hashed_features": "features",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
