"""What one run of the reconciler found and did, request by request."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
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
    arrived: datetime | None = None  # what was accepted before is in every copy
    is_arrival_given: bool = False  # by the operator, who knows how far the copy had come
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines = sqlite3.connect("")
        self._lines.execute("CREATE TABLE line (instance, kind, name, time, state, why, text)")

    def add(self, line: Line) -> None:
        """Counts a request, and keeps it unless it needs nothing."""
        self.counts[line.state] += 1
        if line.state not in ("there", "ended", "later"):
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
    def left(self) -> int:
        """How many requests a person has to decide about."""
        gone = 0 if self.is_arrival_given else self.counts["gone"]
        return gone + sum(self.counts[x] for x in ("uncertain", "reported", "unreadable", "withdrawn"))

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to do, to decide, or to look at again."""
        missing = self.counts["started"] + self.counts["raised"]
        return not self.left and not self.counts["later"] and (self.applied or not missing)
