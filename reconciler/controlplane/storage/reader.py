"""Reads of committed state: objects, lists at a revision, history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reconciler.controlplane.storage.database import connect, fact
from reconciler.controlplane.storage.record import Event, Key, Page, Stored

_SELECT = "SELECT namespace, name, number, data FROM revisions WHERE"
_ORDER = "ORDER BY resource, namespace, name LIMIT :limit"
_LIVE = "superseded IS NULL"
_THEN = (
    "number <= :revision AND deleted = 0"
    " AND (superseded IS NULL OR superseded > :revision)"
)
_HISTORY = (
    "SELECT r.number, r.resource, r.namespace, r.name, r.data, r.deleted,"
    " p.number, p.data FROM revisions r"
    " LEFT JOIN revisions p ON p.number = r.previous"
    " WHERE r.number > ? AND r.number <= ?"
)


class Reader:
    """A read connection, used by the event loop's thread only."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._connection.execute("PRAGMA query_only=ON")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def revision(self) -> int:
        """The newest revision on disk, 0 in an empty store."""
        row = self._connection.execute(
            "SELECT max(number) FROM revisions"
        ).fetchone()
        return int(row[0] or 0)

    def compacted(self) -> int:
        """The newest revision whose history is forgotten."""
        return fact(self._connection, "compacted")

    def get(self, key: Key) -> Stored | None:
        """The live object under a key."""
        row = self._connection.execute(
            "SELECT number, data FROM revisions WHERE superseded IS NULL"
            " AND resource = ? AND namespace = ? AND name = ?",
            key,
        ).fetchone()
        return Stored(key, row[0], row[1]) if row else None

    def page(
        self,
        resource: str,
        namespace: str | None,
        *,
        limit: int | None = None,
        after: Key | None = None,
        revision: int | None = None,
        counted: bool = True,
    ) -> Page:
        """Objects in key order, all from one revision.

        Args:
            resource: ``<group>/<plural>``.
            namespace: One namespace, or None for all.
            limit: At most so many objects, or None for all.
            after: Continue behind this key.
            revision: The revision to read at; None reads the newest.
            counted: Tell how many objects follow; without it a full page
                says only that there may be more.
        """
        self._connection.execute("BEGIN")
        try:
            at = self.revision() if revision is None else revision
            where, values = _range(resource, namespace, after)
            where += " AND " + (_LIVE if revision is None else _THEN)
            values |= {"revision": at, "limit": -1 if limit is None else limit}
            rows = self._connection.execute(
                f"{_SELECT} {where} {_ORDER}", values
            ).fetchall()
            items = [
                Stored(Key(resource, row[0], row[1]), row[2], row[3])
                for row in rows
            ]
            full = limit is not None and len(items) == limit
            remaining = 0
            if full and counted:
                remaining = self._count(where, values) - len(items)
        finally:
            self._connection.execute("COMMIT")
        more = remaining > 0 or (full and not counted)
        return Page(at, items, items[-1].key if more else None, remaining)

    def _count(self, where: str, values: dict[str, object]) -> int:
        row = self._connection.execute(
            f"SELECT count(*) FROM revisions WHERE {where}",  # noqa: S608 - fixed text
            values,
        ).fetchone()
        return int(row[0])

    def history(
        self, after: int, through: int, resource: str | None = None
    ) -> Iterator[Event]:
        """Changes behind one revision up to and with another, in order."""
        query, values = _HISTORY, [after, through]
        arguments: list[object] = list(values)
        if resource is not None:
            query += " AND r.resource = ?"
            arguments.append(resource)
        query += " ORDER BY r.number"
        return map(_event, self._connection.execute(query, arguments))

    def dependents(self, owner: str) -> list[Key]:
        """Keys of the objects that name this uid as an owner."""
        rows = self._connection.execute(
            "SELECT resource, namespace, name FROM owners WHERE owner = ?",
            (owner,),
        )
        return [Key(*row) for row in rows]

    def owned(self) -> list[Key]:
        """Keys of all objects that have an owner."""
        rows = self._connection.execute(
            "SELECT DISTINCT resource, namespace, name FROM owners"
        )
        return [Key(*row) for row in rows]

    def terminating(self) -> list[Key]:
        """Keys of all objects that wait for their finalizers."""
        rows = self._connection.execute(
            "SELECT resource, namespace, name FROM revisions"
            " WHERE superseded IS NULL AND terminating = 1"
        )
        return [Key(*row) for row in rows]

    def unchanged_since(self, resource: str, at: int, limit: int) -> list[Key]:
        """Keys of live objects last written before a time (epoch seconds)."""
        rows = self._connection.execute(
            "SELECT resource, namespace, name FROM revisions"
            " WHERE superseded IS NULL AND resource = ? AND at < ? LIMIT ?",
            (resource, at, limit),
        )
        return [Key(*row) for row in rows]

    def occupied(self, namespace: str, ignored: str) -> list[Key]:
        """Keys of what lives in a namespace, without one resource."""
        rows = self._connection.execute(
            "SELECT resource, namespace, name FROM revisions"
            " WHERE superseded IS NULL AND namespace = ? AND resource != ?",
            (namespace, ignored),
        )
        return [Key(*row) for row in rows]

    def cutoff(self, kept: int) -> int:
        """The revision so that at most ``kept`` newer rows are history."""
        row = self._connection.execute(
            "SELECT number FROM revisions ORDER BY number DESC"
            " LIMIT 1 OFFSET ?",
            (kept,),
        ).fetchone()
        return int(row[0]) if row else 0

    def oversize(self, most: int) -> int:
        """The revision so that newer history has at most ``most`` bytes.

        Lengths alone are read, not the objects.
        """
        row = self._connection.execute(
            "SELECT superseded FROM (SELECT superseded,"
            " sum(length(data)) OVER (ORDER BY superseded DESC) AS total"
            " FROM revisions WHERE superseded IS NOT NULL)"
            " WHERE total > ? ORDER BY superseded DESC LIMIT 1",
            (most,),
        ).fetchone()
        return int(row[0]) if row else 0


def _range(
    resource: str, namespace: str | None, after: Key | None
) -> tuple[str, dict[str, object]]:
    where, values = "resource = :resource", {"resource": resource}
    if namespace is not None:
        where += " AND namespace = :namespace"
        values["namespace"] = namespace
    if after is not None:
        values["after_name"] = after.name
        if namespace is not None:
            # Not as a pair: SQLite would sort all that follows, each time.
            where += " AND name > :after_name"
        else:
            where += " AND (namespace, name) > (:after_namespace, :after_name)"
            values["after_namespace"] = after.namespace
    return where, dict(values)


def _event(row: tuple[int, str, str, str, bytes, int, int, bytes]) -> Event:
    number, resource, namespace, name, data, deleted, then, before = row
    key = Key(resource, namespace, name)
    previous = Stored(key, then, before) if before is not None else None
    return Event(Stored(key, number, data), bool(deleted), previous)
