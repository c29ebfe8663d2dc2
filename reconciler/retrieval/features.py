"""Feature hashing: vectors for texts without a model.

Words and pairs of neighbours, each counted with a sign at a hashed place. A
fallback for search where no embedder is installed: texts that share words
get similar vectors.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np

from reconciler.kernels import native
from reconciler.retrieval.arrays import Floats

_WORD = re.compile(rb"[0-9a-z\x80-\xff]+")
_BASIS, _PRIME = 0xCBF29CE484222325, 0x100000001B3
_MASK = (1 << 64) - 1


def hashed_features(texts: Sequence[str], dim: int) -> Floats:
    """One row of `dim` signed counts for each text.

    Raises:
        ValueError: dim is not positive.
    """
    if dim < 1:
        msg = f"dim must be positive, not {dim}"
        raise ValueError(msg)
    out = np.zeros((len(texts), dim), np.float32)
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    kernels = native()
    if kernels is not None:
        kernels.hash_features(encoded, out)
        return out
    return reference_features(encoded, out)


def reference_features(texts: Sequence[bytes], out: Floats) -> Floats:
    """The definition, in Python: adds the features of UTF-8 texts to rows.

    A word is a longest run of ASCII letters (taken as lower case), ASCII
    digits and bytes above 127. Words, and neighbours joined by one space,
    are hashed: 64-bit FNV-1a, then xor-shift and multiply twice.
    """
    dim = out.shape[1]
    for row, text in zip(out, texts, strict=True):
        words = _WORD.findall(text.lower())
        pairs = [b" ".join(pair) for pair in itertools.pairwise(words)]
        for feature in (*words, *pairs):
            value = _mixed(_fnv(feature))
            row[value % dim] += -1 if value >> 63 else 1
    return out


def _fnv(data: bytes) -> int:
    value = _BASIS
    for byte in data:
        value = (value ^ byte) * _PRIME & _MASK
    return value


def _mixed(value: int) -> int:
    value ^= value >> 32
    value = value * 0x9E3779B97F4A7C15 & _MASK
    value ^= value >> 29
    return value * 0xBF58476D1CE4E5B9 & _MASK
