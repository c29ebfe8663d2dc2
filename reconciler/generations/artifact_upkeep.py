"""The store of artifacts does not grow for ever.

An artifact stays as long as any object mentions its digest, anywhere: the
generation that it is of, whatever became of that, the Model that serves it or
could roll back to it, a promotion on its way into Git. So does what a run
directory mentions, which may not have reached a status yet.

What a finished run made lies in its directory, too. That copy goes after a
day, once the artifact was verified; reports and logs stay with the run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from reconciler.artifacts import ArtifactError, ArtifactStore, StoreBusyError
from reconciler.artifacts.copying import remove_tree
from reconciler.artifacts.retention import named_in
from reconciler.artifacts.upkeep import tidy
from reconciler.generations import collected
from reconciler.generations.stages import OUTPUTS
from reconciler.runs.protocol import RunDirectory

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 3600.0
COPY_SECONDS = 86400.0
"""How long a run keeps what was collected from it."""


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
        self._drop_copies()
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

    def _drop_copies(self) -> None:
        """Remove what runs made and the store has, verified."""
        for note in sorted(self.runs.glob(f"*/{collected.FILE}")):
            try:
                self._drop_copy(note)
            except FileNotFoundError:
                continue  # the run was discarded meanwhile
            except (KeyError, ValueError) as error:
                logger.warning("%s is unreadable: %s", note, error)

    def _drop_copy(self, note: Path) -> None:
        run = RunDirectory(note.parent)
        young = self.clock() - note.stat().st_mtime < COPY_SECONDS
        found = None if young else collected.read(run.path)
        if found is None or found.record.digest is None:
            return
        result = run.result()
        name = OUTPUTS.get(found.record.name)
        # An export has no result: all of its output is the data.
        place = result.outputs.get(name or "") if result else "output"
        copy = run.path / place if place else None
        if copy is None or not copy.is_dir():
            return
        try:
            self.store.verify(found.record.digest)
        except ArtifactError as error:
            logger.warning("%s stays: %s", copy, error)
            return
        remove_tree(copy)
        logger.info("%s is %s by now: removed", copy, found.record.digest)

    def _texts(self, objects: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        for raw in objects:
            yield orjson.dumps(raw).decode()
        for note in sorted(self.runs.glob("*/*.json")):
            try:
                yield note.read_text(errors="replace")
            except FileNotFoundError:
                continue  # the run was discarded meanwhile
