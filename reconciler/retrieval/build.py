"""Building the next generation of an index, by what changed.

A text is known by its digest: one that the current generation holds keeps its
vector, and only new texts are embedded. Batches are durable as they are
added, so a build that was killed goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from reconciler.artifacts.copying import remove_tree
from reconciler.retrieval.approximate.errors import GraphError
from reconciler.retrieval.approximate.tier import QUESTIONS, Tier, Wish
from reconciler.retrieval.approximate.tier_files import make_tier, would_mend
from reconciler.retrieval.arrays import as_ids
from reconciler.retrieval.chunking import Passage
from reconciler.retrieval.embedder import Embedder, Precision
from reconciler.retrieval.files import CorruptFileError
from reconciler.retrieval.index import ExactIndex
from reconciler.retrieval.library import (
    GRAPH,
    PASSAGES,
    VECTORS,
    DamagedError,
    GenerationManifest,
    Library,
    LibraryError,
    file_digest,
)
from reconciler.retrieval.passages import Passages, write_passages
from reconciler.retrieval.source import Directories, Known, Scan, Source
from reconciler.runs.protocol import write_atomically

BATCH = 256
"""Texts that are embedded and made durable together."""
_OWNER = "embedder"

Progress = Callable[[int, int], None]


@dataclass
class BuildReport:
    """What a build did.

    Attributes:
        generation: the one that answers now.
        documents: how many it holds.
        passages: how many it holds.
        embedded: texts that were embedded.
        reused: texts whose vector was there already.
        pending: texts for whose vector the time was too short. They are
            found by their words until the next build gives them one.
        skipped: by path, why a document was left out.
        notes: what an operator should know: damage found, work resumed.
        changed: whether there is a new generation.
        tier: whether a graph answers, if one was asked for.
    """

    generation: str = ""
    documents: int = 0
    passages: int = 0
    embedded: int = 0
    reused: int = 0
    pending: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    changed: bool = True
    tier: Tier | None = None


@dataclass(frozen=True)
class _Wanted:
    """How the next generation is made."""

    embedder: Embedder
    metric: str
    chunking: str
    model: str
    precision: Precision
    approximate: Wish | None

    @property
    def vectors(self) -> str:
        """Vectors and their codes may be reused if this is the same."""
        identity = self.embedder.identity
        return (
            identity
            if self.metric == "cosine"
            else f"{identity} {self.metric}"
        )

    def made(self, manifest: GenerationManifest) -> bool:
        """Whether a generation holds vectors that may be reused."""
        same = manifest.embedder == self.embedder.identity
        return same and manifest.metric == self.metric


@dataclass(frozen=True)
class _Current:
    """The generation that answers, found whole."""

    name: str
    manifest: GenerationManifest
    known: dict[str, Known]


def build(
    library: Library,
    source: Sequence[Path] | Source,
    embedder: Embedder,
    progress: Progress | None = None,
    seconds: float = math.inf,
    *,
    metric: str = "cosine",
    model: str = "",
    precision: Precision = "f32",
    approximate: Wish | None = None,
) -> BuildReport:
    """Bring an index up to date with its documents.

    Args:
        library: where the index is.
        source: the documents, or the directories that they are in.
        embedder: makes the vectors.
        progress: called with texts embedded so far and all that are to be.
        seconds: of embedding, after which no further batch is begun. The
            generation holds what was done, shortest texts first.
        metric: how vectors are compared: cosine, ip or l2.
        model: where the embedder was loaded from; kept for readers.
        precision: with which it was loaded; kept for readers.
        approximate: from which size on a graph should answer; None: never.

    Raises:
        SourceError: a directory cannot be read.
        EmbedderError: the device failed; what was embedded is kept.
        LibraryError: another process builds, or two texts share a digest.
        OSError: the disk refused; what answered before still does.
    """
    if not isinstance(source, Source):
        source = Directories(tuple(source))
    wanted = _Wanted(
        embedder,
        metric,
        source.chunking.identity,
        model,
        precision,
        approximate,
    )
    with library.lock():
        report = BuildReport()
        current = _current(library, wanted, report)
        alike = current and current.manifest.chunking == wanted.chunking
        found = source.scan(current.known if current and alike else None)
        _describe(report, found)
        content = _content(wanted, found)
        if current is not None and _is_up_to_date(
            library, current, wanted, content
        ):
            report.generation, report.changed = current.name, False
            report.tier = current.manifest.tier
            report.reused = len({p.id for p in found.passages})
            return report
        _begin(library, wanted, current, report)
        texts = _texts(found.passages)
        _embed(library, wanted, texts, report, seconds, progress)
        path = library.building / PASSAGES
        path.unlink(missing_ok=True)
        write_passages(path, found.files, found.passages)
        report.tier = _tier(library, wanted, current)
        report.generation = library.publish(
            GenerationManifest(
                content=content if report.pending == 0 else "",
                embedder=embedder.identity,
                dim=embedder.dim,
                documents=report.documents,
                passages=report.passages,
                passages_digest=file_digest(path),
                built=datetime.now(UTC).isoformat(),
                metric=metric,
                chunking=wanted.chunking,
                model=model,
                precision=precision,
                tier=report.tier,
            )
        )
        return report


def _is_up_to_date(
    library: Library, current: _Current, wanted: _Wanted, content: str
) -> bool:
    found = current.manifest
    wish = found.tier.wish if found.tier else None
    how = (found.model, found.precision, found.chunking, wish)
    asked = (
        wanted.model,
        wanted.precision,
        wanted.chunking,
        wanted.approximate,
    )
    if found.content != content or how != asked:
        return False
    if found.tier is None:
        return True
    home = library.generation(current.name)
    with _vectors(home, wanted, read_only=True) as index:
        return not would_mend(index, home / GRAPH, found.tier)


def _describe(report: BuildReport, found: Scan) -> None:
    report.documents = len(found.files)
    report.passages = len(found.passages)
    report.skipped = found.skipped


def _current(
    library: Library, wanted: _Wanted, report: BuildReport
) -> _Current | None:
    """The current generation, unless there is none that could be reused."""
    try:
        name = library.current()
        if name is None:
            return None
        manifest = library.checked_manifest(name)
        path = library.generation(name)
        if wanted.made(manifest):
            with _vectors(path, wanted, read_only=True):
                pass
        with Passages(path / PASSAGES) as passages:
            return _Current(name, manifest, passages.known())
    except (DamagedError, CorruptFileError, FileNotFoundError) as error:
        report.notes.append(
            f"the index was damaged ({error}): built anew from its source"
        )
        return None


def _content(wanted: _Wanted, found: Scan) -> str:
    digest = hashlib.sha256(wanted.vectors.encode())
    for path, checksum in sorted(found.files.items()):
        digest.update(f"\0{path}\0{checksum}".encode("utf-8", "replace"))
    # Not only the documents: how they are split may change too.
    digest.update(as_ids([p.id for p in found.passages]).tobytes())
    return digest.hexdigest()


def _begin(
    library: Library,
    wanted: _Wanted,
    current: _Current | None,
    report: BuildReport,
) -> None:
    """Make `building` hold vectors of this embedder, as many as there are."""
    home = library.building
    owner = home / _OWNER
    if owner.is_file() and owner.read_text() == wanted.vectors:
        try:
            with _vectors(home, wanted) as index:
                report.notes.append(
                    f"a build that had been stopped goes on: {len(index)} "
                    "vectors were there"
                )
                return
        except (CorruptFileError, ValueError) as error:
            report.notes.append(f"a stopped build was damaged: {error}")
    if home.exists():
        remove_tree(home)
    home.mkdir()
    if current and wanted.made(current.manifest):
        old = library.generation(current.name) / VECTORS
        shutil.copytree(old, home / VECTORS)
    # Last: without it a copy that was cut short is never taken up.
    write_atomically(owner, wanted.vectors)


def _embed(
    library: Library,
    wanted: _Wanted,
    texts: Mapping[int, str],
    report: BuildReport,
    seconds: float,
    progress: Progress | None,
) -> None:
    deadline = time.monotonic() + seconds
    with _vectors(library.building, wanted) as index:
        held = index.ids()
        index.delete(np.setdiff1d(held, as_ids(list(texts))))
        missing = sorted(
            texts.keys() - set(held.tolist()),
            key=lambda id_: (len(texts[id_]), id_),
        )
        report.reused = len(texts) - len(missing)
        for start in range(0, len(missing), BATCH):
            if time.monotonic() >= deadline:
                break
            ids = missing[start : start + BATCH]
            rows = wanted.embedder.embed([texts[id_] for id_ in ids])
            index.add(ids, rows)
            report.embedded += len(ids)
            if progress is not None:
                progress(report.embedded, len(missing))
        report.pending = len(missing) - report.embedded
        index.compact()


def _tier(
    library: Library, wanted: _Wanted, current: _Current | None
) -> Tier | None:
    """The graph of what is being built; that of what answers grows into it.

    A text has one digest and one vector, so a row of an older graph is right
    as long as its id is there.
    """
    wish, home = wanted.approximate, library.building
    if wish is None:
        if (home / GRAPH).exists():
            remove_tree(home / GRAPH)
        return None
    with Passages(home / PASSAGES) as passages:
        titles = passages.titles(QUESTIONS)
    before = []
    if current and wanted.made(current.manifest):
        before.append(library.generation(current.name) / GRAPH)
    with _vectors(home, wanted, read_only=True) as index:
        questions = np.empty((0, index.dim), np.float32)
        if titles and len(index) > wish.above:
            questions = wanted.embedder.embed(titles)
        try:
            return make_tier(index, home / GRAPH, before, wish, questions)
        except GraphError as error:
            raise LibraryError(str(error)) from error


def _texts(passages: Iterable[Passage]) -> dict[int, str]:
    found: dict[int, str] = {}
    for passage in passages:
        if found.setdefault(passage.id, passage.text) != passage.text:
            msg = f"{passage.path}: a text shares the digest of another"
            raise LibraryError(msg)
    return found


def _vectors(
    home: Path, wanted: _Wanted, *, read_only: bool = False
) -> ExactIndex:
    return ExactIndex(
        wanted.embedder.dim,
        wanted.metric,
        path=home / VECTORS,
        read_only=read_only,
    )
