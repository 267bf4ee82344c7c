"""`python -m recovery reconcile`: starts and raises what the journal accepted and the promoted hub has lost.

An accepted start is there when the hub holds its instance in any form; else it is started with its original id and
input. An accepted event is there when the history or a queue holds one of the same name and data that is not yet
spoken for: events of an instance are matched by name and data in their order, so of three equal events of which the
hub holds two, one is raised. Exit codes as of the doctor.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime, timedelta

from recovery.errors import HubIsLive, RecoveryError
from recovery.examination import UNREADABLE
from recovery.facts import Facts
from recovery.hub_command import Progress, add_account, add_journal, add_output, carry_out, check_page, opened
from recovery.journal import Entry, Journal, OnRecord
from recovery.matching import SKEW, Outcome, State, begun, has_ended, match_events, match_signals
from recovery.observed import Instance, Message
from recovery.passes import Passes, note, passes_of
from recovery.plans import LOST
from recovery.proofs import row_from_start
from recovery.reconciliation import Line, Reconciliation
from recovery.records import open_place, open_records
from recovery.snapshot import Snapshot, Way
from taskhub import messages as m
from taskhub.accounts import Entity, Write
from taskhub.client import TaskHubClient
from taskhub.clock import Clock
from taskhub.errors import Conflict
from taskhub.hub import HubSettings, TaskHub
from taskhub.layout import escape_key
from taskhub.messages import TaskMessage
from taskhub.payloads import is_large_column

CLOSE_AFTER = timedelta(hours=1)  # an end is final when no replication lag can undo it any more
KEEP_CLOSED = timedelta(days=30)
KEEP_WITHDRAWN = timedelta(days=1)
AT_ONCE = 32  # instances that are read at once


class Reconciler:
    """Compares one journal with one hub."""

    def __init__(
        self,
        hub: TaskHub,
        journal: Journal,
        way: Way = "everything",
        raise_uncertain: bool = False,
        progress: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.hub = hub
        self.journal = journal
        self.way = way
        self.raise_uncertain = raise_uncertain
        self.progress = progress  # told how many requests were compared
        self.client = TaskHubClient(hub)
        self.passes = Passes()

    async def run(self, apply: bool) -> Reconciliation:
        """One comparison; with `apply` what is missing is started and raised, and what has ended is closed."""
        await asyncio.to_thread(self.journal.check, self.hub.names.hub)
        result = Reconciliation(self.hub.names.hub, self.journal.records.description, applied=apply)
        self.passes = await passes_of(self.hub)
        snapshot = await Snapshot.take(self.hub, self.way)
        try:
            if snapshot.encoding:
                old = self.hub.settings
                self.hub.settings = HubSettings(old.name, old.partition_count, snapshot.encoding, old.store_inputs)
            async for found in self._on_record():
                facts = await asyncio.gather(*(_known(snapshot, one.instance_id) for one in found))
                for one, known in zip(found, facts, strict=True):
                    await self._instance(one, known, result, apply)
                self.progress(sum(result.counts.values()))
        finally:
            await snapshot.release()
            snapshot.close()
        if apply:
            await note(self.hub, "reconciled")
            result.pruned = await asyncio.to_thread(self.journal.prune, self.hub.clock.now() - KEEP_CLOSED)
        return result

    async def _on_record(self) -> AsyncIterator[list[OnRecord]]:
        """What the journal holds, some instances at a time."""
        everything = self.journal.on_record()
        while some := await asyncio.to_thread(lambda: list(itertools.islice(everything, AT_ONCE))):
            yield some

    async def _instance(self, found: OnRecord, facts: Facts, result: Reconciliation, apply: bool) -> None:
        for why in found.unreadable:
            result.add(Line(found.instance_id, "", "unreadable record", "", "unreadable", why))
        if facts.instance.problems:
            why = f"the hub's rows cannot be compared: {facts.instance.problems[0]}"
            for entry in found.entries:
                result.add(_line(Outcome(entry, "uncertain", why)))
            return
        for outcome in self._outcomes(found.entries, facts):
            if apply:
                await self._do(outcome)
            result.add(_line(outcome))
        for entry in found.withdrawn:
            await self._withdrawn(entry, found, facts, result, apply)
        if apply and self._is_over(facts, found.entries):
            status = str(facts.status)
            close = functools.partial(self.journal.close, found.instance_id, status, found.entries)
            result.closed += await asyncio.to_thread(close)

    async def _withdrawn(
        self, entry: Entry, found: OnRecord, facts: Facts, result: Reconciliation, apply: bool
    ) -> None:
        """A start that the hub did not confirm: nothing is done but to name it while nothing is there."""
        is_there = begun(facts) is not None or any(x.kind == "start" for x in found.entries)
        if not is_there:
            why = "the hub did not confirm it, and its sender was told so; nothing is there"
            result.add(Line(entry.instance_id, entry.kind, entry.name, entry.time, "withdrawn", why))
        if apply and entry.moment < self.hub.clock.now() - KEEP_WITHDRAWN:
            await asyncio.to_thread(self.journal.forget, entry)

    def _outcomes(self, entries: list[Entry], facts: Facts) -> Iterator[Outcome]:
        starts = [entry for entry in entries if entry.kind == "start"]
        begins = None
        for entry in starts:
            outcome = self._start(entry, entry is starts[-1], len(starts), facts)
            begins = entry if outcome.state == "started" else begins
            yield outcome
        events = [x for x in entries if x.kind == "event"]
        for outcome in match_events(events, facts, begins, self.raise_uncertain, self.passes):
            yield outcome if self.raise_uncertain else _unless_hidden(outcome, facts)
        yield from match_signals([x for x in entries if x.kind == "signal"], facts)

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
        # Without a start on record it is a child: a parent that is further behind may yet begin it anew.
        is_top = any(entry.kind == "start" for entry in entries)
        return max(completed, newest) < self.hub.clock.now() - (CLOSE_AFTER if is_top else KEEP_CLOSED)

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


async def _known(snapshot: Snapshot, instance_id: str) -> Facts:
    """An instance as the hub holds it; one that cannot be read is known by its problem alone."""
    try:
        facts = await snapshot.alone(instance_id)
        begun(facts), has_ended(facts)
        return facts
    except UNREADABLE as error:
        return Facts(Instance(instance_id, problems=(f"{type(error).__name__}: {str(error)[:200]}",)))


def _unless_hidden(outcome: Outcome, facts: Facts) -> Outcome:
    """A missing event may be among the messages that the sweep could not see."""
    hidden = facts.unseen.get("control", 0)
    if outcome.state != "raised" or not hidden:
        return outcome
    why = f"{hidden} messages of its queue are invisible, and it may be one of them: look again in five minutes"
    return Outcome(outcome.entry, "uncertain", why)


def _line(outcome: Outcome) -> Line:
    entry = outcome.entry
    return Line(entry.instance_id, entry.kind, entry.name, entry.time, outcome.state, outcome.why, entry.text)


def main(command: str, arguments: Sequence[str]) -> int:
    """Runs the command; 0 nothing is missing (any more), 1 something is, 2 journal or hub cannot be read."""
    options = parser(command).parse_args(arguments)
    return carry_out(command, lambda: run(options))


def parser(command: str) -> argparse.ArgumentParser:
    """The arguments of the command."""
    result = argparse.ArgumentParser(
        prog=f"python -m recovery {command}",
        description="Compare the journal of accepted requests with a hub, start and raise what is missing.",
        epilog="Run the doctor first, and this before the hosts start. Without --apply nothing is changed.",
    )
    add_account(result)
    add_journal(result)
    result.add_argument("--apply", action="store_true", help="do it; without, only what would be done is shown")
    result.add_argument("--dry-run", action="store_true", help="only show (the default)")
    result.add_argument("--raise-uncertain", action="store_true", help="raise also what may have been used already")
    result.add_argument("--force", action="store_true", help="although somebody holds leases on the hub")
    add_output(result)
    return result


async def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """Compares, and repairs when asked to."""
    check_page(options.html)
    records = open_place(options.journal) if options.journal else open_records()
    if records is None:
        raise RecoveryError("No journal is named: give --journal, or the setting JOURNAL_STORAGE.")
    async with opened(options, clock) as (hub, leases):
        if options.apply and leases and not options.force:
            raise HubIsLive(f"Nothing was changed: {leases[0]}. Reconcile before a host starts, or give --force.")
        way: Way = "peek" if leases and not options.force else "everything"
        journal = Journal(records, options.journal_hub)
        progress = Progress("requests")
        if progress.is_shown:
            progress.total = await asyncio.to_thread(journal.count)
        reconciler = Reconciler(hub, journal, way, options.raise_uncertain, progress)
        result = await reconciler.run(apply=options.apply and not options.dry_run)
        progress.clear()
    _print(options, result)
    return 0 if result.is_clean else 1


def _print(options: argparse.Namespace, result: Reconciliation) -> None:
    from recovery import json_report, reconcile_report

    if options.html:
        options.html.write_text(reconcile_report.html(result), encoding="utf-8")
    if options.json:
        for piece in json_report.pieces(*reconcile_report.as_json(result)):
            print(piece, end="")
        return
    for line in reconcile_report.text(result):
        print(line)
