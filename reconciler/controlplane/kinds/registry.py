"""The kinds that are served now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.controlplane.kinds.model import ResourceKind


class Registry:
    """Kinds by group, version and plural; several versions per kind."""

    def __init__(self, kinds: Iterable[ResourceKind] = ()) -> None:
        self._kinds: dict[tuple[str, str, str], ResourceKind] = {}
        self._sources: dict[str, list[tuple[str, str, str]]] = {}
        self.generation = 0
        """Changes whenever the set of kinds does."""

        self.register("", kinds)

    def register(self, source: str, kinds: Iterable[ResourceKind]) -> None:
        """Replace the kinds of one source (a CRD's name, or built-in)."""
        for place in self._sources.pop(source, ()):
            del self._kinds[place]
        added = {(k.group, k.version, k.plural): k for k in kinds}
        self._kinds |= added
        if added:
            self._sources[source] = list(added)
        self.generation += 1

    def find(
        self, group: str, version: str, plural: str
    ) -> ResourceKind | None:
        """The kind that is served under a path."""
        return self._kinds.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> ResourceKind | None:
        """The kind that an ownerReference or a body names."""
        for candidate in self._kinds.values():
            if candidate.kind == kind and candidate.api_version == api_version:
                return candidate
        return None

    def stored(self, resource: str) -> ResourceKind | None:
        """The kind whose form the store keeps under this name."""
        found = None
        for candidate in self._kinds.values():
            if candidate.resource == resource:
                found = candidate
                if candidate.api_version == candidate.stored_api_version:
                    return candidate
        return found

    def of_source(self, source: str) -> list[ResourceKind]:
        """All versions that one CRD serves."""
        return [self._kinds[at] for at in self._sources.get(source, ())]

    def __iter__(self) -> Iterator[ResourceKind]:
        return iter(list(self._kinds.values()))

    def groups(self) -> dict[str, list[str]]:
        """Versions of each group, best first; the core group is ''."""
        found: dict[str, set[str]] = {}
        for kind in self._kinds.values():
            found.setdefault(kind.group, set()).add(kind.version)
        return {
            group: sorted(versions, key=version_rank)
            for group, versions in sorted(found.items())
        }

    def versioned(self, group: str, version: str) -> list[ResourceKind]:
        """The kinds of one group and version, by plural."""
        kinds = (
            kind
            for kind in self._kinds.values()
            if (kind.group, kind.version) == (group, version)
        )
        return sorted(kinds, key=lambda kind: kind.plural)


def version_rank(version: str) -> tuple[int, int, int, str]:
    """Order of API versions: v2, v1, v1beta1, v1alpha1, then others."""
    import re

    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if match is None:
        return (3, 0, 0, version)
    major, stage, minor = match.groups()
    order = {None: 0, "beta": 1, "alpha": 2}[stage]
    return (order, -int(major), -int(minor or 0), version)
