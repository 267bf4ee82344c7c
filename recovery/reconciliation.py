"""What one run of the reconciler found and did, request by request."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from recovery.journal import Entry, Kind
from recovery.matching import Outcome, State


@dataclass(frozen=True)
class Line:
    """One request in a report; without a kind it is a record that cannot be read."""

    instance_id: str
    kind: str
    name: str
    time: str
    state: State
    why: str
    text: str | None = None  # its input or data


@dataclass
class Reconciliation:
    """What one run found and did. What is simply there is counted; the others wait in a temporary file."""

    hub: str
    journal: str
    counts: Counter[str] = field(default_factory=Counter)
    closed: int = 0
    pruned: int = 0
    applied: bool = False

    def __post_init__(self) -> None:
        self._lines = sqlite3.connect("")
        self._lines.execute("CREATE TABLE line (instance, kind, name, time, state, why, text)")

    def add(self, line: Line) -> None:
        """Counts a request, and keeps it unless it needs nothing."""
        self.counts[line.state] += 1
        if line.state not in ("there", "ended"):
            row = (line.instance_id, line.kind, line.name, line.time, line.state, line.why, line.text)
            self._lines.execute("INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def lines(self, limit: int = -1) -> Iterator[Line]:
        """What is not simply there, in the order it was found; those that need a person first."""
        order = "state IN ('started', 'raised', 'withdrawn'), rowid"
        for row in self._lines.execute(f"SELECT * FROM line ORDER BY {order} LIMIT ?", (limit,)):
            yield Line(*row)

    @property
    def outcomes(self) -> Iterator[Outcome]:
        """The same as outcomes of entries, without the records that cannot be read."""
        for line in self.lines():
            if line.kind:
                entry = Entry(cast(Kind, line.kind), line.instance_id, line.name, line.text, line.time, 0)
                yield Outcome(entry, line.state, line.why)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to do or to decide."""
        missing = self.counts["started"] + self.counts["raised"]
        left = self.counts["reported"] + self.counts["uncertain"] + self.counts["unreadable"]
        return not left and (self.applied or not missing)
