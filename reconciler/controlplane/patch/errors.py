"""What a patch can fail with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal["BadRequest", "Invalid", "RequestEntityTooLarge"]


class PatchError(Exception):
    """A patch that cannot be applied.

    Attributes:
        code: HTTP status that the API server answers with.
        reason: the reason of the Status object.
        message: text of the Status object.
        detail: what exactly is wrong, for a cause of type
            ``UnexpectedServerResponse``; empty if the message says it.
    """

    def __init__(
        self,
        message: str,
        code: int = 400,
        reason: Reason = "BadRequest",
        detail: str = "",
    ) -> None:
        super().__init__(f"{message}: {detail}" if detail else message)
        self.message = message
        self.code = code
        self.reason: Reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that another manager owns with another value.

    Attributes:
        manager: name of the other manager.
        field: path such as ``.spec.replicas``.
        api_version: version in which the other manager set it.
        operation: how it did: Apply or Update.
        subresource: where it did; empty for the object itself.
    """

    manager: str
    field: str
    api_version: str
    operation: str = "Apply"
    subresource: str = ""

    def owner(self) -> str:
        """Return the manager as kubectl prints it."""
        text = f'"{self.manager}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        if self.operation == "Update":
            text += f" using {self.api_version}"
        return text

    def message(self) -> str:
        """Return the sentence about this one field."""
        return f"conflict with {self.owner()}: {self.field}"

    def cause(self) -> dict[str, str]:
        """Return the cause of the Status object."""
        return {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {self.owner()}",
            "field": self.field,
        }


def conflict_message(conflicts: list[Conflict]) -> str:
    """Return the message of the 409 that lists all conflicts."""
    if len(conflicts) == 1:
        return f"Apply failed with 1 conflict: {conflicts[0].message()}"
    lines: list[str] = []
    for owner in sorted({c.owner() for c in conflicts}):
        lines.append(f"conflicts with {owner}:")
        lines += [f"- {c.field}" for c in conflicts if c.owner() == owner]
    listed = "\n".join(lines)
    return f"Apply failed with {len(conflicts)} conflicts: {listed}"
