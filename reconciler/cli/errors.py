"""What a command may end with besides success."""

from __future__ import annotations


class CommandError(Exception):
    """Printed as one line on stderr; the command exits with `code`."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
        self.told = False
        """Whether it is in a document for programs already."""
