"""Kinds as people write them: ``mdl``, ``model``, ``models``, ``Model``."""

from __future__ import annotations

from reconciler.cli.errors import CommandError
from reconciler.cli.kinds import KINDS
from reconciler.engine.resource import CATEGORY, Resource


def kind_of(word: str) -> type[Resource]:
    """The kind that a word names.

    Raises:
        CommandError: no kind is called that.
    """
    for kind in KINDS:
        definition = kind.definition
        names = (definition.singular, definition.plural, definition.short)
        if word.lower() in names:
            return kind
    known = ", ".join(k.definition.short for k in KINDS)
    msg = f"unknown kind {word!r}; known: {known}, or {CATEGORY} for all"
    raise CommandError(msg, code=2)


def kinds_of(word: str) -> tuple[type[Resource], ...]:
    """One kind, or all of them for the category or ``all``."""
    if word.lower() in {CATEGORY, "all"}:
        return KINDS
    return (kind_of(word),)


def split_target(words: list[str]) -> tuple[str, str | None]:
    """``mdl name`` or ``mdl/name`` -> the kind's word and the name."""
    kind, *names = words
    if len(names) > 1 or (names and "/" in kind):
        msg = f"one object at a time, please: {' '.join(words)}"
        raise CommandError(msg, code=2)
    if "/" in kind:
        kind, _, name = kind.partition("/")
        return kind, name
    return kind, names[0] if names else None
