"""The outside of a VectorIndex's controller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.compute.local import LocalExecutor
from reconciler.feedback.embedded import EmbeddedServer
from reconciler.indexes.home import IndexHome
from reconciler.indexes.resource import VectorIndex
from reconciler.indexes.sources import SourceFinder
from reconciler.retrieval.models import installed_model
from reconciler.serving.devices import Choice
from reconciler.serving.index_documents import IndexFiles
from reconciler.serving.process import ServerProcess
from reconciler.storage.placement import Place

Devices = Callable[[Sequence[str]], Choice]
"""The first device of a preference list that this node has."""


@dataclass(frozen=True)
class Adapters:
    """What an index is built with, kept in, and answered from."""

    place: Place
    """This node: it keeps and answers from the indexes that it has."""

    indexes: Path
    """Root of all of them."""

    graphs: Path
    """Where converted models are kept."""

    datasets: Path
    """Root of layouts that name no path."""

    executor: LocalExecutor
    """Carries out builds, beside the data."""

    postgres: EmbeddedServer | None
    server: ServerProcess
    devices: Devices
    bundled: Callable[[], Path | None] = installed_model
    """Where all-MiniLM-L6-v2 is, if it is installed."""

    @property
    def files(self) -> IndexFiles:
        """What the serving process is told, and tells."""
        return IndexFiles(self.server.files.root)

    @property
    def sources(self) -> SourceFinder:
        """Finds documents."""
        return SourceFinder(self.datasets, self.place)

    def home(self, index: VectorIndex) -> IndexHome:
        """The files of an index."""
        meta = index.metadata
        return IndexHome(self.indexes / meta.namespace / meta.name)
