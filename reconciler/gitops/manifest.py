"""What a repository wants: objects with their identity and their origin."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Self

from typing_extensions import override

from reconciler.engine.resource import GROUP
from reconciler.gitops.resource import InventoryEntry

OWNER_NAME = f"{GROUP}/repository"
OWNER_NAMESPACE = f"{GROUP}/repository-namespace"

CRD = ("apiextensions.k8s.io", "CustomResourceDefinition")
NAMESPACE = ("", "Namespace")
REPOSITORY = (GROUP, "ConfigRepository")

STAGES: dict[tuple[str, str], int] = {
    NAMESPACE: -2,
    CRD: -2,
    ("", "Secret"): -1,
    ("", "ConfigMap"): -1,
    (GROUP, "ConnectionPolicy"): 0,
    (GROUP, "DatasetLayout"): 0,
    (GROUP, "EvaluationSuite"): 0,
    (GROUP, "FeedbackStore"): 0,
    (GROUP, "Model"): 1,
    (GROUP, "TrainingSchedule"): 2,
    (GROUP, "ModelGeneration"): 3,
    REPOSITORY: 9,
}
"""Order of a staged apply; the capabilities own the kinds, so the order is
spelt out here. What is not named comes after what others refer to."""

OTHER_STAGE = 4
OUR_OTHER_STAGE = 2


@dataclass(frozen=True, order=True)
class ObjectId:
    """Identity of an object of any kind, without its API version."""

    namespace: str
    """Empty for a cluster-scoped object."""

    name: str
    group: str
    kind: str

    @property
    def stage(self) -> int:
        """Position in a staged apply, smaller first."""
        other = OUR_OTHER_STAGE if self.group == GROUP else OTHER_STAGE
        return STAGES.get((self.group, self.kind), other)

    def entry(self, version: str) -> InventoryEntry:
        """The inventory's notation, as Flux writes it."""
        name = self.name.replace(":", "__")
        text = f"{self.namespace}_{name}_{self.group}_{self.kind}"
        return InventoryEntry(id=text, v=version)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the inventory's notation.

        Raises:
            ValueError: `text` is not ``namespace_name_group_kind``.
        """
        namespace, separator, rest = text.partition("_")
        parts = rest.rsplit("_", 2)
        if not separator or len(parts) != 3:  # noqa: PLR2004 - three parts
            msg = f"{text!r} is not namespace_name_group_kind"
            raise ValueError(msg)
        name, group, kind = parts
        return cls(namespace, name.replace("__", ":"), group, kind)

    @override
    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind.lower()}/{where}{self.name}"


def api_version(group: str, version: str) -> str:
    """``group/version``, or only the version for the core group."""
    return f"{group}/{version}" if group else version


@dataclass(frozen=True)
class DesiredObject:
    """One object of a revision."""

    id: ObjectId
    version: str
    body: dict[str, Any] = field(repr=False, compare=False)
    """The whole object as it will be applied; never changed in place."""

    file: str = ""
    """Path inside the repository's folder."""

    line: int = 0
    """First line of the document, from 1."""

    secret: bool = False
    """Whether values may not be shown: a Secret, or what is sealed."""

    sealed: bool = False
    """Whether the source does not tell its values to all who read it: it was
    encrypted, or has a variable from a Secret in it."""

    exposed: bool = False
    """Whether it is a Secret of which the source tells every value."""

    @property
    def api_version(self) -> str:
        """``apiVersion`` of the object."""
        return api_version(self.id.group, self.version)

    @property
    def origin(self) -> str:
        """``file:line``, for messages."""
        return f"{self.file}:{self.line}"

    @property
    def digest(self) -> str:
        """Hash of the content."""
        return digest_of(self.body)

    def entry(self) -> InventoryEntry:
        """The object in the inventory."""
        return self.id.entry(self.version)


def digest_of(value: Any) -> str:
    """Hash of a JSON value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def ordered(objects: tuple[DesiredObject, ...]) -> tuple[DesiredObject, ...]:
    """Staged order: what others need first, ties by identity."""
    return tuple(sorted(objects, key=lambda o: (o.id.stage, o.id)))
