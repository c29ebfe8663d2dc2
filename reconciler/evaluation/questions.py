"""The held-out questions of a suite: the same ones for every candidate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from reconciler.corpus import Example


def sample(examples: Iterable[Example], count: int) -> list[Example]:
    """At most `count` held-out examples, in an order that is a fixed shuffle.

    The order depends on nothing but the examples' ids, so that a larger
    sample contains the smaller one.
    """
    held_out = (e for e in examples if e.split == "heldout")
    return sorted(held_out, key=lambda e: (_place(e), e.id))[:count]


def digest_of(examples: Sequence[Example]) -> str:
    """Digest of questions and references, ``sha256:<hex>``."""
    total = hashlib.sha256()
    for e in examples:
        row = json.dumps([e.id, e.prompt, e.answer])
        total.update(row.encode() + b"\n")
    return f"sha256:{total.hexdigest()}"


def _place(example: Example) -> str:
    return hashlib.sha256(f"questions/{example.id}".encode()).hexdigest()
