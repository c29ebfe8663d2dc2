"""Secrets that everybody who reads the source can read. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.engine.resource import ANNOTATIONS
from reconciler.gitops.manifest import DesiredObject

EXPOSED = "PlainSecret"
SHOWN = 5


def exposed(objects: Iterable[DesiredObject]) -> list[DesiredObject]:
    """Secrets with values in clear that nobody said are meant to be."""
    return [item for item in objects if _exposed(item)]


def warning(revision: str, found: list[DesiredObject]) -> str:
    """What to tell of them: where they are, and the ways out."""
    names = [f"{item.id} ({item.origin})" for item in found[:SHOWN]]
    more = len(found) - SHOWN
    names += [f"{more} more"] if more > 0 else []
    return (
        f"{revision}: not encrypted, so that all who read the source know "
        f"the values: {', '.join(names)}; change the values and encrypt them "
        "with `reconciler secret encrypt`, or give what is no secret the "
        f"annotation {ANNOTATIONS.plain_secret} with the value allowed"
    )


def _exposed(item: DesiredObject) -> bool:
    if (item.id.group, item.id.kind) != ("", "Secret"):
        return False
    if item.sealed and not item.exposed:
        return False
    body = item.body
    annotations = body["metadata"].get("annotations") or {}
    if annotations.get(ANNOTATIONS.plain_secret) == "allowed":
        return False
    return bool(body.get("data") or body.get("stringData"))
