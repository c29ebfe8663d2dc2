r"""Go's regular expressions, compiled with Python's engine.

The two agree on nearly everything a schema uses. Three things differ and are
translated: ``$`` (Python also matches before a last line feed), ``\z`` and
the POSIX classes. Classes such as ``\w`` are ASCII in Go.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_POSIX: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_TOKEN: Final = re.compile(
    r"""\\.                              # an escape
      | \[:(?P<posix>[a-z]+):\]          # a POSIX class
      | (?P<open>\[\^?\]?)               # a class begins
      | \]                               # a class ends
      | .                                # anything else
    """,
    re.VERBOSE | re.DOTALL,
)


@lru_cache(maxsize=4096)
def compile_regex(pattern: str) -> re.Pattern[str]:
    """Compile a pattern written for Go's regexp.

    Raises:
        re.error: Python cannot read the pattern.
    """
    out: list[str] = []
    in_class = False
    multiline = pattern.startswith("(?m)")
    for token in _TOKEN.finditer(pattern):
        text = token.group()
        if token["posix"] and in_class:
            out.append(_posix(token["posix"]))
        elif token["open"] and in_class:
            # A bracket inside a class is a plain character; one that closes
            # the class may have come along.
            out.append(re.escape(text[0]) + text[1:])
            in_class = "]" not in text
        elif token["open"]:
            out.append(text.replace("]", r"\]"))
            in_class = True
        elif text == "]":
            out.append(text)
            in_class = False
        else:
            out.append(_plain(text, end=not (in_class or multiline)))
    return re.compile("".join(out), re.ASCII)


def _posix(name: str) -> str:
    if name not in _POSIX:
        msg = f"invalid character class range: `[:{name}:]`"
        raise re.error(msg)
    return _POSIX[name]


def _plain(text: str, *, end: bool) -> str:
    if text == r"\z" or (text == "$" and end):
        return r"\Z"
    return text
