"""Which node an object, and what is stored for it, belongs to. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.storage.resource import DatasetLayout


@dataclass(frozen=True)
class Place:
    """Where a process of the node role runs."""

    node: str
    alone: bool = True
    """Whether there is no other node, as on a laptop, whose host name may
    change without its data being anywhere else."""

    def may_take(self, layout: DatasetLayout) -> bool:
        """Whether this node keeps the layout, or may begin to.

        One that names no node is taken by the first that sees it. Its name
        is in the status from then on, and spec.target.node moves it.
        """
        return self._home(layout) in {None, self.node}

    def holds(self, layout: DatasetLayout) -> bool:
        """Whether what the layout stores is on this node."""
        home = self._home(layout)
        return home == self.node or (self.alone and home is None)

    def may_keep(self, named: str | None, recorded: str | None) -> bool:
        """Whether an object of any kind is kept here, or may begin to be.

        Args:
            named: the node that its spec names.
            recorded: the node that its status tells of.
        """
        return self._home_of(named, recorded) in {None, self.node}

    def _home(self, layout: DatasetLayout) -> str | None:
        return self._home_of(layout.spec.target.node, layout.status.node)

    def _home_of(self, named: str | None, recorded: str | None) -> str | None:
        return named if self.alone else named or recorded
