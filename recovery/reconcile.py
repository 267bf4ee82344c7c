"""`python -m recovery reconcile`: starts and raises what the journal accepted and the promoted hub has lost.

An accepted start is there when the hub holds its instance in any form; else it is started with its original id and
input. An accepted event is there when the history or a queue holds one of the same name and data that is not yet
spoken for: events of an instance are matched by name and data in their order, so of three equal events of which the
hub holds two, one is raised. Exit codes as of the doctor.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from recovery.doctor import add_account, open_existing
from recovery.errors import HubIsLive, RecoveryError
from recovery.facts import Facts
from recovery.journal import DEFAULT_HUB, Entry, Journal, JournalOfAnotherHub
from recovery.observed import Message, sent_at
from recovery.plans import LOST
from recovery.proofs import row_from_start
from recovery.records import RecordsUnreachable, open_place, open_records
from recovery.snapshot import Snapshot, Way, find_hub, live_leases
from taskhub import messages as m
from taskhub.accounts import Entity, Write
from taskhub.client import TaskHubClient
from taskhub.clock import Clock
from taskhub.errors import Conflict, TaskHubError
from taskhub.hub import HubSettings, TaskHub
from taskhub.layout import escape_key
from taskhub.messages import TaskMessage
from taskhub.payloads import is_large_column

State = Literal["there", "started", "raised", "ended", "uncertain", "reported"]
SKEW = timedelta(seconds=10)  # between the clocks that wrote the journal and the hub
CLOSE_AFTER = timedelta(hours=1)  # an end is final when no replication lag can undo it any more
KEEP_CLOSED = timedelta(days=30)


@dataclass(frozen=True)
class Outcome:
    """What became of one accepted request."""

    entry: Entry
    state: State
    why: str
    queued: Message | None = None  # its start, when only the row is missing


@dataclass
class Reconciliation:
    """What one run found and did."""

    hub: str
    journal: str
    counts: Counter[str] = field(default_factory=Counter)
    outcomes: list[Outcome] = field(default_factory=list)  # all but what is simply there
    closed: int = 0
    pruned: int = 0
    applied: bool = False

    def add(self, outcome: Outcome) -> None:
        self.counts[outcome.state] += 1
        if outcome.state not in ("there", "ended"):
            self.outcomes.append(outcome)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to do or to decide."""
        missing = self.counts["started"] + self.counts["raised"]
        return not self.counts["reported"] and not self.counts["uncertain"] and (self.applied or not missing)


class Reconciler:
    """Compares one journal with one hub."""

    def __init__(self, hub: TaskHub, journal: Journal, way: Way = "everything", raise_uncertain: bool = False) -> None:
        self.hub = hub
        self.journal = journal
        self.way = way
        self.raise_uncertain = raise_uncertain
        self.client = TaskHubClient(hub)

    async def run(self, apply: bool) -> Reconciliation:
        """One comparison; with `apply` what is missing is started and raised, and what has ended is closed."""
        await asyncio.to_thread(self.journal.check)
        result = Reconciliation(self.hub.names.hub, self.journal.records.description, applied=apply)
        snapshot = await Snapshot.take(self.hub, self.way)
        try:
            if snapshot.encoding:
                old = self.hub.settings
                self.hub.settings = HubSettings(old.name, old.partition_count, snapshot.encoding, old.store_inputs)
            for instance_id in await asyncio.to_thread(lambda: list(self.journal.instance_ids())):
                await self._instance(snapshot, instance_id, result, apply)
        finally:
            await snapshot.release()
            snapshot.close()
        if apply:
            result.pruned = await asyncio.to_thread(self.journal.prune, self.hub.clock.now() - KEEP_CLOSED)
        return result

    async def _instance(self, snapshot: Snapshot, instance_id: str, result: Reconciliation, apply: bool) -> None:
        entries = await asyncio.to_thread(self.journal.entries, instance_id)
        facts = await snapshot.facts(instance_id)
        async for outcome in self._outcomes(entries, facts):
            if apply:
                await self._do(outcome)
            result.add(outcome)
        if apply and self._is_over(facts, entries):
            result.closed += await asyncio.to_thread(self.journal.close, instance_id, str(facts.status))

    async def _outcomes(self, entries: list[Entry], facts: Facts) -> AsyncIterator[Outcome]:
        starts = [entry for entry in entries if entry.kind == "start"]
        begins = None
        for entry in starts:
            outcome = self._start(entry, entry is starts[-1], len(starts), facts)
            begins = entry if outcome.state == "started" else begins
            yield outcome
        for outcome in match_events([x for x in entries if x.kind == "event"], facts, begins, self.raise_uncertain):
            yield outcome
        for entry in entries:
            if entry.kind == "signal":
                yield Outcome(entry, *_signal(entry, facts))

    def _start(self, entry: Entry, is_last: bool, count: int, facts: Facts) -> Outcome:
        since = begun(facts)
        if is_last and facts.row is None and facts.refused_starts and not facts.has_history:
            return Outcome(entry, "started", "its start is queued without its row", facts.refused_starts[-1])
        if since is None and is_last:
            return Outcome(entry, "started", f"the hub holds nothing of {entry.instance_id}")
        if since is None:
            return Outcome(entry, "there", "a later start of the same id counts")
        if facts.row_is_terminal and str((facts.row or {}).get("Output", "")).startswith(LOST):
            state: State = "started" if is_last else "there"
            return Outcome(entry, state, "the doctor found its start damaged and gave it up")
        if count > 1 and is_last and since < entry.moment - SKEW:
            if has_ended(facts):
                return Outcome(entry, "started", "the hub holds only an earlier run of the same id")
            return Outcome(entry, "uncertain", "an earlier run of the same id has not ended in this hub")
        return Outcome(entry, "ended" if has_ended(facts) else "there", "")

    def _is_over(self, facts: Facts, entries: list[Entry]) -> bool:
        if not entries or not has_ended(facts) or str((facts.row or {}).get("Output", "")).startswith(LOST):
            return False
        completed = (facts.row or {}).get("CompletedTime") or (facts.row or {}).get("LastUpdatedTime")
        newest = max(entry.moment for entry in entries)
        if not isinstance(completed, datetime):
            return False
        return max(completed, newest) < self.hub.clock.now() - CLOSE_AFTER

    async def _do(self, outcome: Outcome) -> None:
        entry = outcome.entry
        if outcome.queued is not None:
            await self._write_row(entry.instance_id, row_from_start(outcome.queued), replace=False)
        elif outcome.state == "started":
            await self._begin(entry)
        elif outcome.state == "raised":
            await self.client.raise_event(entry.instance_id, entry.name, entry.text or "null")

    async def _begin(self, entry: Entry) -> None:
        """Starts as a client does, message before row, but under the time of acceptance.

        So events that were accepted since then are known to be this run's, also when this is interrupted here.
        """
        existing = await self.hub.read_row(entry.instance_id)
        execution = uuid.uuid4().hex
        start = m.execution_started(entry.moment, entry.instance_id, execution, entry.name, entry.text)
        task = TaskMessage(start, entry.instance_id, execution)
        await self.hub.send(task)
        sent = Message("", "", "", "", 0, entry.moment, entry.moment, task)
        await self._write_row(entry.instance_id, row_from_start(sent), replace=existing is not None)

    async def _write_row(self, instance_id: str, columns: Entity, replace: bool) -> None:
        entity: Entity = {
            "PartitionKey": escape_key(instance_id), "RowKey": "", "TaskHubName": self.hub.names.hub, **columns,
        }  # fmt: skip
        text = entity.get("Input")
        if isinstance(text, str) and is_large_column(text):
            name = f"{escape_key(instance_id)}/history-recovery-{uuid.uuid4().hex[:8]}-Input.json.gz"
            await self.hub.large.write(name, text.encode("utf-8", "surrogatepass"))
            entity["Input"] = self.hub.large.url(name)
        try:
            await self.hub.account.tables.write(
                self.hub.names.instances, Write("upsert" if replace else "insert", entity)
            )
        except Conflict:
            pass  # somebody was faster: it is there now, and this start is dropped as a second one


def begun(facts: Facts) -> datetime | None:
    """When the hub's latest run of an instance began; None when the hub holds nothing that is or becomes a run."""
    moments = [sent_at(start.task.event) for start in facts.starts if start.task]
    if facts.start_event is not None:
        moments.append(sent_at(facts.start_event))
    created = (facts.row or {}).get("CreatedTime")
    if isinstance(created, datetime):
        moments.append(created)
    elif facts.row is not None:
        moments.append(facts.now)
    return max(moments, default=None)


def has_ended(facts: Facts) -> bool:
    """Whether the instance has ended in this hub, by its history or its row, and does not begin again."""
    if facts.accepted_start is not None or facts.is_open:
        return facts.is_open and facts.row_is_terminal and facts.row_is != "older"
    return facts.end_event is not None or facts.row_is_terminal


def canonical(text: object) -> str:
    """Event data for comparing: the JSON value however often it was encoded, keys in order."""
    value: Any = text
    for _ in range(3):
        if not isinstance(value, str):
            break
        try:
            value = json.loads(value)
        except ValueError:
            break
    return json.dumps(value, sort_keys=True)


def match_events(
    entries: Sequence[Entry], facts: Facts, begins: Entry | None = None, raise_uncertain: bool = False
) -> list[Outcome]:
    """What became of an instance's accepted events.

    Everything that the hub holds of events (history and queues) is spoken for once, by the oldest entry of the same
    name and data. An entry without a counterpart from before the present generation was used by an earlier one (its
    history is gone), except that one from just before may have been lost at the border: uncertain.
    """
    held = Counter(
        (str(event.get("Name", "")).lower(), canonical(event.get("Input")))
        for event in [*facts.raised, *(x.task.event for x in facts.event_messages if x.task)]
    )
    for message in facts.repeated_events:
        if message.task is not None:  # the same event in history and queue is one
            held[str(message.task.event.get("Name", "")).lower(), canonical(message.task.event.get("Input"))] -= 1
    generation = sent_at(facts.start_event) if facts.start_event is not None and begins is None else None
    first = min((entry.moment for entry in entries), default=None)
    outcomes = []
    for entry in entries:
        key = (entry.name.lower(), canonical(entry.text))
        if held[key] > 0:
            held[key] -= 1
            outcomes.append(Outcome(entry, "there", "the hub holds it"))
        elif begins is None and has_ended(facts):
            outcomes.append(Outcome(entry, "ended", "its instance has ended"))
        else:
            outcomes.append(_missing_event(entry, generation, facts, raise_uncertain, first))
    return outcomes


def _missing_event(
    entry: Entry, generation: datetime | None, facts: Facts, raise_uncertain: bool, first: datetime | None
) -> Outcome:
    created = (facts.row or {}).get("CreatedTime")
    is_later_generation = generation is not None and first is not None and first < generation - SKEW
    if generation is None or entry.moment >= generation or not is_later_generation:
        return Outcome(entry, "raised", "neither the history nor a queue holds it")
    if entry.moment < generation - SKEW:
        return Outcome(entry, "there", f"an earlier generation has used it (this one began {created})")
    state: State = "raised" if raise_uncertain else "uncertain"
    return Outcome(entry, state, "accepted just before the present generation began: used, or lost at the border")


def _signal(entry: Entry, facts: Facts) -> tuple[State, str]:
    queued = any(canonical(entry.text) in canonical(x.task.event.get("Input")) for x in facts.event_messages if x.task)
    if queued:
        return "there", "it is queued"
    return "reported", "an entity keeps no record of signals: compare its state, and send it again if it is missing"


def main(command: str, arguments: Sequence[str]) -> int:
    """Runs the command; 0 nothing is missing (any more), 1 something is, 2 journal or hub cannot be read."""
    options = parser(command).parse_args(arguments)
    try:
        return asyncio.run(run(options))
    except (RecoveryError, TaskHubError, RecordsUnreachable, JournalOfAnotherHub, OSError) as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{command}: interrupted. What was done stays; run it again to go on.", file=sys.stderr)
        return 130


def parser(command: str) -> argparse.ArgumentParser:
    """The arguments of the command."""
    result = argparse.ArgumentParser(
        prog=f"python -m recovery {command}",
        description="Compare the journal of accepted requests with a hub, start and raise what is missing.",
        epilog="Run the doctor first, and this before the hosts start. Without --apply nothing is changed.",
    )
    add_account(result)
    result.add_argument("--journal", default="", help="directory, connection string or identity:NAME; "
                        "the setting JOURNAL_STORAGE if omitted")  # fmt: skip
    result.add_argument("--journal-hub", default=DEFAULT_HUB, help=f"the app's setting JOURNAL_HUB ({DEFAULT_HUB})")
    result.add_argument("--apply", action="store_true", help="do it; without, only what would be done is shown")
    result.add_argument("--dry-run", action="store_true", help="only show (the default)")
    result.add_argument("--raise-uncertain", action="store_true", help="raise also what may have been used already")
    result.add_argument("--force", action="store_true", help="although somebody holds leases on the hub")
    result.add_argument("--json", action="store_true", help="print the report as JSON")
    result.add_argument("--html", type=Path, metavar="FILE", help="also write the report as a page")
    return result


async def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """Compares, and repairs when asked to."""
    records = open_place(options.journal) if options.journal else open_records()
    if records is None:
        raise RecoveryError("No journal is named: give --journal, or the setting JOURNAL_STORAGE.")
    account = await open_existing(options.storage, clock)
    try:
        hub = await find_hub(account, options.hub, clock)
        leases = await live_leases(hub)
        if options.apply and leases and not options.force:
            raise HubIsLive(f"Nothing was changed: {leases[0]}. Reconcile before a host starts, or give --force.")
        way: Way = "peek" if leases and not options.force else "everything"
        reconciler = Reconciler(hub, Journal(records, options.journal_hub), way, options.raise_uncertain)
        result = await reconciler.run(apply=options.apply and not options.dry_run)
    finally:
        await account.close()
    _print(options, result)
    return 0 if result.is_clean else 1


def _print(options: argparse.Namespace, result: Reconciliation) -> None:
    from recovery import reconcile_report

    if options.html:
        options.html.parent.mkdir(parents=True, exist_ok=True)
        options.html.write_text(reconcile_report.html(result), encoding="utf-8")
    if options.json:
        print(json.dumps(reconcile_report.as_json(result), indent=1))
        return
    for line in reconcile_report.text(result):
        print(line)
