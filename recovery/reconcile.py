"""`python -m recovery reconcile`: starts and raises what the journal accepted and the promoted hub has lost.

An accepted start is there when the hub holds its instance in any form; else it is started with its original id and
input. An accepted event is there when the history or a queue holds one of the same name and data that is not yet
spoken for: events of an instance are matched by name and data in their order, so of three equal events of which the
hub holds two, one is raised. A start that was accepted long before the loss and of which nothing is there was purged.
Exit codes as of the doctor.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone

from recovery import app_settings
from recovery.closing import KEEP_A_DAY, KEEP_CLOSED, close_what_has_ended, in_parts, is_over
from recovery.errors import HubIsLive, RecoveryError
from recovery.examination import UNREADABLE
from recovery.facts import Facts
from recovery.hub_command import (
    Progress,
    account_of,
    add_account,
    add_journal,
    add_output,
    carry_out,
    check_page,
    opened,
)
from recovery.journal import Entry, Journal, OnRecord
from recovery.matching import (
    SKEW,
    Outcome,
    begun,
    has_ended,
    match_events,
    match_signals,
    match_starts,
    queued_ahead,
)
from recovery.observed import Instance, Message
from recovery.passes import Passes, note, passes_of
from recovery.proofs import row_from_start
from recovery.reconciliation import Line, Reconciliation
from recovery.records import SETTING, Records, open_place, open_records
from recovery.repairs import delete_message, with_large_texts_moved
from recovery.snapshot import Snapshot
from recovery.sweep import Way
from taskhub import messages as m
from taskhub.accounts import Entity, Write
from taskhub.client import TaskHubClient
from taskhub.clock import Clock
from taskhub.errors import Conflict
from taskhub.hub import HubSettings, TaskHub
from taskhub.layout import escape_key
from taskhub.messages import TaskMessage

LONGEST_LAG = timedelta(hours=1)  # of the copy, unless the operator knows how far it had come
HANDING_OVER = timedelta(minutes=1)  # from the journal to the hub, at most


class Reconciler:
    """Compares one journal with one hub."""

    def __init__(
        self,
        hub: TaskHub,
        journal: Journal,
        way: Way = "everything",
        raise_uncertain: bool = False,
        progress: Callable[[int], None] = lambda count: None,
        last_sync: datetime | None = None,
        account: str = "",
        is_live: bool = False,
    ) -> None:
        self.hub = hub
        self.journal = journal
        self.way = way
        self.raise_uncertain = raise_uncertain
        self.progress = progress  # told how many requests were compared
        self.last_sync = last_sync  # of the copy, when the operator knows it
        self.account = account  # whose requests the journal must have; empty: not compared
        self.is_live = is_live or way == "peek"  # requests may be on their way to the hub
        self.arrived: datetime | None = None  # what was accepted before is in the copy
        self.looked = hub.clock.now()
        self.client = TaskHubClient(hub)
        self.passes = Passes()

    async def run(self, apply: bool) -> Reconciliation:
        """One comparison; with `apply` what is missing is started and raised, and what has ended is closed."""
        await asyncio.to_thread(self.journal.check, self.hub.names.hub, self.account)
        self.passes = await passes_of(self.hub)
        self.arrived = await asyncio.to_thread(self._arrived)
        result = Reconciliation(self.hub.names.hub, self.journal.records.description, applied=apply)
        result.arrived, result.is_arrival_given = self.arrived, self.last_sync is not None
        self.looked = self.hub.clock.now() - (SKEW if self.is_live else timedelta(0))
        # What goes behind a start is deleted where it was, by the receipt of its last get.
        snapshot = await Snapshot.take(self.hub, "receipts" if apply and self.way == "everything" else self.way)
        try:
            if snapshot.encoding:
                old = self.hub.settings
                self.hub.settings = HubSettings(old.name, old.partition_count, snapshot.encoding, old.store_inputs)
            async for found in in_parts(self.journal):
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

    def _arrived(self) -> datetime | None:
        """Before which moment what was accepted is in the copy for certain.

        The loss came after the last sign of the lost hub, so an hour before that is older than any usual lag. Signs
        from after the doctor's repair are of the promoted hub.
        """
        if self.last_sync is not None:
            return self.last_sync - HANDING_OVER
        sign = self.journal.last_sign(before=self.passes.last_repair(self.hub.clock.now()))
        return None if sign is None else sign - LONGEST_LAG

    def _compared(self, found: OnRecord) -> list[Entry]:
        """The entries that the look at the hub can tell of: those accepted since may be on their way to it."""
        early = [entry for entry in found.entries if entry.moment <= self.looked]
        later = found.entries[len(early) :]
        return [] if any(entry.kind == "start" for entry in later) else early

    async def _instance(self, found: OnRecord, facts: Facts, result: Reconciliation, apply: bool) -> None:
        for why in found.unreadable:
            result.add(Line(found.instance_id, "", "unreadable record", "", "unreadable", why))
        if facts.instance.problems:
            why = f"the hub's rows cannot be compared: {facts.instance.problems[0]}"
            for entry in found.entries:
                result.add(_line(Outcome(entry, "uncertain", why)))
            return
        entries = self._compared(found)
        if later := len(found.entries) - len(entries):
            result.counts["later"] += later
        for outcome in self._outcomes(entries, facts):
            if apply:
                await self._do(outcome)
            result.add(_line(outcome))
        for entry in found.withdrawn:
            await self._withdrawn(entry, found, facts, result, apply)
        is_final = len(entries) == len(found.entries) and has_ended(facts)
        if apply and is_final and is_over(facts.row, entries, self.hub.clock.now()):
            close = functools.partial(self.journal.close, found.instance_id, str(facts.status), entries)
            result.closed += await asyncio.to_thread(close)

    async def _withdrawn(
        self, entry: Entry, found: OnRecord, facts: Facts, result: Reconciliation, apply: bool
    ) -> None:
        """A start that the hub did not confirm: nothing is done but to name it while nothing is there.

        One from long before the loss never arrived, or has been purged.
        """
        is_there = begun(facts) is not None or any(x.kind == "start" for x in found.entries)
        is_old = self.arrived is not None and entry.moment < self.arrived
        if not is_there and not is_old:
            why = "the hub did not confirm it, and its sender was told so; nothing is there"
            result.add(Line(entry.instance_id, entry.kind, entry.name, entry.time, "withdrawn", why))
        if apply and entry.moment < self.hub.clock.now() - KEEP_A_DAY:
            await asyncio.to_thread(self.journal.forget, entry)

    def _outcomes(self, entries: list[Entry], facts: Facts) -> Iterator[Outcome]:
        starts = match_starts([x for x in entries if x.kind == "start"], facts, self.arrived)
        events = [x for x in entries if x.kind == "event"]
        begins = None
        for outcome in starts:
            if outcome.state == "started":
                begins = outcome.entry
                if outcome.queued is None:
                    outcome = replace(outcome, ahead=queued_ahead(events, facts))
                    facts = _without(facts, outcome.ahead)
            yield outcome
        for outcome in match_events(events, facts, begins, self.raise_uncertain, self.passes, self.arrived):
            yield outcome if self.raise_uncertain else _unless_hidden(outcome, facts)
        yield from match_signals([x for x in entries if x.kind == "signal"], facts)

    async def _do(self, outcome: Outcome) -> None:
        entry = outcome.entry
        if outcome.queued is not None:
            await self._write_row(entry.instance_id, row_from_start(outcome.queued), replace=False)
        elif outcome.state == "started":
            for message in outcome.ahead:  # it is on record, and raised again behind the start
                await delete_message(self.hub, message)
            await self._begin(entry, outcome.replaces)
        elif outcome.state == "raised":
            await self.client.raise_event(entry.instance_id, entry.name, entry.text or "null")

    async def _begin(self, entry: Entry, replaces: bool) -> None:
        """Starts as a client does, message before row, but under the time of acceptance.

        So events that were accepted since then are known to be this run's, also when this is interrupted here.
        """
        execution = uuid.uuid4().hex
        start = m.execution_started(entry.moment, entry.instance_id, execution, entry.name, entry.text)
        task = TaskMessage(start, entry.instance_id, execution)
        await self.hub.send(task)
        sent = Message("", "", "", "", 0, entry.moment, entry.moment, task)
        await self._write_row(entry.instance_id, row_from_start(sent), replace=replaces)

    async def _write_row(self, instance_id: str, columns: Entity, replace: bool) -> None:
        columns = await with_large_texts_moved(self.hub, instance_id, columns)
        entity: Entity = {
            "PartitionKey": escape_key(instance_id), "RowKey": "", "TaskHubName": self.hub.names.hub, **columns,
        }  # fmt: skip
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


def _without(facts: Facts, messages: tuple[Message, ...]) -> Facts:
    rest = tuple(x for x in facts.instance.messages if x not in messages)
    return replace(facts, instance=replace(facts.instance, messages=rest))


def _unless_hidden(outcome: Outcome, facts: Facts) -> Outcome:
    """A missing event may be among the messages that the sweep could not see."""
    hidden = facts.unseen.get("control", 0)
    if outcome.state != "raised" or not hidden:
        return outcome
    why = f"{hidden} messages of its queue are invisible, and it may be one of them: look again in ten minutes"
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
        epilog="Run the doctor first, and this before the hosts start. Without --apply nothing is changed. "
        "While a host works: --close --apply, daily.",
    )
    add_account(result)
    add_journal(result)
    result.add_argument("--apply", action="store_true", help="do it; without, only what would be done is shown")
    result.add_argument("--dry-run", action="store_true", help="only show (the default)")
    result.add_argument(
        "--close", action="store_true", help="only clear the journal of what has ended: daily, while a host works"
    )
    result.add_argument("--raise-uncertain", action="store_true", help="raise also what may have been used already")
    result.add_argument(
        "--last-sync", type=_moment, metavar="TIME",
        help="how far the copy had come, as 2026-01-02T03:04Z: a start from before of which nothing is there was "
        "purged (an hour before the last request on record if omitted)",
    )  # fmt: skip
    result.add_argument("--force", action="store_true", help="although somebody holds leases on the hub")
    add_output(result)
    return result


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip().upper().replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


async def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """Compares, and repairs when asked to."""
    check_page(options.html)
    records = open_place(options.journal) if options.journal else open_records()
    if records is None:
        raise RecoveryError("No journal is named: give --journal, or the setting JOURNAL_STORAGE.")
    async with opened(options, clock) as (hub, leases):
        if options.close:
            return await _close(options, hub, records, bool(leases))
        if options.apply and leases and not options.force:
            raise HubIsLive(
                f"Nothing was changed: {leases[0]}. Reconcile before a host starts, or give --force; "
                "--close clears the journal of what has ended while a host works."
            )
        result = await _compare(options, hub, records, bool(leases))
    _print(options, result)
    return 0 if result.is_clean else 1


async def _compare(options: argparse.Namespace, hub: TaskHub, records: Records, is_live: bool) -> Reconciliation:
    way: Way = "peek" if is_live and not options.force else "everything"
    journal = Journal(records, options.journal_hub)
    progress = Progress("requests")
    if progress.is_shown:
        progress.total = await asyncio.to_thread(journal.count)
    reconciler = Reconciler(
        hub, journal, way, options.raise_uncertain, progress, options.last_sync, account_of(options, hub), is_live
    )
    result = await reconciler.run(apply=options.apply and not options.dry_run)
    progress.clear()
    result.notes += await _notes(options, journal)
    return result


async def _close(options: argparse.Namespace, hub: TaskHub, records: Records, is_live: bool) -> int:
    from recovery import reconcile_report

    if options.html:
        raise RecoveryError("--close makes no page: --html goes with a comparison.")
    journal = Journal(records, options.journal_hub)
    apply = options.apply and not options.dry_run
    result = await close_what_has_ended(hub, journal, apply, is_live, account_of(options, hub))
    print(json.dumps(asdict(result), indent=2) if options.json else "\n".join(reconcile_report.closing(result)))
    return 0


async def _notes(options: argparse.Namespace, journal: Journal) -> list[str]:
    """What is to be known of the journal beside its requests."""
    notes = []
    accounts = await asyncio.to_thread(journal.accounts)
    if len(accounts) > 1:
        notes.append(f"Its requests went to more than one account: {', '.join(accounts)}.")
    here = app_settings.address_of(options.storage)
    there = app_settings.address_of(options.journal) or app_settings.setting_address(os.environ, SETTING)
    if here and here == there:
        notes.append("The journal lies in the hub's own account: it is lost with it, and lags behind as the hub does.")
    return notes


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
