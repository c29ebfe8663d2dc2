"""Retrieval: exact nearest neighbours and what stands on them.

Names are loaded when first used, so that whoever reads only this package's
resources never imports numpy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.retrieval.approximate.approximate_index import (
        ApproximateIndex,
    )
    from reconciler.retrieval.features import hashed_features
    from reconciler.retrieval.files import CorruptFileError
    from reconciler.retrieval.index import ExactIndex

__all__ = [
    "ApproximateIndex",
    "CorruptFileError",
    "ExactIndex",
    "hashed_features",
]


def __getattr__(name: str) -> Any:
    if name == "ExactIndex":
        from reconciler.retrieval.index import ExactIndex

        return ExactIndex
    if name == "ApproximateIndex":
        from reconciler.retrieval.approximate.approximate_index import (
            ApproximateIndex,
        )

        return ApproximateIndex
    if name == "CorruptFileError":
        from reconciler.retrieval.files import CorruptFileError

        return CorruptFileError
    if name == "hashed_features":
        from reconciler.retrieval.features import hashed_features

        return hashed_features
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
