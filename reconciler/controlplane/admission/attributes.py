"""What a webhook is asked about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from reconciler.controlplane.access.identity import User

Json = dict[str, Any]
Operation = Literal["CREATE", "UPDATE", "DELETE"]


@dataclass(frozen=True)
class Resource:
    """A kind as it is named in a URL, in one version."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """The apiVersion of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True)
class Attributes:
    """One request, about to be carried out."""

    operation: Operation
    resource: Resource
    subresource: str
    namespace: str
    name: str
    user: User
    options: Json
    dry_run: bool
    namespaced: bool
    versions: tuple[Resource, ...] = ()
    """Other versions of the same resource."""

    new: Json | None = None
    """The object as it would be; None for DELETE."""

    old: Json | None = None
    """The live object; None for CREATE."""

    shown: tuple[str, str, str] | None = None
    """Group, version and kind of the objects where the resource has others:
    a Scale."""

    def with_new(self, new: Json) -> Attributes:
        """The same about another object."""
        return replace(self, new=new)
