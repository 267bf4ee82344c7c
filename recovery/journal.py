"""The journal: every accepted request is on record outside the hub's region before the client is told so.

Ships with the app. A starter or event endpoint writes its entry, waits for the write, and only then hands the request
to the hub and answers 202. `python -m recovery reconcile` compares the entries with a promoted hub.

    JOURNAL_STORAGE      where: see recovery.records; empty or `off`: no journal
    JOURNAL_HUB          whose journal, when several apps share the account; default `app`
    JOURNAL_WHEN_DOWN    `refuse` (default: the request is answered 503) or `accept` (counted, and logged as a warning)
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import unquote

from recovery import app_settings
from recovery.journal_entries import (
    VERSION,
    Entry,
    Found,
    Kind,
    OnRecord,
    as_sent,
    digest,
    folder_of,
    in_order,
    key_of,
    moment_of,
    on_record,
)
from recovery.records import SETTING, RecordChanged, Records, RecordsUnreachable, open_records
from recovery.silence import Silence

log = logging.getLogger("recovery.journal")
WhenDown = Literal["refuse", "accept"]
DEFAULT_HUB = "app"
MARKER = "journal.json"
TASK_HUBS = "taskhubs"
ACCOUNTS = "accounts"
ALIVE = "alive.json"
READERS = 16  # records that are asked for at once
READ_AT_ONCE = 64  # and held at once


class JournalDown(Exception):
    """The request cannot be put on record now; answer 503, nothing was started."""


def no_journal(records: Records, hub: str, marks: Sequence[str]) -> str:
    """In words that there is nothing of a hub, and of which hubs there is, by the records that mark one."""
    hubs = sorted({name.partition("/")[0] for name in records.names() if name.partition("/")[2] in marks})
    if hubs:
        return f"The journal in {records.description} has no hub '{hub}'; it has {', '.join(hubs)}"
    return f"There is no journal in {records.description}"


class JournalOfAnotherHub(Exception):
    """The journal at this place belongs to another hub."""


class JournalMisconfigured(ValueError):
    """A setting of the journal has no such value; the text names it."""


@dataclass
class Counters:
    """What the status page says of the journal."""

    written: int = 0
    refused: int = 0
    accepted_without: int = 0
    milliseconds: float = 0.0  # of all writes together


class Journal:
    """The journal of one hub."""

    def __init__(
        self,
        records: Records,
        hub: str = DEFAULT_HUB,
        when_down: WhenDown = "refuse",
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        task_hub: str = "",
        account: str = "",
        is_in_hubs_account: bool = False,
        silence: Silence | None = None,
    ) -> None:
        self.records = records
        self.hub = hub
        self.task_hub = task_hub  # the requests go to it; empty: not known
        self.account = account  # that has the task hub; empty: not known
        self.is_in_hubs_account = is_in_hubs_account  # then it is lost with it
        self.silence = silence or Silence()
        self.when_down = when_down
        self.counters = Counters()
        self._now = now
        self._sequence = itertools.count(1)
        self._marked = False

    # the app's side

    async def accept_start(self, instance_id: str, workflow: str, data: Any) -> Entry | None:
        """Puts a start on record. JournalDown: it cannot be, and the setting says refuse."""
        return await self._accept("start", instance_id, workflow, as_sent(data))

    async def accept_event(self, instance_id: str, name: str, data: Any) -> Entry | None:
        """Puts an external event on record. JournalDown as above."""
        return await self._accept("event", instance_id, name, as_sent(data))

    async def accept_signal(self, entity_id: str, operation: str, data: Any) -> Entry | None:
        """Puts a signal to an entity on record. JournalDown as above."""
        return await self._accept("signal", entity_id, operation, as_sent(data))

    async def withdraw(self, entry: Entry | None) -> None:
        """Takes an entry back whose request was refused after all. One that stays does no harm but a second look.

        A start that the hub did not confirm may have arrived all the same, its answer lost on the way; whoever sends
        it again is then told that it is there. So a withdrawn start stays on record, is never started from it, and is
        named when the hub does not hold it.
        """
        if entry is None:
            return
        try:
            await asyncio.to_thread(self._withdraw, entry)
        except RecordsUnreachable as error:
            log.warning("The journal keeps an entry of a refused request for %s: %s", entry.instance_id, error)

    def _withdraw(self, entry: Entry) -> None:
        if entry.kind == "start":
            self.records.put(self._name(entry, "withdrawn"), json.dumps(asdict(entry)).encode())
        self.records.delete(self._name(entry))

    async def _accept(self, kind: Kind, instance_id: str, name: str, text: str | None) -> Entry | None:
        entry = Entry(
            kind, instance_id, name, text, self._now().isoformat(), next(self._sequence), uuid.uuid4().hex, digest(text)
        )
        begin = time.perf_counter()
        try:
            if self.silence.holds():  # known without waiting for a thread
                raise self._is_silent()
            await asyncio.to_thread(self._write_if_it_answers, entry)
        except (RecordsUnreachable, JournalOfAnotherHub) as error:
            self._without(entry, error)
            return None
        self.counters.written += 1
        self.counters.milliseconds += (time.perf_counter() - begin) * 1000
        return entry

    def _without(self, entry: Entry, error: Exception) -> None:
        if self.when_down == "accept":
            self.counters.accepted_without += 1
            log.warning("A %s for %s was accepted without the journal: %s", entry.kind, entry.instance_id, error)
            return
        self.counters.refused += 1
        raise JournalDown(f"The request cannot be put on record: {error}. Send it again later.") from error

    def _write_if_it_answers(self, entry: Entry) -> None:
        """A silent account takes seconds to be found so; who waited for a thread meanwhile need not ask again."""
        began = self.silence.begin()
        if began is None:
            raise self._is_silent()
        answered = False
        try:
            self.write(entry)
            answered = True
        finally:
            self.silence.end(began, answered)

    def _is_silent(self) -> RecordsUnreachable:
        return RecordsUnreachable(f"the journal in {self.records.description} did not answer a moment ago")

    def write(self, entry: Entry) -> None:
        """Writes an entry; it is there when this returns. RecordsUnreachable, JournalOfAnotherHub."""
        self._mark()
        data = json.dumps(asdict(entry)).encode()
        # Its name is this entry's alone: when it is there already, a first try arrived and its answer did not.
        with suppress(RecordChanged):
            self.records.put(self._name(entry), data, only_new=True)

    def _mark(self) -> None:
        """Notes once whose journal this is, and which task hub in which account gets the requests."""
        if self._marked:
            return
        self._note(MARKER, {"hub": self.hub, "version": VERSION})
        if self.task_hub:
            self._note(f"{TASK_HUBS}/{key_of(self.task_hub.lower())}.json", {"taskHub": self.task_hub})
        if self.account:
            self._note(f"{ACCOUNTS}/{key_of(self.account.lower())}.json", {"account": self.account})
        self._marked = True

    def _note(self, name: str, content: dict[str, Any]) -> None:
        with suppress(RecordChanged):  # it is there already
            self.records.put(f"{self.hub}/{name}", json.dumps(content).encode(), only_new=True)

    def status(self) -> dict[str, Any]:
        """What the status page shows."""
        counters = self.counters
        mean = counters.milliseconds / counters.written if counters.written else 0.0
        return {
            "journal": "on", "whenDown": self.when_down, "written": counters.written, "refused": counters.refused,
            "acceptedWithout": counters.accepted_without, "meanMilliseconds": round(mean, 1),
            "silent": self.silence.is_on, "inHubsAccount": self.is_in_hubs_account,
        }  # fmt: skip

    # the reconciler's side

    def check(self, task_hub: str = "", account: str = "") -> None:
        """JournalOfAnotherHub: no journal here, or not this hub's, or its requests went elsewhere.

        Elsewhere is another task hub, or a task hub in another account; an empty text is not compared, nor is what
        the journal does not tell. RecordsUnreachable.
        """
        if self.records.get(f"{self.hub}/{MARKER}") is None:
            raise JournalOfAnotherHub(self._missing())
        hubs, accounts = self._noted(TASK_HUBS), self._noted(ACCOUNTS)
        went = f"The requests in the journal '{self.hub}' of {self.records.description} went to"
        if task_hub and hubs and task_hub.lower() not in hubs:
            raise JournalOfAnotherHub(
                f"{went} the task hub {', '.join(hubs)}, not to {task_hub}. "
                "Name the right ones with --hub and --journal-hub."
            )
        if account and accounts and account.lower() not in accounts:
            raise JournalOfAnotherHub(
                f"{went} the storage account {', '.join(accounts)}, not to {account}: it is another deployment's, and "
                "all of it would be started here. If its hub was moved to this account: --other-account."
            )

    def accounts(self) -> list[str]:
        """The accounts that requests went to, as far as that is noted. RecordsUnreachable."""
        return self._noted(ACCOUNTS)

    def _noted(self, what: str) -> list[str]:
        return [unquote(folder_of(x).removesuffix(".json")) for x in self.records.names(f"{self.hub}/{what}/")]

    def _missing(self) -> str:
        return f"{no_journal(self.records, self.hub, [MARKER])}."

    def instance_ids(self) -> Iterator[str]:
        """The instances that have open entries, in the order of the names."""
        names = self.records.names(f"{self.hub}/open/")
        yield from (unquote(folder) for folder, _ in itertools.groupby(names, folder_of))

    def count(self) -> int:
        """How many entries are open, by their names alone. RecordsUnreachable."""
        return sum(1 for _ in self.records.names(f"{self.hub}/open/"))

    def last_sign(self, before: datetime | None = None) -> datetime | None:
        """The latest moment (before another one) at which the hub took requests or was seen at work; None: no such.

        By the names of the open entries alone, and by what `note_alive` noted. RecordsUnreachable.
        """
        accepted = (moment_of(name) for name in self.records.names(f"{self.hub}/open/"))
        signs = itertools.chain([self._last_alive()], accepted)
        return max((x for x in signs if x is not None and (before is None or x < before)), default=None)

    def _last_alive(self) -> datetime | None:
        found = self.records.get(f"{self.hub}/{ALIVE}")
        with suppress(ValueError, KeyError, TypeError):
            return datetime.fromisoformat(json.loads(found[0])["time"]) if found else None
        return None

    def note_alive(self, moment: datetime) -> None:
        """Notes that a host was seen at work on the hub. RecordsUnreachable."""
        self.records.put(f"{self.hub}/{ALIVE}", json.dumps({"time": moment.isoformat()}).encode())

    def entries(self, instance_id: str) -> list[Entry]:
        """The open entries of an instance, oldest first; unreadable ones are left out and logged."""
        names = self.records.names(self._folder(instance_id))
        return in_order(found for found in map(self._read, names) if isinstance(found, Entry))

    def on_record(self) -> Iterator[OnRecord]:
        """What is on record, one instance after the other, however many there are; some records are read at once."""
        parts = (self.records.names(f"{self.hub}/{part}/") for part in ("open", "withdrawn"))
        names = heapq.merge(*parts, key=lambda name: folder_of(name) + "/")
        with ThreadPoolExecutor(READERS) as pool:
            for folder, group in itertools.groupby(self._each(pool, names), lambda found: folder_of(found[0])):
                yield on_record(unquote(folder), list(group))

    def _each(self, pool: ThreadPoolExecutor, names: Iterator[str]) -> Iterator[tuple[str, Found]]:
        while some := list(itertools.islice(names, READ_AT_ONCE)):
            yield from zip(some, pool.map(self._read, some), strict=True)

    def _read(self, name: str) -> Found:
        """The entry of a name, or why there is none."""
        found = self.records.get(name)
        if found is None:
            return None
        try:
            entry = Entry(**json.loads(found[0]))
            belongs = key_of(entry.instance_id) == folder_of(name)
            is_sound = belongs and entry.is_whole and entry.moment.tzinfo is not None
        except (ValueError, TypeError, AttributeError) as error:
            log.warning("The journal's entry %s cannot be read: %s", name, error)
            return "it cannot be read"
        if not is_sound:
            log.warning("The journal's entry %s is damaged", name)
            return "it is not what was accepted"
        return entry

    def close(self, instance_id: str, status: str, entries: Sequence[Entry]) -> int:
        """Ends these entries of an instance: one short record of the end replaces them; returns how many they were.

        What was accepted since they were read stays, and so does what cannot be read.
        """
        record = {"instance": instance_id, "status": status, "entries": len(entries), "closed": self._now().isoformat()}
        day = self._now().strftime("%Y-%m-%d")
        self.records.put(f"{self.hub}/closed/{day}/{key_of(instance_id)}.json", json.dumps(record).encode())
        for entry in entries:
            self.records.delete(self._name(entry))
        return len(entries)

    def forget(self, entry: Entry) -> None:
        """Deletes the record of a withdrawn start."""
        self.records.delete(self._name(entry, "withdrawn"))

    def prune(self, before: datetime) -> int:
        """Deletes the records of what was closed before a day; returns how many."""
        limit = before.strftime("%Y-%m-%d")
        count = 0
        for name in self.records.names(f"{self.hub}/closed/"):
            if folder_of(name) >= limit:
                break
            self.records.delete(name)
            count += 1
        return count

    def _folder(self, instance_id: str, part: str = "open") -> str:
        return f"{self.hub}/{part}/{key_of(instance_id)}/"

    def _name(self, entry: Entry, part: str = "open") -> str:
        folder = self._folder(entry.instance_id, part)
        return f"{folder}{key_of(entry.time)}-{entry.sequence:06d}-{entry.kind}-{entry.id}.json"


class NoJournal:
    """The journal that is switched off: it accepts everything and keeps nothing."""

    async def accept_start(self, instance_id: str, workflow: str, data: Any) -> None:
        """Keeps nothing."""

    async def accept_event(self, instance_id: str, name: str, data: Any) -> None:
        """Keeps nothing."""

    async def accept_signal(self, entity_id: str, operation: str, data: Any) -> None:
        """Keeps nothing."""

    async def withdraw(self, entry: Entry | None) -> None:
        """Has nothing to take back."""

    def status(self) -> dict[str, Any]:
        """Says that requests are not on record."""
        return {"journal": "off"}


def open_journal(environment: Mapping[str, str] = os.environ) -> Journal | NoJournal:
    """The journal that the app's settings ask for. JournalMisconfigured: they cannot be used; the text says which."""
    try:
        records = open_records(environment)
    except RecordsUnreachable as error:
        raise JournalMisconfigured(f"The journal cannot be opened: {error}.") from error
    if records is None:
        return NoJournal()
    when_down = environment.get("JOURNAL_WHEN_DOWN", "").strip().lower() or "refuse"
    if when_down not in ("refuse", "accept"):
        raise JournalMisconfigured(f"The setting JOURNAL_WHEN_DOWN is {when_down!r}; it must be refuse or accept.")
    hub = environment.get("JOURNAL_HUB", "").strip() or DEFAULT_HUB
    at = app_settings.hub_address_of(environment)
    return Journal(
        records, hub, "accept" if when_down == "accept" else "refuse",
        task_hub=app_settings.task_hub_of(environment), account=app_settings.account_in(at),
        is_in_hubs_account=bool(at) and at == app_settings.setting_address(environment, SETTING),
    )  # fmt: skip


@lru_cache(maxsize=1)
def current() -> Journal | NoJournal:
    """The app's journal, opened once."""
    return open_journal()


__all__ = [
    "DEFAULT_HUB",
    "Entry",
    "Journal",
    "JournalDown",
    "JournalMisconfigured",
    "JournalOfAnotherHub",
    "Kind",
    "NoJournal",
    "OnRecord",
    "as_sent",
    "current",
    "open_journal",
]
