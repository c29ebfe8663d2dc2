"""Removing what nobody needs from the store, now and then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from reconciler.artifacts.retention import judge
from reconciler.artifacts.store import ArtifactStore
from reconciler.runs.protocol import write_atomically

LEDGER = "unnamed.json"
"""Beside the artifacts: since when nobody has named which of them."""


def tidy(
    store: ArtifactStore,
    named: AbstractSet[str],
    now: float,
    keep_seconds: float,
) -> tuple[str, ...]:
    """Remove artifacts without a name, and copies that were never finished.

    Args:
        store: the store.
        named: digests that must stay.
        now: seconds since 1970.
        keep_seconds: how long an artifact stays without a name.

    Returns:
        The digests that went.

    Raises:
        StoreBusyError: somebody copies; the next time is soon enough.
        OSError: the disk is full or unreadable; nothing was removed.
    """
    if not store.root.is_dir():
        return ()
    ledger = store.root / LEDGER
    stored, before = frozenset(store.digests()), _read(ledger)
    verdict = judge(stored, named, before, now, keep_seconds)
    if verdict.unnamed != before:
        write_atomically(ledger, json.dumps(verdict.unnamed, indent=1) + "\n")
    return store.gc(stored - verdict.due)


def _read(ledger: Path) -> Mapping[str, float]:
    """The ledger; a damaged one is begun again, which keeps for longer."""
    try:
        found = json.loads(ledger.read_text())
        return {str(name): float(since) for name, since in found.items()}
    except (FileNotFoundError, AttributeError, TypeError, ValueError):
        return {}
