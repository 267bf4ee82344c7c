"""`python -m recovery fence`: says which region works, and makes another one the one that does."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence

from recovery.azd_environment import Environment
from recovery.fence import RECORD, is_same_region, read, take_over
from recovery.journal import DEFAULT_HUB
from recovery.operator_errors import OperatorError
from recovery.records import RecordChanged, Records, RecordsUnreachable, open_place, open_records


def main(command: str, arguments: Sequence[str]) -> int:
    """Runs the command; 0 done or shown, 1 somebody else took over just then, 2 wrong arguments or no answer."""
    parser = _parser(command)
    options = parser.parse_args(arguments)
    if options.take_over:
        _check_region(parser, options.take_over)
    try:
        records = open_place(options.journal) if options.journal else open_records()
        if records is None:
            raise RecordsUnreachable("No journal is named: give --journal, or the setting JOURNAL_STORAGE.")
        return _run(records, options)
    except RecordsUnreachable as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 2
    except RecordChanged:
        print(
            f"{command}: somebody else took over at the same moment; look who: python -m recovery fence",
            file=sys.stderr,
        )
        return 1


def _check_region(parser: argparse.ArgumentParser, region: str) -> None:
    """A region that is none keeps every app out, so it must be one of the deployment's, as far as those are known."""
    try:
        values = Environment.load().values
    except OperatorError:
        values = {}
    known = [values[name] for name in ("AZURE_PRIMARY_LOCATION", "AZURE_STANDBY_LOCATION") if values.get(name)]
    if known and not any(is_same_region(region, one) for one in known):
        parser.error(f"argument --take-over: the deployment is in {' and '.join(known)}, not in {region!r}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9 ]*", region):
        parser.error(f"argument --take-over: {region!r} is not the name of a region, such as northeurope")


def _run(records: Records, options: argparse.Namespace) -> int:
    if options.take_over:
        by = options.by or os.environ.get("USER", "")
        epoch = take_over(records, options.take_over, options.address, by, options.journal_hub)
        print(f"{epoch.region} works, as epoch {epoch.number}; every other region stops within its cache's seconds.")
        return 0
    found = read(records, f"{options.journal_hub}/{RECORD}")
    if found is None:
        print("There is no fence: every region may work.")
        return 0
    epoch = found[0]
    print(
        f"{epoch.region} works since {epoch.since} (epoch {epoch.number}, taken over by {epoch.by or 'nobody named'})."
    )
    return 0


def _parser(command: str) -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog=f"python -m recovery {command}", description="Which region works.")
    result.add_argument("--journal", default="", help="directory, connection string or identity:NAME; JOURNAL_STORAGE")
    result.add_argument("--journal-hub", default=DEFAULT_HUB, help=f"the app's setting JOURNAL_HUB ({DEFAULT_HUB})")
    result.add_argument("--take-over", metavar="REGION", default="", help="make this region the one that works")
    result.add_argument("--address", default="", help="where that region's app answers, for those who ask another")
    result.add_argument("--by", default="", help="who takes over, for the record")
    return result
