"""A request for a resource, and what a verb answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.controlplane import media
from reconciler.controlplane.access.authenticator import Authenticator
from reconciler.controlplane.access.authorizer import Authorizer
from reconciler.controlplane.access.identity import NOBODY, User
from reconciler.controlplane.access.rules import Request
from reconciler.controlplane.access.tokens import Tokens
from reconciler.controlplane.admission.chain import Admission
from reconciler.controlplane.errors import (
    ApiError,
    Cause,
    bad_request,
    forbidden,
    invalid,
    not_found,
)
from reconciler.controlplane.kinds.builtin import NAMESPACES
from reconciler.controlplane.kinds.model import ResourceKind
from reconciler.controlplane.kinds.registry import Registry
from reconciler.controlplane.objects import selection
from reconciler.controlplane.objects.labels import parse_labels
from reconciler.controlplane.objects.names import check_name
from reconciler.controlplane.objects.strategy import FieldPolicy
from reconciler.controlplane.route import Route
from reconciler.controlplane.schema.errors import FieldError
from reconciler.controlplane.storage.record import Key, Stored
from reconciler.controlplane.storage.store import Store

Json = dict[str, Any]

MANAGER_LENGTH = 128
_MODES = ("Ignore", "Strict", "Warn")
_FALSE = ("", "0", "false", "f")
_TRUE = ("1", "true", "t")


@dataclass
class Cluster:
    """What all requests share."""

    store: Store
    registry: Registry
    authenticator: Authenticator
    authorizer: Authorizer
    tokens: Tokens
    admission: Admission


@dataclass
class Answer:
    """What a verb produced, before it is shown in the accepted form."""

    code: int = 200
    obj: Json | None = None
    """A parsed object or Status, or:"""

    raw: bytes | None = None
    """the text of an object, which needs no parsing to be sent as it is."""

    items: list[Stored] | None = None
    """A list, with this metadata:"""

    metadata: Json = field(default_factory=dict)


@dataclass
class Call:
    """One request for a resource, taken apart.

    Raises:
        ApiError: 422, an option that the server does not know.
    """

    cluster: Cluster
    kind: ResourceKind
    route: Route
    query: Mapping[str, str]
    body: bytes = b""
    content_type: str = media.JSON
    agent: str = ""
    user: User = NOBODY
    method: str = "GET"
    policy: FieldPolicy = field(default_factory=FieldPolicy)
    dry_run: bool = field(init=False)
    """Compute the answer, store nothing."""

    def __post_init__(self) -> None:
        self.dry_run = self._dry()
        mode = self.query.get("fieldValidation", "")
        if mode and mode not in _MODES:
            raise self._option(
                "fieldValidation",
                "FieldValueNotSupported",
                'supported values: "Ignore", "Strict", "Warn"',
                mode,
            )
        self.policy.mode = mode or "Warn"

    @property
    def store(self) -> Store:
        """The store of the cluster."""
        return self.cluster.store

    @property
    def request(self) -> Request:
        """What the user has to be allowed; see `asked`."""
        return asked(self.method, self.route, self.query)

    @property
    def key(self) -> Key:
        """Where the named object is kept."""
        namespace = self.route.namespace or ""
        return Key(self.kind.resource, namespace, self.route.name)

    def _dry(self) -> bool:
        wanted = self.query.get("dryRun", "")
        if wanted not in ("", "All"):
            raise self._option(
                "dryRun",
                "FieldValueNotSupported",
                'supported values: "All"',
                [wanted],
            )
        return bool(wanted)

    def manager(self, *, required: bool = False) -> str:
        """Who owns the fields that this request sets.

        Raises:
            ApiError: 422, the name is missing or unprintable.
        """
        given = self.query.get("fieldManager", "")
        if required and not given:
            raise self._option(
                "fieldManager",
                "FieldValueRequired",
                "is required for apply patch",
                given,
            )
        if len(given) > MANAGER_LENGTH or not given.isprintable():
            raise self._option(
                "fieldManager",
                "FieldValueInvalid",
                f"must be printable and at most {MANAGER_LENGTH} characters",
                given,
            )
        default = self.agent.split("/")[0].strip()[:MANAGER_LENGTH]
        return given or default or "unknown"

    def _option(
        self, field_name: str, kind: Any, detail: str, value: Any
    ) -> Exception:
        fault = FieldError(field_name, kind, detail, value)
        return invalid("PatchOptions", "meta.k8s.io", "", [fault])

    def flag(self, name: str) -> bool:
        """A boolean of the query.

        Raises:
            ApiError: 400, it is none.
        """
        text = self.query.get(name, "").lower()
        if text not in (*_FALSE, *_TRUE):
            msg = f"invalid boolean for {name}: {text!r}"
            raise bad_request(msg)
        return text in _TRUE

    def number(self, name: str) -> int | None:
        """A non-negative integer of the query, or None.

        Raises:
            ApiError: 400, it is none.
        """
        text = self.query.get(name, "")
        if not text:
            return None
        if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
            msg = f"Invalid value for {name}: {text!r}"
            raise bad_request(msg)
        return int(text)

    def revision(self) -> int | None:
        """The resourceVersion of the query; None if there is none.

        Raises:
            ApiError: 400, it is no number.
        """
        return self.number("resourceVersion")

    def selector(self) -> selection.Selector:
        """What the request is limited to, the name of the URL included.

        Raises:
            ApiError: 400, a selector is malformed or unsupported.
        """
        pairs = [entry.partition("=") for entry in self.kind.selectable]
        allowed = ("metadata.name", "metadata.namespace")
        return selection.Selector(
            parse_labels(self.query.get("labelSelector", "")),
            selection.parse_fields(
                self.query.get("fieldSelector", ""),
                (*allowed, *(alias for alias, _, _ in pairs)),
                [(alias, path) for alias, eq, path in pairs if eq],
            ),
        )

    def live(self) -> Stored:
        """The newest state of the named object.

        Raises:
            ApiError: 404.
        """
        stored = self.store.current(self.key)
        if stored is None:
            raise not_found(self.kind, self.route.name)
        return stored

    def parsed(self) -> tuple[Any, list[str]]:
        """The body and its duplicate fields.

        Raises:
            ApiError: 400 or 415.
        """
        return media.parse(self.body, self.content_type)


_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_COLLECTIVE = {"get": "list", "delete": "deletecollection"}


def asked(method: str, route: Route, query: Mapping[str, str]) -> Request:
    """What rules must allow for a request to be made."""
    verb, name = _VERBS.get(method, method.lower()), route.name
    if not name:
        verb = _COLLECTIVE.get(verb, verb)
        if verb == "list":
            name = _only_name(query.get("fieldSelector", ""))
            # Whatever may be taken for a watch is one: the flag is read later.
            if query.get("watch", "").lower() not in _FALSE:
                verb = "watch"
    namespace = route.namespace or ""
    if route.resource == "namespaces" and not route.group:
        namespace = route.name
    return Request(
        verb, route.group, route.resource, route.subresource, namespace, name
    )


def _only_name(text: str) -> str:
    """The name that a list is limited to; rules can allow just that one."""
    try:
        terms = selection.parse_fields(text, None)
    except ApiError:
        return ""
    name = selection.Selector(fields=terms).only_name() or ""
    return "" if check_name(name, "", "path") else name


def check_namespace(call: Call, name: str) -> None:
    """Refuse a create in a namespace that is absent or going away.

    Raises:
        ApiError: 404 or 403.
    """
    namespace = call.route.namespace
    if namespace is None:
        return
    stored = call.store.current(Key(NAMESPACES, "", namespace))
    namespaces = call.cluster.registry.find("", "v1", "namespaces")
    if stored is None:
        if namespaces is None:
            raise LookupError("namespaces are not served")
        raise not_found(namespaces, namespace)
    if "deletionTimestamp" in stored.object()["metadata"]:
        raise forbidden(
            call.kind,
            name,
            f"unable to create new content in namespace {namespace} because "
            "it is being terminated",
            [
                Cause(
                    "NamespaceTerminating",
                    f"namespace {namespace} is being terminated",
                    "metadata.namespace",
                )
            ],
        )
