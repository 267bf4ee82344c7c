"""`python -m recovery fence`: says which region works, and makes another one the one that does."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence

from recovery.azd_environment import Environment
from recovery.fence import RECORD, Epoch, RecordDamaged, history, is_same_region, read, take_over
from recovery.journal import DEFAULT_HUB, MARKER, no_journal
from recovery.operator_errors import OperatorError
from recovery.records import RecordChanged, Records, RecordsUnreachable, open_place, open_records

MARKS = (MARKER, RECORD)  # the records by which a journal or a fence is known
FIRST_USE = "--first-use"
REPLACE_DAMAGED = "--replace-damaged"
EARLIER = 5  # take-overs that are shown


class NotAsBefore(Exception):
    """The journal or the region is one that nobody has used yet; nothing was written."""


def main(command: str, arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code.

    0 done or shown; 1 somebody else took over just then, or the record is damaged; 2 wrong arguments, a journal or a
    region that nobody has used, or no answer.
    """
    parser = _parser(command)
    options = parser.parse_args(arguments)
    if options.take_over and not re.fullmatch(r"[A-Za-z][A-Za-z0-9 ]*", options.take_over):
        parser.error(f"argument --take-over: {options.take_over!r} is not the name of a region, such as northeurope")
    try:
        return _run(options)
    except RecordDamaged as damage:
        print(f"{command}: {damage}", file=sys.stderr)
        return 1
    except (RecordsUnreachable, NotAsBefore) as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 2
    except RecordChanged:
        print(
            f"{command}: somebody else took over at the same moment; look who: python -m recovery fence",
            file=sys.stderr,
        )
        return 1


def _run(options: argparse.Namespace) -> int:
    records = open_place(options.journal) if options.journal else open_records()
    if records is None:
        raise RecordsUnreachable("No journal is named: give --journal, or the setting JOURNAL_STORAGE.")
    try:
        return _take_over(records, options) if options.take_over else _show(records, options.journal_hub)
    except RecordDamaged as damage:
        raise RecordDamaged(_damaged(damage, records, options.journal_hub), damage.version, damage.parts) from damage


# showing


def _show(records: Records, hub: str) -> int:
    found = read(records, f"{hub}/{RECORD}")
    if found is None:
        if not _is_journal(records, hub):
            raise NotAsBefore(f"{no_journal(records, hub, MARKS)}, so there is no fence there either.")
        print("There is no fence: every region may work.")
        return 0
    print(_line(found[0]))
    for epoch in [one for one in history(records, hub) if one.number < found[0].number][-EARLIER:][::-1]:
        print(f"before: {_line(epoch)}")
    return 0


def _line(epoch: Epoch) -> str:
    by = epoch.by or "nobody named"
    return f"{epoch.region} works since {epoch.since} (epoch {epoch.number}, taken over by {by})."


def _damaged(damage: RecordDamaged, records: Records, hub: str) -> str:
    parts = ", ".join(f"{name} {value}" for name, value in damage.parts.items())
    lines = [f"{damage}.", f"What can be made out of it: {parts or 'nothing'}."]
    try:
        lines += [f"The last take-over that is noted: {_line(history(records, hub)[-1])}"]
    except (RecordsUnreachable, IndexError):
        lines += ["No take-over is noted."]
    lines += [
        "A region that has read no sound one does what its FENCE_WHEN_UNREADABLE says, the others what they read last. "
        f"To replace it: the command with --take-over REGION {REPLACE_DAMAGED}."
    ]
    return "\n".join(lines)


# taking over


def _take_over(records: Records, options: argparse.Namespace) -> int:
    region, hub = options.take_over, options.journal_hub
    if not options.first_use:
        _check_used(records, hub, region)
    by = options.by or os.environ.get("USER", "")
    epoch = take_over(records, region, options.address, by, hub, replace_damaged=options.replace_damaged)
    print(f"{epoch.region} works, as epoch {epoch.number}; every other region stops within its cache's seconds.")
    return 0


def _check_used(records: Records, hub: str, region: str) -> None:
    """NotAsBefore: in a journal that no app reads the take-over does nothing, and a region that is none stops all."""
    strange = [] if _is_journal(records, hub) else [no_journal(records, hub, MARKS)]
    known = _known_regions(records, hub)
    if not any(is_same_region(region, one) for one in known):
        strange += [f"Nobody has used the region {region!r}; known is {' and '.join(known) or 'none'}"]
    if strange:
        raise NotAsBefore(
            f"{'. '.join(strange)}. Nothing was written. If all of it is spelt rightly and this is its first use: the "
            f"same command with {FIRST_USE}."
        )


def _is_journal(records: Records, hub: str) -> bool:
    return any(records.get(f"{hub}/{name}") is not None for name in MARKS)


def _known_regions(records: Records, hub: str) -> list[str]:
    """The regions of the deployment, of this app, and of every take-over, each in the first spelling."""
    try:
        values = Environment.load().values
    except OperatorError:
        values = {}
    found = [values.get(name, "") for name in ("AZURE_PRIMARY_LOCATION", "AZURE_STANDBY_LOCATION")]
    found += [os.environ.get("FENCE_REGION", "").strip(), _held(records, hub)]
    found += [epoch.region for epoch in history(records, hub)]
    known: list[str] = []
    for region in found:
        if region and not any(is_same_region(region, one) for one in known):
            known.append(region)
    return known


def _held(records: Records, hub: str) -> str:
    try:
        found = read(records, f"{hub}/{RECORD}")
    except RecordDamaged:  # what is left of a name is no name
        return ""
    return found[0].region if found else ""


def _parser(command: str) -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog=f"python -m recovery {command}", description="Which region works.")
    hub = os.environ.get("JOURNAL_HUB", "").strip() or DEFAULT_HUB
    result.add_argument("--journal", default="", help="directory, connection string or identity:NAME; JOURNAL_STORAGE")
    result.add_argument("--journal-hub", default=hub, help=f"the app's setting JOURNAL_HUB ({hub})")
    result.add_argument("--take-over", metavar="REGION", default="", help="make this region the one that works")
    result.add_argument("--address", default="", help="where that region's app answers, for those who ask another")
    result.add_argument("--by", default="", help="who takes over, for the record")
    result.add_argument(
        FIRST_USE, action="store_true", help="the journal or the region is new: without this, one unknown is refused"
    )
    result.add_argument(
        REPLACE_DAMAGED, action="store_true", help="take over also when the record there makes no sense"
    )
    return result
