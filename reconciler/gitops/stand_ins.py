"""Builds the objects of a revision, with kustomize where it is an overlay.

kustomize gets nothing in clear: encrypted objects go through it as they are,
and files that it generates Secrets from are replaced by stand-ins. Both are
opened in what it prints, so that no value is ever in a file.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from reconciler.gitops.build import Builder
from reconciler.gitops.documents import BuildError, nodes_of, sources
from reconciler.gitops.kustomization import Generated, generated
from reconciler.gitops.kustomize import Kustomize
from reconciler.gitops.manifest import DesiredObject
from reconciler.gitops.sops.envelopes import Content, content
from reconciler.gitops.sops.errors import SopsError
from reconciler.gitops.sops.opener import Opener
from reconciler.gitops.tree import Tree


def built(
    tree: Tree, kustomize: Kustomize, builder: Builder
) -> tuple[DesiredObject, ...]:
    """The objects of a tree.

    Raises:
        BuildError: the first thing that is wrong.
    """
    if tree.overlay is None:
        return builder.build(tree.files)
    found = stand_ins(tree.files, tree.overlay, builder.opener)
    printed = kustomize.files(replace(tree, files=found.files))
    opener = replace(
        builder.opener,
        sources=sources(tree.files),
        stand_ins=found.values,
    )
    return builder.build(printed, opener)


@dataclass(frozen=True)
class StandIns:
    """Files for kustomize, without what is secret in them."""

    files: Mapping[str, bytes] = field(repr=False)
    values: Mapping[str, str] = field(repr=False)
    """Data of a generated Secret to what it stands for, both base64."""


def stand_ins(
    files: Mapping[str, bytes], overlay: str, opener: Opener
) -> StandIns:
    """Replace encrypted files that Secrets are generated from.

    Raises:
        BuildError: one cannot be opened.
    """
    changed = dict(files)
    values: dict[str, str] = {}
    if opener.closed:
        return StandIns(changed, values)
    for source in generated(files, overlay):
        opened = _opened(source, files[source.path], opener)
        if opened is not None:
            made = _replaced(files[source.path], opened, values)
            changed[source.path] = made
    return StandIns(changed, values)


def _opened(source: Generated, data: bytes, opener: Opener) -> Content | None:
    try:
        found = content(source.name, source.path, data, nodes_of, opener.keys)
    except SopsError as error:
        raise BuildError(source.path, error.line, error.reason) from error
    if found is not None and not source.secret:
        reason = (
            "is encrypted, and a ConfigMap is generated from it; use "
            "secretGenerator"
        )
        raise BuildError(source.path, 1, reason)
    return found


def _replaced(data: bytes, opened: Content, values: dict[str, str]) -> bytes:
    """A stand-in; it changes with the encrypted file, as kustomize needs."""
    name = "sops-" + hashlib.sha256(data).hexdigest()[:32]
    if not opened.lines:
        _put(values, name, opened.whole)
        return name.encode()
    lines = []
    for index, (key, value) in enumerate(opened.lines):
        text = value
        if key in opened.secret:
            text = f"{name}-{index}"
            _put(values, text, value.encode())
        lines.append(f"{key}={text}\n")
    return "".join(lines).encode()


def _put(values: dict[str, str], name: str, real: bytes) -> None:
    stand_in, value = (base64.b64encode(b) for b in (name.encode(), real))
    values[stand_in.decode()] = value.decode()
