"""Names that may become part of a path."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from reconciler.storage.errors import InvalidNameError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LONGEST_NAME = 253
_LONGEST_PART = 255
_LONGEST_PATH = 1024


def checked_name(text: str, what: str) -> str:
    """A lower-case DNS name: letters, digits, ``-`` and single dots.

    Args:
        text: the name.
        what: what it names, for the message.

    Raises:
        InvalidNameError: it could lead elsewhere, hide or be an option.
    """
    if (
        len(text) > _LONGEST_NAME
        or _NAME.fullmatch(text) is None
        or ".." in text
    ):
        msg = f"{text!r} is no name of a {what}: use letters, digits and -"
        raise InvalidNameError(msg)
    return text


def check_paths(paths: Iterable[str]) -> None:
    """Refuse relative paths of files that are odd or lead out of a tree.

    Raises:
        InvalidNameError: a part is empty, ``.`` or ``..``, has control
            characters or is too long.
    """
    for path in paths:
        parts = path.split("/")
        if len(path) > _LONGEST_PATH or not all(map(_is_plain, parts)):
            msg = f"{path!r} is no path of a file in a generation"
            raise InvalidNameError(msg)


def _is_plain(part: str) -> bool:
    return (
        part not in {"", ".", ".."}
        and len(part.encode()) <= _LONGEST_PART
        and not any(unicodedata.category(c) in {"Cc", "Cs"} for c in part)
    )
