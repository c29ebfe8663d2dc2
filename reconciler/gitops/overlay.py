"""Which file of an overlay says what generation a Model is pinned to.

kustomize does not tell where a value came from, so candidates are tried: the
patch files and resource files of the overlay first, then those of what it
builds on. A file counts if the overlay, built again with the pin in it, has
the pin and not a byte else that is new. A file that another overlay is built
from too is never written to: the promotion of one environment would be one
of the others.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.engine.resource import GROUP
from reconciler.gitops.documents import BuildError, documents
from reconciler.gitops.edit import EditError, pin_document
from reconciler.gitops.kustomization import (
    Files,
    kustomization_of,
    parts,
)
from reconciler.gitops.manifest import DesiredObject, ObjectId
from reconciler.gitops.tree import KUSTOMIZATIONS

MAX_BUILDS = 8
"""Candidates that are tried."""

Build = Callable[[Files], Sequence[DesiredObject]]
"""Builds the overlay from such files of the source."""


class OverlayError(Exception):
    """No file is the one to write to; says what a person can do."""


@dataclass(frozen=True)
class Edit:
    """A file of the source with the pin in it."""

    path: str
    data: bytes


@dataclass(frozen=True)
class Candidate:
    """A document that may say it."""

    file: str
    document: int
    """Position in the file, from 0."""

    exact: bool
    """Whether it bears the name that comes out of the build."""


def pinned(
    files: Files,
    overlay: str,
    model: ObjectId,
    generation: str,
    build: Build,
    *,
    whole: bool = True,
) -> Edit:
    """The file to change so that the overlay pins a Model.

    Args:
        files: all files of the source, by path below its top.
        overlay: the folder that is built.
        model: as it comes out of the build.
        generation: the new ``spec.generation``.
        build: kustomize, and what makes objects of its output.
        whole: whether `files` are all kustomizations of the repository;
            otherwise nobody knows who shares what is beside the overlay.

    Raises:
        OverlayError: no file would do, or only one that others share.
        BuildError: a file of the source is wrong.
    """
    wanted = _wanted(build(files), model, generation)
    shared: dict[str, str] = {}
    for candidate in _candidates(files, overlay, model.name)[:MAX_BUILDS]:
        user = _other_user(files, overlay, candidate.file)
        if not whole and not candidate.file.startswith(f"{overlay}/"):
            user = user or "folders that are not read"
        if user is not None:
            shared[candidate.file] = user
            continue
        edit = _edited(files, candidate, generation)
        if edit is None:
            continue
        changed = {**files, edit.path: edit.data}
        try:
            found = _comparable(build(changed))
        except BuildError:
            continue
        if found == wanted:
            return edit
    raise OverlayError(_advice(overlay, model, shared))


def _wanted(
    objects: Sequence[DesiredObject], model: ObjectId, generation: str
) -> dict[ObjectId, object]:
    found = _comparable(objects)
    body = next((o.body for o in objects if o.id == model), {})
    spec = {**(body.get("spec") or {}), "generation": generation}
    found[model] = {**body, "spec": spec}
    return found


def _comparable(objects: Sequence[DesiredObject]) -> dict[ObjectId, object]:
    return {o.id: o.body for o in objects}


def _candidates(files: Files, overlay: str, name: str) -> list[Candidate]:
    """Documents that may define or patch the Model, nearest first.

    A prefix or suffix makes the name in the file a part of the one that
    comes out.
    """
    found: dict[tuple[str, int], Candidate] = {}
    for file in _read(files, overlay):
        for at, document in enumerate(documents(file, files[file])):
            value = document.value
            if not isinstance(value, dict) or value.get("kind") != "Model":
                continue
            if not str(value.get("apiVersion")).startswith(f"{GROUP}/"):
                continue
            there = str((value.get("metadata") or {}).get("name"))
            if there in name:
                item = Candidate(file, at, there == name)
                found.setdefault((file, at), item)
    return sorted(found.values(), key=lambda c: not c.exact)


def _read(files: Files, folder: str) -> Iterator[str]:
    """The patch and resource files of a folder, then of those below it."""
    for place in _below(files, folder):
        found = kustomization_of(files, place)
        if found is not None:
            named = parts(files, place, found)
            yield from (*reversed(named.patches), *named.resources)


def _edited(
    files: Files, candidate: Candidate, generation: str
) -> Edit | None:
    """None if the document cannot be changed in that one place."""
    file = candidate.file
    try:
        data = pin_document(file, files[file], candidate.document, generation)
    except EditError:
        return None
    return Edit(file, data)


def _other_user(files: Files, overlay: str, file: str) -> str | None:
    """A folder that uses a file and that our overlay does not build on.

    Raises:
        BuildError: a kustomization of the source is wrong, so that nobody
            knows what it uses.
    """
    ours = _below(files, overlay)
    for path in sorted(files):
        if posixpath.basename(path) not in KUSTOMIZATIONS:
            continue
        folder = posixpath.dirname(path)
        if folder not in ours and file in _read(files, folder):
            return folder or "."
    return None


def _below(files: Files, folder: str) -> list[str]:
    """A folder and all that it builds on, each once, nearest first."""
    places = [folder]
    for place in places:  # it grows meanwhile
        found = kustomization_of(files, place)
        inner = parts(files, place, found).folders if found else ()
        places += [f for f in reversed(inner) if f not in places]
    return places


def _advice(overlay: str, model: ObjectId, shared: Mapping[str, str]) -> str:
    where = overlay or "."
    text = (
        f"{where} is built by kustomize, and no file of its own sets "
        f"spec.generation of Model {model.name}"
    )
    if shared:
        file, user = next(iter(shared.items()))
        text = f"{text}: {file} is, or may be, used by {user} too"
    return (
        f"{text}; name a patch file of the Model, with kind, metadata.name "
        f"and a spec, in patches of {where}"
    )
