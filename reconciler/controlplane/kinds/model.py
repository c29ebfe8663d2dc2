"""What the server knows about a kind in one of its versions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reconciler.controlplane.objects.names import NameRule

if TYPE_CHECKING:
    from reconciler.controlplane.schema import CompiledSchema
    from reconciler.controlplane.schema.errors import FieldError

Json = dict[str, Any]
ALL_VERBS = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)


@dataclass(frozen=True)
class Column:
    """One printer column of the Table output."""

    name: str
    type: str
    read: Callable[[Json], Any]
    """Computes the cell from an object; None is printed as <none>."""

    description: str = ""
    format: str = ""
    priority: int = 0
    """0 is always shown; higher ones with ``-o wide``."""


@dataclass(frozen=True)
class ScalePaths:
    """Where the scale subresource finds its numbers (JSON paths)."""

    spec: str
    status: str
    selector: str | None = None


@dataclass(frozen=True)
class Hooks:
    """What a built-in kind does beyond its schema."""

    prepare: Callable[[Json, Json | None], None] | None = None
    """Normalise an object (second argument: the live one) in place."""

    check: Callable[[Json, Json | None], list[FieldError]] | None = None
    """Further rules, after the schema's."""

    read: Callable[[Json], Json] | None = None
    """Stored form to the form of this version."""

    write: Callable[[Json], Json] | None = None
    """The form of this version to the stored form."""


@dataclass(frozen=True, eq=False)
class ResourceKind:
    """One kind in one version, as it is served.

    Attributes:
        selectable: Paths for field selectors; ``alias=path`` renames one.
        since: Objects with a lower resourceVersion may have been stored
            under another schema; they are defaulted again when read.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    storage_version: str = ""
    stored_as: str = ""
    status: bool = False
    scale: ScalePaths | None = None
    columns: tuple[Column, ...] = ()
    selectable: tuple[str, ...] = ()
    schema: Json = field(default_factory=dict)
    custom: bool = False
    counted: bool = False
    """metadata.generation is kept."""

    unconditional: bool = True
    """An update may leave out metadata.resourceVersion."""

    creates: bool = False
    """An update of what does not exist creates it."""

    name_rule: NameRule = "subdomain"
    token: bool = False
    """It has the token subresource of ServiceAccounts."""

    since: int = 0
    warning: str | None = None
    """Deprecation warning sent with every answer."""

    hooks: Hooks = Hooks()

    @property
    def qualified(self) -> str:
        """``models.reconciler.dev``, or ``secrets`` in the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """``<group>/<version>``, or the version alone in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def stored_api_version(self) -> str:
        """The apiVersion that objects carry on disk."""
        version = self.storage_version or self.version
        return f"{self.group}/{version}" if self.group else version

    @property
    def resource(self) -> str:
        """The store's name for the kind, the same in all its versions."""
        return self.stored_as or f"{self.group}/{self.plural}"

    @property
    def list_name(self) -> str:
        """The kind of a list of these."""
        return self.list_kind or f"{self.kind}List"

    @cached_property
    def compiled(self) -> CompiledSchema:
        """The schema, compiled on first use."""
        # CEL and format checkers load only when a kind is used.
        from reconciler.controlplane.schema import CompiledSchema

        return CompiledSchema.compile(self.schema)
