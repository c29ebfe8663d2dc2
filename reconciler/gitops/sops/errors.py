"""What is wrong with an encrypted file; never a value of it."""

from __future__ import annotations


class SopsError(Exception):
    """A file cannot be decrypted, or not trusted.

    Args:
        reason: what and where, by the path of the field.
        line: of the file, from 1.
    """

    def __init__(self, reason: str, line: int = 1) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
