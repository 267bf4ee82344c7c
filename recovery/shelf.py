"""A list in a temporary file: for what grows with the hub and is looked at once more at the end."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Shelf(Generic[T]):
    """Things in the order in which they were put, to be had again by a name. The file is gone with the object."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")
        self._db.execute("CREATE TABLE thing (name, content)")
        self._db.execute("CREATE INDEX by_name ON thing (name)")

    def put(self, name: str, thing: T) -> None:
        """Puts one more thing; several may have the same name."""
        self._db.execute("INSERT INTO thing VALUES (?, ?)", (name, pickle.dumps(thing)))

    def get(self, name: str) -> T | None:
        """The last thing of a name."""
        row = self._db.execute("SELECT content FROM thing WHERE name = ? ORDER BY rowid DESC", (name,)).fetchone()
        return None if row is None else _thing(row)

    def __iter__(self) -> Iterator[T]:
        for row in self._db.execute("SELECT content FROM thing ORDER BY rowid"):
            yield _thing(row)

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM thing").fetchone()[0])


def _thing(row: tuple[bytes]) -> T:  # type: ignore[type-var]
    thing: T = pickle.loads(row[0])  # written by this very process
    return thing
