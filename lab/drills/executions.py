"""What a region's host did, read from what it printed: which functions it ran to their end, of which kind, and when."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

FUNCTION = re.compile(r"^\t(?P<name>\w+): (?:\[[A-Z,]+\]|(?P<trigger>\w+Trigger))")
EXECUTED = re.compile(r"^\[(?P<at>[^\]]+)Z\] Executed 'Functions\.(?P<name>\w+)' \(Succeeded")
HTTP = "httpTrigger"


@dataclass(frozen=True)
class Execution:
    """One function that came to its end."""

    at: datetime
    name: str
    trigger: str


def read(lines: Iterable[str]) -> Iterator[Execution]:
    """The executions in a host's output, failed and unfinished ones left out."""
    triggers: dict[str, str] = {}
    for line in lines:
        if listed := FUNCTION.match(line):
            triggers[listed["name"]] = listed["trigger"] or HTTP
        elif done := EXECUTED.match(line):
            at = datetime.fromisoformat(done["at"]).replace(tzinfo=timezone.utc)
            yield Execution(at, done["name"], triggers.get(done["name"], HTTP))


def by_trigger(executions: Iterable[Execution], since: datetime) -> Counter[str]:
    """How many of each kind came to their end at or after a moment."""
    return Counter(one.trigger for one in executions if one.at >= since)
