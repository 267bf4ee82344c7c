"""`python -m recovery doctor`: gives every instance of a hub a verdict, shows what would repair it, and does it.

Exit codes: 0 nothing needs a repair (any more), 1 something does, 2 the hub cannot be examined or changed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from recovery import doctor_report, json_report
from recovery.doctor_report import Report
from recovery.errors import HubIsLive, RecoveryError
from recovery.examination import Doctor, EventsLost, Examination
from recovery.facts import Facts
from recovery.hub_version import ensure_known_version
from recovery.journal import DEFAULT_HUB, Journal, JournalOfAnotherHub
from recovery.matching import match_events
from recovery.records import RecordsUnreachable, open_place
from recovery.replay import App, load_app
from recovery.snapshot import Way, count_instances, find_hub, live_leases
from taskhub.accounts import Account, open_account
from taskhub.clock import Clock
from taskhub.errors import AccountNotUsable, TaskHubError
from taskhub.hub import TaskHub

PROGRESS_STEP = 500


def main(command: str, arguments: Sequence[str]) -> int:
    """Runs the command."""
    options = parser(command).parse_args(arguments)
    try:
        with quiet():
            return asyncio.run(run(options))
    except (RecoveryError, TaskHubError, RecordsUnreachable, JournalOfAnotherHub, OSError) as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{command}: interrupted. What was done stays; run it again to go on.", file=sys.stderr)
        return 130


@contextmanager
def quiet() -> Iterator[None]:
    """What the libraries log on the way to an error is in the error's own words."""
    loggers = [logging.getLogger(name) for name in ("azure", "recovery.journal")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


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
    result.add_argument("--force", action="store_true", help="repair although somebody holds leases on the hub")
    result.add_argument("--reply", nargs="+", default=[], metavar="ID=JSON", help="what an entity answered an instance")
    add_journal(result, "so that events that were accepted and lost are found too")
    add_output(result)
    return result


def add_account(result: argparse.ArgumentParser) -> None:
    """--storage and --hub, as every command that reads a hub has them."""
    result.add_argument(
        "--storage",
        default=os.environ.get("AzureWebJobsStorage", ""),
        help="file of an embedded account, connection string, UseDevelopmentStorage=true or identity:NAME; "
        "the setting AzureWebJobsStorage if omitted",
    )
    result.add_argument("--hub", help="name of the task hub; not needed when the account holds one")


def add_journal(result: argparse.ArgumentParser, what_for: str = "") -> None:
    """--journal and --journal-hub."""
    place = "directory, connection string or identity:NAME"
    result.add_argument(
        "--journal", default="", help=f"{place}, {what_for or 'the setting JOURNAL_STORAGE if omitted'}"
    )
    result.add_argument("--journal-hub", default=DEFAULT_HUB, help=f"the app's setting JOURNAL_HUB ({DEFAULT_HUB})")


def add_output(result: argparse.ArgumentParser) -> None:
    """--json, --html and --all."""
    result.add_argument("--json", action="store_true", help="print the report as JSON")
    result.add_argument("--html", type=Path, metavar="FILE", help="also write the report as a page")
    result.add_argument("--all", action="store_true", help="also the instances that need nothing")


async def open_existing(specification: str, clock: Clock | None = None) -> Account:
    """Opens an account that must exist: an embedded account's file is not created by looking for it."""
    looks_like_file = not any(mark in specification for mark in ("=", "://")) and not specification.startswith(
        "identity:"
    )
    if specification.strip() and looks_like_file and not Path(specification).exists():
        raise AccountNotUsable(f"There is no storage account's file {specification}.")
    if specification.strip() and looks_like_file and Path(specification).stat().st_size == 0:
        raise AccountNotUsable(f"{specification} is empty; it is not a storage account's file.")
    return await open_account(specification, clock)


def check_page(page: Path | None) -> None:
    """RecoveryError: the page that the report goes to cannot be written; known before anything else is done."""
    if page is None:
        return
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.open("a").close()
    except OSError as error:
        why = f"The page {page} cannot be written: {error.strerror}. Name another with --html."
        raise RecoveryError(why) from error


async def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """Examines, and repairs when asked to. RecoveryError, TaskHubError: the text says what is wrong."""
    app = load_app(options.app) if options.app else None
    replies = _replies(options.reply)
    check_page(options.html)
    account = await open_existing(options.storage, clock)
    try:
        hub = await find_hub(account, options.hub, clock)
        await ensure_known_version(hub)
        leases = await live_leases(hub)
        if options.apply and leases and not options.force:
            raise HubIsLive(
                f"Nothing was changed: {leases[0]}, so a host works on {hub.names.hub}. Stop it, or wait until its "
                "leases end (a minute); --force repairs all the same."
            )
        return await _examine(options, hub, app, replies, bool(leases))
    finally:
        await account.close()


async def _examine(
    options: argparse.Namespace, hub: TaskHub, app: App | None, replies: dict[str, str], is_live: bool
) -> int:
    way: Way = "peek" if options.read_only or (is_live and not options.force) else "everything"
    progress, repairing = Progress(), Progress("plans carried out")
    lost = await _events_lost(options, hub)
    if progress.is_shown and not options.only:
        progress.total = await count_instances(hub)
    doctor = Doctor(hub, app.replay if app else None, way, options.only, replies, progress, repairing, lost)
    found = await doctor.examine()
    progress.clear()
    report = Report(found, hub.clock.now().isoformat(timespec="seconds"), show_all=options.all or bool(options.only))
    if app is None:
        report.notes.append("without --app what an instance awaits is guessed from its history")
    await _plan(doctor, found, report)
    if options.apply and not options.dry_run and not options.read_only:
        repairing.total = found.broken
        report.repaired = await doctor.repair(found)
        repairing.clear()
    _print(options, report)
    return 0 if report.is_clean else 1


async def _events_lost(options: argparse.Namespace, hub: TaskHub) -> EventsLost | None:
    """What the journal knows of an open instance's events and the hub does not, by their names."""
    if not options.journal:
        return None
    journal = Journal(open_place(options.journal), options.journal_hub)
    await asyncio.to_thread(journal.check, hub.names.hub)

    def lost(facts: Facts) -> tuple[str, ...]:
        if not facts.is_open or facts.is_entity:
            return ()
        events = [entry for entry in journal.entries(facts.id) if entry.kind == "event"]
        return tuple(x.entry.name for x in match_events(events, facts) if x.state == "raised")

    return lost


async def _plan(doctor: Doctor, found: Examination, report: Report) -> None:
    progress = Progress("plans", found.broken)
    if not found.broken:
        return
    async for verdict, plan in doctor.plans(found):
        report.plans.put(verdict.instance_id, plan)
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


class Progress:
    """How much was done, on a terminal: a bar where it is known how much there is."""

    def __init__(self, what: str = "instances", total: int = 0) -> None:
        self.what = what
        self.total = total
        self.is_shown = sys.stderr.isatty()
        self._last = 0

    def __call__(self, count: int) -> None:
        if self.is_shown and abs(count - self._last) >= max(1, min(PROGRESS_STEP, self.total // 100 or PROGRESS_STEP)):
            print(f"\r{self._text(count)}", end="", file=sys.stderr, flush=True)
            self._last = count

    def _text(self, count: int) -> str:
        if not self.total:
            return f"{count:,} {self.what}"
        done = min(1.0, count / self.total)
        return f"[{'#' * int(30 * done):30}] {count:,} of {self.total:,} {self.what}"

    def clear(self) -> None:
        """Takes the bar away."""
        if self._last:
            print("\r" + " " * 79 + "\r", end="", file=sys.stderr, flush=True)
            self._last = 0
