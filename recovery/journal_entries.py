"""One accepted request as the journal keeps it, and how its record is named.

{hub}/open/{instance}/{time}-{sequence}-{kind}-{id}.json
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote, unquote

Kind = Literal["start", "event", "signal", "terminate"]
VERSION = 1


@dataclass(frozen=True)
class Entry:
    """One accepted request. `text` is the input or data exactly as the hub gets it, JSON text or None."""

    kind: Kind
    instance_id: str
    name: str  # the workflow's, the event's or the operation's
    text: str | None
    time: str  # ISO 8601, UTC
    sequence: int  # orders the entries of one process that have the same time
    id: str = ""
    sha256: str = ""  # of `text`, so that a damaged entry is noticed
    version: int = VERSION

    @property
    def moment(self) -> datetime:
        """When it was accepted."""
        return datetime.fromisoformat(self.time)

    @property
    def is_whole(self) -> bool:
        """Whether the text is what was written."""
        return self.sha256 == digest(self.text)


@dataclass(frozen=True)
class OnRecord:
    """What is on record of one instance and not closed."""

    instance_id: str
    entries: list[Entry]  # oldest first
    withdrawn: list[Entry]  # starts that the hub did not confirm
    unreadable: list[str]  # records that are damaged or cannot be read, and why


Found = Entry | str | None  # a text says why an entry cannot be read; None: it is gone meanwhile


def digest(text: str | None) -> str:
    """The checksum of an entry's text."""
    return hashlib.sha256((text or "").encode("utf-8", "surrogatepass")).hexdigest()


def as_sent(value: Any) -> str | None:
    """A value as the SDK's start_new and raise_event bring it into the hub: JSON in JSON."""
    return None if value is None else json.dumps(json.dumps(value))


def key_of(text: str) -> str:
    """A text as one part of a record's name."""
    return quote(text, safe="@:-_").replace(".", "%2E")


def folder_of(name: str) -> str:
    """The part of a record's name that stands for the instance."""
    return name.split("/")[2]


def moment_of(name: str) -> datetime | None:
    """When an entry was accepted, by its record's name; None for a name that is none of the journal's."""
    try:
        moment = datetime.fromisoformat(unquote(name.split("/")[-1]).rsplit("-", 3)[0])
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Entries as they were accepted, oldest first."""
    return sorted(entries, key=lambda entry: (entry.time, entry.sequence, entry.id))


def on_record(instance_id: str, found: list[tuple[str, Found]]) -> OnRecord:
    """What was read of one instance, by the names of the records."""
    entries = [(name.split("/")[1], entry) for name, entry in found if isinstance(entry, Entry)]
    return OnRecord(
        instance_id,
        in_order(entry for part, entry in entries if part == "open"),
        in_order(entry for part, entry in entries if part == "withdrawn"),
        [f"{name}: {why}" for name, why in found if isinstance(why, str)],
    )
