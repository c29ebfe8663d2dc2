"""The store of artifacts does not grow for ever.

An artifact stays as long as any object mentions its digest, anywhere: the
generation that it is of, whatever became of that, the Model that serves it or
could roll back to it, a promotion on its way into Git. So does what a run
directory mentions, which may not have reached a status yet.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from reconciler.artifacts import ArtifactStore, StoreBusyError
from reconciler.artifacts.retention import named_in
from reconciler.artifacts.upkeep import tidy

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 3600.0


@dataclass(frozen=True)
class ArtifactUpkeep:
    """Removes artifacts that nobody has named for a while.

    Args:
        store: where they are.
        runs: run directories, whose notes name artifacts, too.
        keep_seconds: how long an artifact stays without a name.
        clock: seconds since 1970.
    """

    store: ArtifactStore
    runs: Path
    keep_seconds: float
    clock: Callable[[], float] = time.time

    def __call__(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Look once.

        Args:
            objects: all that there are, of every kind.
        """
        named = frozenset[str]().union(*map(named_in, self._texts(objects)))
        try:
            gone = tidy(self.store, named, self.clock(), self.keep_seconds)
        except StoreBusyError:
            logger.info("artifacts are being copied: tidied up next time")
            return
        if gone:
            days = self.keep_seconds / 86400
            logger.info(
                "%d artifacts removed that no object named for %g days: %s",
                len(gone),
                days,
                ", ".join(gone),
            )

    def _texts(self, objects: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        for raw in objects:
            yield orjson.dumps(raw).decode()
        for note in sorted(self.runs.glob("*/*.json")):
            try:
                yield note.read_text(errors="replace")
            except FileNotFoundError:
                continue  # the run was discarded meanwhile
