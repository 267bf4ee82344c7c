"""`python -m recovery doctor`: gives every instance of a hub a verdict, shows what would repair it, and does it.

Exit codes: 0 nothing needs a repair (any more), 1 something does, 2 the hub cannot be examined or changed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from recovery import doctor_report, json_report
from recovery.doctor_report import Report
from recovery.errors import HubIsLive, RecoveryError
from recovery.examination import Doctor, Examination, WithJournal
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
from recovery.hubs import count_instances
from recovery.journal import Journal
from recovery.matching import match_events
from recovery.records import open_place
from recovery.replay import App, load_app
from recovery.second_look import Pause
from recovery.sweep import Way
from taskhub.clock import Clock
from taskhub.hub import TaskHub


def main(command: str, arguments: Sequence[str]) -> int:
    """Runs the command."""
    options = parser(command).parse_args(arguments)
    return carry_out(command, lambda: run(options))


def parser(command: str) -> argparse.ArgumentParser:
    """The arguments of the command."""
    result = argparse.ArgumentParser(
        prog=f"python -m recovery {command}",
        description="Examine a task hub without a host, and repair what is stuck or damaged.",
        epilog="Without --apply nothing is changed. See docs/recovery.md.",
    )
    add_account(result)
    result.add_argument("--app", type=Path, help="folder of the app: its code tells what each instance awaits")
    result.add_argument("--only", nargs="+", default=[], metavar="ID", help="look at these instances only")
    result.add_argument("--apply", action="store_true", help="carry the plans out, then look a second time")
    result.add_argument("--dry-run", action="store_true", help="only show (the default)")
    result.add_argument("--read-only", action="store_true", help="touch nothing at all, as on a hub that is at work")
    result.add_argument("--wait", action="store_true", help="until no invisible message can be in anybody's hand")
    result.add_argument("--force", action="store_true", help="repair although somebody holds leases on the hub")
    result.add_argument("--reply", nargs="+", default=[], metavar="ID=JSON", help="what an entity answered an instance")
    add_journal(result, "so that events that were accepted and lost are found too")
    add_output(result)
    result.add_argument("--all", action="store_true", help="also the instances that need nothing")
    return result


async def run(options: argparse.Namespace, clock: Clock | None = None, pause: Pause = asyncio.sleep) -> int:
    """Examines, and repairs when asked to. RecoveryError, TaskHubError: the text says what is wrong."""
    app = load_app(options.app) if options.app else None
    replies = _replies(options.reply)
    check_page(options.html)
    async with opened(options, clock) as (hub, leases):
        if options.apply and leases and not options.force:
            raise HubIsLive(
                f"Nothing was changed: {leases[0]}, so a host works on {hub.names.hub}. Stop it, or wait until its "
                "leases end (a minute); --force repairs all the same."
            )
        return await _examine(options, hub, app, replies, bool(leases) and not options.force, pause)


async def _examine(
    options: argparse.Namespace, hub: TaskHub, app: App | None, replies: dict[str, str], is_live: bool, pause: Pause
) -> int:
    way: Way = "peek" if options.read_only or is_live else "everything"
    progress, repairing = Progress(), Progress("plans carried out")
    journal = await _journal(options, hub)
    if progress.is_shown and not options.only:
        progress.total = await count_instances(hub)
    doctor = Doctor(hub, app.replay if app else None, way, options.only, replies, progress, repairing, journal)
    doctor.pause = pause if is_live else None
    found = await doctor.examine()
    if options.wait and found.undecided and found.settled_at is not None and way != "peek":
        found = await _wait(doctor, found.settled_at, pause)
    progress.clear()
    report = Report(found, hub.clock.now().isoformat(timespec="seconds"), show_all=options.all or bool(options.only))
    report.is_live, report.is_read_only = is_live, options.read_only
    if app is None:
        report.notes.append("without --app what an instance awaits is guessed from its history")
    if not is_live:  # what is stuck there can be repaired only without a host
        await _plan(doctor, found, report)
    if options.apply and not options.dry_run and not options.read_only:
        repairing.total = found.broken
        report.repaired = await doctor.repair(found)
        repairing.clear()
    _print(options, report)
    return 0 if report.is_clean else 1


async def _journal(options: argparse.Namespace, hub: TaskHub) -> WithJournal | None:
    """Adds to an instance what the journal knows and the hub does not: its start, or the names of its events."""
    if not options.journal:
        return None
    journal = Journal(open_place(options.journal), options.journal_hub)
    await asyncio.to_thread(journal.check, hub.names.hub, account_of(options, hub))

    def known(facts: Facts) -> Facts:
        if facts.is_open and not facts.is_entity:
            events = [entry for entry in journal.entries(facts.id) if entry.kind == "event"]
            lost = tuple(x.entry.name for x in match_events(events, facts) if x.state == "raised")
            return replace(facts, journal_events=lost)
        if facts.row is None and not facts.has_history:
            return replace(facts, journal_start=any(entry.kind == "start" for entry in journal.entries(facts.id)))
        return facts

    return known


async def _wait(doctor: Doctor, until: datetime, pause: Pause) -> Examination:
    """Another look when what is still invisible can only be waiting for its time."""
    print(f"Waiting until {until:%H:%M:%S}Z for messages that may be in somebody's hand …", file=sys.stderr, flush=True)
    await pause(max(0.0, (until - doctor.hub.clock.now()).total_seconds()) + 1)
    return await doctor.examine()


async def _plan(doctor: Doctor, found: Examination, report: Report) -> None:
    progress = Progress("plans", found.broken)
    if not found.broken:
        return
    async for verdict, plan in doctor.plans(found):
        report.plans.put(verdict.instance_id, plan)
        report.can_apply = report.can_apply or not plan.is_empty
        progress(len(report.plans))
    progress.clear()


def _print(options: argparse.Namespace, report: Report) -> None:
    if options.html:
        options.html.write_text(doctor_report.html(report), encoding="utf-8")
    if options.json:
        for piece in json_report.pieces(*doctor_report.as_json(report)):
            print(piece, end="")
        return
    for line in doctor_report.text(report):
        print(line)
    if options.html:
        print(f"The report is also in {options.html}.")


def _replies(given: Sequence[str]) -> dict[str, str]:
    replies: dict[str, str] = {}
    for item in given:
        name, equals, answer = item.partition("=")
        try:
            json.loads(answer)
        except ValueError:
            equals = ""
        if not equals:
            raise RecoveryError(
                f"--reply {item!r} is not ID=JSON, for example --reply order-7='{{\"reserved\": true}}'."
            )
        replies[name] = answer
    return replies
