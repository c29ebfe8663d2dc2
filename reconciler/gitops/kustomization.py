"""What a kustomization refers to, checked before kustomize sees it. Pure.

kustomize fetches what it takes for an address, from the controller's network
and with its rights. So every file and folder that a kustomization names has
to be one of the source, and what runs programs is refused.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.gitops.documents import BuildError, Document, documents
from reconciler.gitops.tree import KUSTOMIZATIONS

FORBIDDEN = (
    "generators",
    "transformers",
    "validators",
    "helmCharts",
    "helmChartInflationGenerator",
    "helmGlobals",
)
"""Run programs, or fetch what the source does not contain."""

_LISTS = ("resources", "bases", "components", "crds", "configurations")
_PATHS = ("patches", "patchesJson6902", "replacements", "openapi")
_GENERATORS = ("configMapGenerator", "secretGenerator")
_FIELDS = {
    name.casefold(): name
    for name in (
        *FORBIDDEN, *_LISTS, *_PATHS, *_GENERATORS, "patchesStrategicMerge",
    )
}  # fmt: skip
_INNER = {name: name for name in ("path", "files", "envs", "env")}

Files = Mapping[str, bytes]


def kustomization_of(files: Files, folder: str) -> str | None:
    """The kustomization file of a folder, if it has one."""
    paths = (posixpath.join(folder, name) for name in KUSTOMIZATIONS)
    return next((p for p in paths if p in files), None)


@dataclass(frozen=True)
class Parts:
    """What a kustomization names, as paths below the top of the source."""

    resources: tuple[str, ...] = ()
    """Files, in order."""

    patches: tuple[str, ...] = ()
    """Files with patches, in the order in which they are applied."""

    folders: tuple[str, ...] = ()
    """Kustomizations that it builds on, in order."""


def parts(files: Files, folder: str, found: str) -> Parts:
    """What the kustomization of a folder names.

    Raises:
        BuildError: it is no kustomization, or names what is not there.
    """
    named: dict[str, list[str]] = {"resources": [], "patches": [], "in": []}
    for document in documents(found, files[found]):
        for field, entry in _references(found, document):
            below = _resolved(files, folder, found, field, entry)
            if below is not None:
                named["in"].append(below)
            elif field in ("resources", "bases"):
                named["resources"].append(_joined(folder, entry))
            elif field in ("patches.path", "patchesStrategicMerge"):
                named["patches"].append(_joined(folder, entry))
    return Parts(*(tuple(named[k]) for k in ("resources", "patches", "in")))


def _joined(folder: str, entry: str) -> str:
    path = posixpath.normpath(posixpath.join(folder, entry))
    return "" if path == "." else path


def check(files: Files, folder: str) -> frozenset[str]:
    """Check the kustomization of a folder and those that it builds on.

    Returns:
        The files of all of them.

    Raises:
        BuildError: a reference leads out of the source, to another machine,
            round in a circle, or to a program.
    """
    done: set[str] = set()
    _check(files, folder, (), done)
    return frozenset(done)


@dataclass(frozen=True)
class Generated:
    """A file that a Secret or ConfigMap is generated from."""

    path: str
    name: str
    """What tells its format: its key, or its path with ``.env``."""

    secret: bool


def generated(files: Files, folder: str) -> Iterator[Generated]:
    """The files that an overlay generates Secrets and ConfigMaps from.

    Raises:
        BuildError: see `check`.
    """
    for found in sorted(check(files, folder)):
        above = posixpath.dirname(found)
        for document in documents(found, files[found]):
            for field in _GENERATORS:
                for item in _mappings((document.value or {}).get(field)):
                    secret = field == "secretGenerator"
                    for name, path in _named(item):
                        whole = posixpath.normpath(posixpath.join(above, path))
                        yield Generated(whole, name, secret)


def _named(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for text in _texts(item.get("files")):
        key, _, path = text.rpartition("=")
        yield key or path, path
    for text in (*_texts(item.get("envs")), *_one(item, "env")):
        yield f"{text}.env", text


def _check(
    files: Files, folder: str, above: tuple[str, ...], done: set[str]
) -> None:
    found = kustomization_of(files, folder)
    if found is None:
        where = above[-1] if above else folder
        reason = f"{folder or '.'} has no kustomization.yaml"
        raise BuildError(where, 1, reason)
    if found in above:
        names = " -> ".join((*above[above.index(found) :], found))
        raise BuildError(found, 1, f"goes round in a circle: {names}")
    if found in done:
        return
    for document in documents(found, files[found]):
        for field, entry in _references(found, document):
            below = _resolved(files, folder, found, field, entry)
            if below is not None:
                _check(files, below, (*above, found), done)
    done.add(found)


def _resolved(
    files: Files, folder: str, found: str, field: str, entry: str
) -> str | None:
    """The folder that an entry names; None if it names a file."""
    path = _joined(folder, entry)
    escapes = path.startswith(("..", "/")) or entry.startswith("/")
    escapes = escapes or "://" in entry  # whatever the folders are called
    if not escapes and path in files:
        return None
    inner = f"{path}/" if path else ""
    if not escapes and any(name.startswith(inner) for name in files):
        return path
    reason = (
        f"{field}: {entry!r} is no file or folder of the source; remote "
        "bases, hidden files and paths out of the source are refused"
    )
    raise BuildError(found, 1, reason)


def _references(found: str, document: Document) -> Iterator[tuple[str, str]]:
    """Every path in a kustomization, with the field that it stands in."""
    value = document.value
    if value is None:
        return
    if not isinstance(value, dict):
        raise BuildError(found, document.line, "has to be a mapping")
    _spelt(found, document.line, value)
    for field in FORBIDDEN:
        if value.get(field):
            reason = f"{field}: plugins and charts are not run"
            raise BuildError(found, document.line, reason)
    for field in _LISTS:
        yield from ((field, e) for e in _texts(value.get(field)))
    yield from _merged(value)
    for field in _PATHS:
        for item in _mappings(value.get(field)):
            yield from ((f"{field}.path", e) for e in _one(item, "path"))
    for field in _GENERATORS:
        for item in _mappings(value.get(field)):
            yield from _sources(field, item)


def _merged(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Patches that are files; those written out are left alone."""
    for text in _texts(value.get("patchesStrategicMerge")):
        if "\n" not in text.strip() and not text.lstrip().startswith("{"):
            yield "patchesStrategicMerge", text


def _spelt(found: str, line: int, value: Mapping[str, Any]) -> None:
    """Refuse ``Resources``: kustomize reads it, and this check would not."""
    parts = [
        i for f in (*_PATHS, *_GENERATORS) for i in _mappings(value.get(f))
    ]
    for names, mapping in ((_FIELDS, value), *((_INNER, p) for p in parts)):
        for key in mapping:
            right = names.get(key.casefold(), key)
            if right != key:
                reason = f"{key}: has to be written {right}"
                raise BuildError(found, line, reason)


def _sources(field: str, item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Files of a generator: ``path`` or ``key=path``."""
    for text in _texts(item.get("files")):
        yield f"{field}.files", text.rpartition("=")[2]
    for text in (*_texts(item.get("envs")), *_one(item, "env")):
        yield f"{field}.envs", text


def _texts(value: Any) -> list[str]:
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, str)]


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, Mapping)]


def _one(item: Mapping[str, Any], name: str) -> list[str]:
    value = item.get(name)
    return [value] if isinstance(value, str) else []
