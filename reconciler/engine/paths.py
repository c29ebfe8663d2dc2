"""Where one machine keeps its state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StateDirectory:
    """The folders below one state directory."""

    root: Path
    shared_artifacts: Path | None = None
    """Where the artifacts are if not below the root: roles share them."""

    @property
    def controlplane(self) -> Path:
        """Database, certificates and token of the embedded API server."""
        return self.root / "controlplane"

    @property
    def kubeconfig(self) -> Path:
        """How to reach the embedded API server (mode 0600)."""
        return self.root / "kubeconfig"

    @property
    def postgres(self) -> Path:
        """The embedded PostgreSQL."""
        return self.root / "postgres"

    @property
    def runs(self) -> Path:
        """Run directories of long work."""
        return self.root / "runs"

    @property
    def artifacts(self) -> Path:
        """Content-addressed data and models."""
        return self.shared_artifacts or self.root / "artifacts"

    @property
    def datasets(self) -> Path:
        """Roots of dataset layouts that name no path."""
        return self.root / "datasets"

    @property
    def serving(self) -> Path:
        """Desired and observed state of the serving process."""
        return self.root / "serving"

    @property
    def repositories(self) -> Path:
        """Clones of config repositories."""
        return self.root / "repositories"

    @property
    def indexes(self) -> Path:
        """Searchable indexes of directories."""
        return self.root / "indexes"

    @property
    def vector_indexes(self) -> Path:
        """Indexes of VectorIndex objects, by namespace and name."""
        return self.root / "vectorindexes"

    @property
    def graphs(self) -> Path:
        """Embedders, converted for a device."""
        return self.root / "graphs"

    @property
    def logs(self) -> Path:
        """Logs of processes that run detached."""
        return self.root / "logs"
