"""Questions whose answers are known to be in a library, or not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reconciler.corpus.question import render_prompt
from reconciler.retrieval.arrays import Floats
from reconciler.retrieval.selfrag.training.documents import Document, rank

Split = Literal["train", "validation", "test"]
Kind = Literal["answerable", "document absent", "package absent"]

TWIN = 0.85
"""Documents whose headlines have this cosine say the same."""
PER_PACKAGE = 30
"""Questions about one package."""
_VERBS_TEXT = """\
add adjust allocate append apply assert assign attach build calculate call
change check clear clip close combine compare compile compute concatenate
configure connect construct convert copy count create decode define delete
deserialize detect determine disable download draw dump emit enable encode
estimate evaluate execute expand export extract fetch fill filter find fit
flatten format generate get give group handle import infer initialize insert
install interpolate invert iterate join launch limit list load log look make
map mark match merge modify move normalize open parse perform plot pop
predict prepare print process produce project provide pull push query raise
read rebuild record reduce refresh register release reload remove rename
render replace represent reset resize resolve restore retrieve return
reverse rotate round run sample save scale scan search select send serialize
set show shuffle simulate sort split start stop store strip switch test
throw train transform translate transpose update upload use validate verify
visualize wait walk wrap write yield
"""
_VERBS = frozenset(_VERBS_TEXT.split())


@dataclass(frozen=True)
class Question:
    """A question with what counts as its evidence.

    Attributes:
        text: as asked.
        kind: whether the library holds the answer, and if not, why.
        gold: paths of the documents that answer it; empty if none does.
        package: of the document it was made from.
    """

    text: str
    kind: Kind
    gold: frozenset[str]
    package: str


@dataclass(frozen=True)
class Bench:
    """A library and questions to it.

    Attributes:
        documents: what the library holds.
        questions: answerable or not.
    """

    documents: tuple[Document, ...]
    questions: tuple[Question, ...]


def split_of(package: str) -> Split:
    """Half of the packages train, a quarter each validates and tests."""
    quarters: tuple[Split, ...] = ("train", "train", "validation", "test")
    return quarters[rank("self-rag split", package) % len(quarters)]


def worded(document: Document) -> str:
    """The headline as a question or as a phrase; or the title's question.

    Two of five as it stands, two of five as a question where it begins with
    a verb or an article, one of five asks by name; the title decides which.
    """
    choice = rank("wording", document.title) % 5
    if choice == 0:
        return render_prompt(document.title)
    text = document.headline.rstrip(". ")
    if choice <= 2:  # noqa: PLR2004 - two of five
        return text
    first, _, rest = text.partition(" ")
    verb = first.lower()
    singular = verb.removesuffix("es"), verb.removesuffix("s"), verb
    found = [word for word in singular if word in _VERBS]
    if found:
        return f"How do I {found[-1]} {rest}?"
    if verb in ("a", "an", "the"):
        return f"Is there {verb} {rest}?"
    return text


def bench(
    split: Split,
    documents: Sequence[Document],
    headlines: Floats,
    limit: int = 800,
) -> Bench:
    """The library and the questions of a split.

    A fifth of its packages is absent from the library, and of the others
    one document of three that are asked about, each with its twins.

    Args:
        split: which packages.
        documents: of all splits.
        headlines: unit vectors of their headlines, of shape (documents,
            dim).
        limit: questions at most; which ones depends on their titles.
    """
    own = [i for i, d in enumerate(documents) if split_of(d.package) == split]
    rows = headlines[own]
    held = [documents[i] for i in own]
    asked = _asked(held)
    absent = {i for i, d in enumerate(held) if _package_absent(d.package)}
    removed = {
        i
        for i in asked
        if i not in absent and rank("removed", held[i].title) % 3 == 0
    }
    twins = _twins(rows, absent | removed)
    gone = absent | removed | twins
    questions = []
    for i in asked:
        if i in gone:
            if i in twins and i not in absent | removed:
                continue
            kind: Kind = "package absent" if i in absent else "document absent"
            gold: frozenset[str] = frozenset()
        else:
            kind = "answerable"
            near = np.flatnonzero(rows @ rows[i] >= TWIN)
            gold = frozenset(held[j].path for j in near if j not in gone)
            gold |= {held[i].path}
        questions.append(
            Question(worded(held[i]), kind, gold, held[i].package)
        )
    kept = tuple(d for i, d in enumerate(held) if i not in gone)
    return Bench(kept, tuple(questions[:limit]))


def _asked(held: Sequence[Document]) -> list[int]:
    """Places of the documents that are asked about."""
    counts: dict[str, int] = {}
    chosen = []
    order = sorted(
        range(len(held)), key=lambda i: rank("asked", held[i].title)
    )
    for i in order:
        package = held[i].package
        counts[package] = counts.get(package, 0) + 1
        if counts[package] <= PER_PACKAGE:
            chosen.append(i)
    return chosen


def _package_absent(package: str) -> bool:
    return rank("absent", package) % 5 == 0


def _twins(rows: Floats, places: Iterable[int]) -> set[int]:
    """Places whose headline says the same as one of these."""
    chosen = sorted(places)
    if not chosen:
        return set()
    near = (rows @ rows[chosen].T >= TWIN).any(axis=1)
    return set(np.flatnonzero(near).tolist()) - set(chosen)
