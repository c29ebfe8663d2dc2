r"""Go's regular expressions: RE2, which takes linear time on any input.

RE2's syntax is Go's but for ``\C``, a single byte, which Go refuses. What is
wrong with a pattern is said in Go's words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import re2

_SENTENCES: Final = {
    "bad repetition operator": "invalid nested repetition operator",
    "invalid named capture group": "invalid named capture",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid repetition size": "invalid repeat count",
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": (
        "missing argument to repetition operator"
    ),
    "trailing \\": "trailing backslash at end of expression",
}
_ESCAPE: Final = re.compile(r"\\Q.*?(?:\\E|\Z)|\\(.)", re.DOTALL)


class PatternError(ValueError):
    """A pattern is no regular expression; the message is Go's."""


class Pattern:
    """A compiled pattern."""

    def __init__(self, text: str) -> None:
        if any(escape[1] == "C" for escape in _ESCAPE.finditer(text)):
            raise PatternError(_sentence(r"invalid escape sequence: \C"))
        options = re2.Options()
        options.log_errors = False
        try:
            self._compiled = re2.compile(text, options)
        except re2.error as error:
            raise PatternError(_sentence(error.args[0].decode())) from None

    def matches(self, text: str) -> bool:
        """Tell whether the pattern is found anywhere in `text`."""
        return self._compiled.search(text) is not None

    def find(self, text: str) -> str | None:
        """Return what is found first, None if nothing is."""
        return next(self.find_all(text), None)

    def find_all(self, text: str) -> Iterator[str]:
        """Yield what is found, from the left.

        As in Go, nothing at all right after a match is no match.
        """
        end = -1
        for found in self._compiled.finditer(text):
            if found.end() > found.start() or found.start() != end:
                yield found.group()
            end = found.end()


@lru_cache(maxsize=1024)
def compile_regex(text: str) -> Pattern:
    """Compile a pattern written for Go's regexp.

    Raises:
        PatternError: Go would not read the pattern.
    """
    return Pattern(text)


def _sentence(text: str) -> str:
    """What Go says where RE2 says `text`."""
    what, _, where = text.partition(": ")
    sentence = f"error parsing regexp: {_SENTENCES.get(what, what)}"
    return f"{sentence}: `{where}`" if where else sentence
