"""Files to objects: parse, check, default the namespace. Pure.

Every error says file, line and reason. Nothing is applied of a revision of
which one document is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.gitops.documents import (
    BuildError,
    Document,
    documents,
)
from reconciler.gitops.manifest import (
    CRD,
    OWNER_NAME,
    OWNER_NAMESPACE,
    DesiredObject,
    ObjectId,
    ordered,
)
from reconciler.gitops.resource import CommonMetadata, ConfigRepositorySpec
from reconciler.gitops.sops.opener import Opener
from reconciler.gitops.variables import Variables

__all__ = ["BuildError", "Builder", "Ownership", "cluster_scoped_by"]

MAX_OBJECTS = 10_000
LFS = b"version https://git-lfs.github.com/spec/"

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.:]{0,251}[a-z0-9])?$")
_NAMESPACE = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
_API_VERSION = re.compile(r"^([a-z0-9][-a-z0-9.]*/)?v[0-9][a-z0-9]*$")
_KIND = re.compile(r"^[A-Z][A-Za-z0-9]{0,62}$")

CLUSTER_SCOPED: frozenset[tuple[str, str]] = frozenset(
    {
        ("", "Namespace"),
        ("", "Node"),
        ("", "PersistentVolume"),
        CRD,
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("storage.k8s.io", "StorageClass"),
        ("storage.k8s.io", "CSIDriver"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("networking.k8s.io", "IngressClass"),
        ("node.k8s.io", "RuntimeClass"),
        ("resource.k8s.io", "DeviceClass"),
        ("apiregistration.k8s.io", "APIService"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    }
)
"""Kinds of Kubernetes itself that have no namespace."""

SERVER_OWNED = (
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
"""metadata that ``kubectl get -o yaml`` prints and nobody may apply."""


@dataclass(frozen=True)
class Ownership:
    """The labels that tell which ConfigRepository an object comes from."""

    namespace: str
    name: str

    def labels(self) -> dict[str, str]:
        """Labels put on every object."""
        return {OWNER_NAME: self.name, OWNER_NAMESPACE: self.namespace}

    def owns(self, live: Mapping[str, Any]) -> bool:
        """Whether a live object carries our labels."""
        found = live.get("metadata", {}).get("labels") or {}
        return self.labels().items() <= found.items()


def cluster_scoped_by(
    definitions: Iterable[Mapping[str, Any]],
) -> frozenset[tuple[str, str]]:
    """Cluster-scoped kinds among CustomResourceDefinitions."""
    return frozenset(
        (str(spec.get("group")), str(spec.get("names", {}).get("kind")))
        for spec in (d.get("spec") or {} for d in definitions)
        if spec.get("scope") == "Cluster"
    )


@dataclass
class Builder:
    """Builds objects; remembers parsed files by content between revisions."""

    target_namespace: str
    ownership: Ownership | None = None
    cluster_scoped: frozenset[tuple[str, str]] = frozenset()
    """More cluster-scoped kinds, from the API server's definitions."""

    variables: Variables | None = None
    """What ``${`` in a value stands for; None: nothing else."""

    common: CommonMetadata = field(default_factory=CommonMetadata)
    """Put on every object, over what the files say."""

    opener: Opener = field(default_factory=Opener)
    """What opens encrypted files."""

    _parsed: dict[tuple[str, bytes], list[Document]] = field(
        default_factory=dict, repr=False
    )

    @classmethod
    def of(
        cls,
        spec: ConfigRepositorySpec,
        variables: Variables | None,
        ownership: Ownership | None = None,
        cluster_scoped: frozenset[tuple[str, str]] = frozenset(),
        opener: Opener | None = None,
    ) -> Builder:
        """As a repository builds."""
        return cls(
            spec.target_namespace,
            ownership,
            cluster_scoped,
            variables,
            spec.common_metadata,
            opener or Opener(),
        )

    def build(
        self,
        files: Mapping[str, bytes],
        opener: Opener | None = None,
    ) -> tuple[DesiredObject, ...]:
        """All objects in staged order.

        Args:
            files: what objects are built from.
            opener: what opens what kustomize printed, if it did; by
                default that of the builder.

        Raises:
            BuildError: the first thing that is wrong.
        """
        if opener is None:
            opener = self.opener
        else:
            # Encrypted ones were checked against files of another revision.
            self._parsed = {
                key: found
                for key, found in self._parsed.items()
                if not any(document.secret for document in found)
            }
        parsed = {
            (f, d): self._documents(f, d, opener) for f, d in files.items()
        }
        self._parsed = parsed
        raw = [
            (file, item)
            for (file, _), docs in sorted(parsed.items())
            for document in docs
            for item in _items(file, document)
        ]
        if len(raw) > MAX_OBJECTS:
            file, item = raw[MAX_OBJECTS]
            reason = f"the folder holds more than {MAX_OBJECTS} objects"
            raise BuildError(file, item.line, reason)
        defined = [d.value for _, d in raw if d.value.get("kind") == CRD[1]]
        scoped = CLUSTER_SCOPED | self.cluster_scoped
        scoped |= cluster_scoped_by(defined)
        return ordered(
            _unique(self._object(file, item, scoped) for file, item in raw)
        )

    def _documents(
        self, file: str, data: bytes, opener: Opener
    ) -> list[Document]:
        known = self._parsed.get((file, data))
        if known is not None:
            return known
        if data.startswith(LFS):
            reason = (
                "is a Git LFS pointer, and LFS is not supported: take the "
                "file out of .gitattributes and commit what it stands for"
            )
            raise BuildError(file, 1, reason)
        return documents(file, data, self.variables, opener)

    def _object(
        self,
        file: str,
        document: Document,
        scoped: frozenset[tuple[str, str]],
    ) -> DesiredObject:
        raw: dict[str, Any] = document.value
        check = _Check(file, document.line, raw, document.secret)
        group, version = check.group_version()
        kind = check.text("kind", raw.get("kind"), _KIND)
        if group == "kustomize.config.k8s.io":
            raise check.error(
                "is a kustomization below spec.path; set spec.path to its "
                "folder, and kustomize builds it"
            )
        meta = check.metadata()
        name = check.text("metadata.name", meta.get("name"), _NAME)
        namespace = ""
        if (group, kind) not in scoped:
            given = meta.get("namespace") or self.target_namespace
            namespace = check.text("metadata.namespace", given, _NAMESPACE)
        elif meta.get("namespace"):
            reason = f"metadata.namespace: {kind} has no namespace"
            raise check.error(reason)
        body = self._body(raw, meta, namespace)
        where = ObjectId(namespace, name, group, kind)
        secret = document.secret or (group, kind) == ("", "Secret")
        return DesiredObject(
            where,
            version,
            body,
            file,
            document.line,
            secret=secret,
            sealed=document.secret,
            exposed=document.exposed,
        )

    def _body(
        self, raw: dict[str, Any], meta: dict[str, Any], namespace: str
    ) -> dict[str, Any]:
        meta = {k: v for k, v in meta.items() if k not in SERVER_OWNED}
        if namespace:
            meta["namespace"] = namespace
        own = self.ownership.labels() if self.ownership else {}
        for part, more in (
            ("labels", self.common.labels | own),
            ("annotations", self.common.annotations),
        ):
            if more:
                meta[part] = (meta.get(part) or {}) | more
        body = {k: v for k, v in raw.items() if k != "status"}
        return body | {"metadata": meta}


def _items(file: str, document: Document) -> Iterator[Document]:
    """The object of a document, or those of a ``List``."""
    value = document.value
    if value is None:
        return
    if not isinstance(value, dict) or "kind" not in value:
        reason = "is not a Kubernetes object: it has no apiVersion and kind"
        raise BuildError(file, document.line, reason)
    if str(value["kind"]).endswith("List") and "items" in value:
        for item in value["items"] or []:
            yield from _items(file, replace(document, value=item))
        return
    yield document


def _unique(objects: Iterable[DesiredObject]) -> tuple[DesiredObject, ...]:
    seen: dict[ObjectId, DesiredObject] = {}
    for item in objects:
        first = seen.setdefault(item.id, item)
        if first is not item:
            reason = f"{item.id} is already defined at {first.origin}"
            raise BuildError(item.file, item.line, reason)
    return tuple(seen.values())


@dataclass(frozen=True)
class _Check:
    """Checks of one object that say where it is."""

    file: str
    line: int
    raw: dict[str, Any]
    secret: bool = False

    def shown(self, value: Any) -> str:
        return "the value" if self.secret else repr(value)

    def error(self, reason: str) -> BuildError:
        return BuildError(self.file, self.line, reason)

    def text(self, name: str, value: Any, pattern: re.Pattern[str]) -> str:
        if not isinstance(value, str) or not pattern.match(value):
            reason = f"{name}: {self.shown(value)} is not valid"
            raise self.error(reason)
        return value

    def group_version(self) -> tuple[str, str]:
        value = self.raw.get("apiVersion")
        text = self.text("apiVersion", value, _API_VERSION)
        group, _, version = text.rpartition("/")
        return group, version

    def metadata(self) -> dict[str, Any]:
        meta = self.raw.get("metadata")
        if not isinstance(meta, dict):
            raise self.error("metadata: has to be a mapping")
        if meta.get("generateName"):
            raise self.error("metadata.generateName: needs a fixed name")
        for part in ("labels", "annotations"):
            self._texts(part, meta.get(part))
        return meta

    def _texts(self, part: str, value: Any) -> None:
        if value is None:
            return
        if not isinstance(value, dict):
            reason = f"metadata.{part}: has to be a mapping"
            raise self.error(reason)
        for key, item in value.items():
            if not isinstance(item, str):
                shown = self.shown(item)
                reason = f"metadata.{part}.{key}: {shown} is not a string"
                raise self.error(reason)
