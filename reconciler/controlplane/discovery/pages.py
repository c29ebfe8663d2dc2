"""Paths that are no resources: discovery, health, version, OpenAPI."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from reconciler.controlplane import media
from reconciler.controlplane.access.tokens import ISSUER, Tokens
from reconciler.controlplane.discovery import aggregated, legacy
from reconciler.controlplane.discovery.health import ENDPOINTS, health
from reconciler.controlplane.discovery.schemas import Documents
from reconciler.controlplane.kinds.registry import Registry
from reconciler.controlplane.wire import swagger

Json = dict[str, Any]

VERSION = "1.32.0"
"""The Kubernetes version whose API this one follows."""

_TEXT = "text/plain; charset=utf-8"
_AGGREGATED = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
)
_OPENAPI = "/openapi/v3"
_ISSUER = "/.well-known/openid-configuration"
_KEYS = "/openid/v1/jwks"
_SWAGGER = "/openapi/v2"
_VERSION_PARTS = 2


@dataclass(frozen=True)
class Page:
    """A document and its type."""

    text: bytes
    content_type: str = media.JSON
    code: int = 200


class Pages:
    """Finds the page of a path.

    Attributes:
        ready: What /readyz says; false while stopping.
    """

    def __init__(
        self, registry: Registry, tokens: Tokens, address: str
    ) -> None:
        self._registry = registry
        self._address = address
        self._documents = Documents(registry)
        self._simple: dict[str, Callable[[], Json]] = {
            "": lambda: {"paths": self._paths()},
            "/version": version,
            _ISSUER: self._issuer,
            _KEYS: tokens.key_set,
        }
        self.ready = True

    def find(
        self, path: str, accept: str, *, verbose: bool = False
    ) -> Page | None:
        """The page under a path, or None.

        Args:
            path: What is asked for.
            accept: The Accept header.
            verbose: Health endpoints name their checks.

        Raises:
            ApiError: 406, the client accepts no form of it.
        """
        path = path.rstrip("/")
        answer = health(path, ready=self.ready, verbose=verbose)
        if answer is not None:
            return Page(answer.text.encode(), _TEXT, answer.code)
        simple = self._simple.get(path)
        if simple is not None:
            return _json(simple())
        if path.startswith("/openapi/"):
            return self._openapi(path, accept)
        if path in ("/api", "/apis"):
            return self._root(path, accept)
        return _json(self._group(path.strip("/").split("/")))

    def _issuer(self) -> Json:
        """OpenID Connect discovery of who signs ServiceAccount tokens."""
        return {
            "issuer": ISSUER,
            "jwks_uri": f"https://{self._address}{_KEYS}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def _paths(self) -> list[str]:
        found = [_ISSUER, "/api", "/api/v1", "/apis", *ENDPOINTS, _OPENAPI]
        found += [_KEYS, _SWAGGER, "/version"]
        for group, versions in self._registry.groups().items():
            if group:
                found.append(f"/apis/{group}")
                found += [f"/apis/{group}/{v}" for v in versions]
        return sorted(found)

    def _openapi(self, path: str, accept: str) -> Page | None:
        if path == _SWAGGER:
            return self._swagger(accept)
        if path == _OPENAPI:
            return _json(self._documents.index())
        text = self._documents.document(path.removeprefix(f"{_OPENAPI}/"))
        return None if text is None else Page(text)

    def _swagger(self, accept: str) -> Page:
        form = media.negotiate(accept, types=(swagger.MEDIA_TYPE,))
        text = self._documents.merged()
        if form.type == media.JSON:
            return Page(text)
        encoded = swagger.document(orjson.loads(text))
        return Page(encoded, swagger.ANSWERED)

    def _root(self, path: str, accept: str) -> Page:
        accepted = media.negotiate(accept, aggregated.FORMS)
        core = path == "/api"
        if accepted.transform:
            document = aggregated.document(self._registry, core=core)
            return Page(orjson.dumps(document), _AGGREGATED)
        if core:
            return Page(orjson.dumps(legacy.core_versions(self._address)))
        return Page(orjson.dumps(legacy.group_list(self._registry)))

    def _group(self, parts: list[str]) -> Json | None:
        if parts[0] == "api" and len(parts) == _VERSION_PARTS:
            return legacy.resource_list(self._registry, "", parts[1])
        if parts[0] == "apis" and len(parts) == _VERSION_PARTS:
            return legacy.group(self._registry, parts[1])
        if parts[0] == "apis" and len(parts) == _VERSION_PARTS + 1:
            return legacy.resource_list(self._registry, *parts[1:])
        return None


def _json(document: Json | None) -> Page | None:
    return None if document is None else Page(orjson.dumps(document))


def version() -> Json:
    """/version: the API level, and that this is no ordinary server."""
    major, minor, _ = VERSION.split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{VERSION}+reconciler",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }
