"""What is known of a store at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class StoreCounts:
    """What is in a store, in one consistent look."""

    thumbs: int = 0
    rating: int = 0
    comparison: int = 0
    correction: int = 0
    quarantined: int = 0
    through: int = 0
    """Every row below this position is committed and counted."""

    new: int = 0
    """Rows from the position that was asked about up to `through`."""

    pending: int = 0
    """Committed rows that wait for an older transaction to end."""

    last_row_at: datetime | None = None
    oldest_row_at: datetime | None = None
    server: str = ""
    """Version of the server."""

    @property
    def rows(self) -> int:
        """All judgements below `through`."""
        return self.thumbs + self.rating + self.comparison + self.correction


@dataclass(frozen=True)
class StoreFacts:
    """A store and its server as found."""

    running: bool = True
    """Whether the embedded server lives; True for one that is not ours."""

    failure: str | None = None
    """Why the rows cannot be read; a retry may help."""

    refusal: tuple[str, str] | None = None
    """Reason and message of what only a person can mend."""

    version: int = 0
    """Version of the tables: 0 none, -1 brought here from elsewhere."""

    newest_version: int = 0
    """Version that this program writes."""

    counts: StoreCounts | None = None
