"""Training: algorithms behind the run protocol, usable on their own.

``python -m reconciler.training <run directory>`` carries out a run. The
functions below are loaded when first used: they need numpy, which whoever
only reads this package's resources does not.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.training.advantages import (
        discounted_returns,
        gae,
        whitened,
    )

__all__ = ["discounted_returns", "gae", "whitened"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from reconciler.training import advantages

        return getattr(advantages, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
