"""`python -m lab drill`: arguments, the report, the summary and the exit code."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from pathlib import Path

from lab import report
from lab.drills import DRILLS, Drill, split_brain_command
from lab.drills.arguments import folder, within
from lab.drills.findings import Findings
from lab.drills.recovering import with_tools
from lab.drills.run import run
from lab.drills.scene import Options
from lab.errors import LabError
from lab.lag import DISTRIBUTIONS
from lab.progress import Screen
from taskhub.errors import TaskHubError

MOST_INSTANCES = 9999
LONGEST_LAG = 3600.0  # seconds
SEEDS = 1_000_000


def main(arguments: list[str]) -> int:
    """0: nothing is lost or stuck; without doctor or journal, all verdicts agree with the ground truth. 1: not so."""
    try:
        if split_brain_command.FLAG in arguments:
            return split_brain_command.main([one for one in arguments if one != split_brain_command.FLAG])
        return _main(arguments)
    except (LabError, TaskHubError, OSError) as error:
        print(f"drill: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("drill: interrupted; its hosts are stopped.", file=sys.stderr)
        return 130


def _main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    drill = next(one for one in DRILLS if one.planned == given.planned)
    doctor, journal = not given.without_doctor, not given.without_journal
    drill = with_tools(drill, doctor, journal)
    seed = random.randrange(SEEDS) if given.seed is None else given.seed
    options = Options(given.instances, given.lag, given.distribution, seed, given.keep, given.step, given.report,
                      doctor, journal, given.only_events)  # fmt: skip
    screen = Screen(ask=input if given.step or given.keep else None, stepwise=given.step)
    return asyncio.run(_run(drill, options, screen))


async def _run(drill: Drill, options: Options, screen: Screen) -> int:
    def tell(findings: Findings) -> None:
        page, data = report.write(findings, options.report)
        screen.say(report.summary(findings))
        screen.say(f"report            {page}, {data.name}")

    screen.say(f"[bold]{drill.name}[/bold], seed {options.seed}: {drill.question}")
    findings = await run(drill, options, screen, tell)
    return 1 if findings["problems"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="drill",
        description="Loses a region in the middle of work, fails its storage account over, lets the doctor repair what "
        "arrived and the journal bring back what did not, starts the other region, and gives every accepted request a "
        "verdict. Writes drill-report.html and drill-report.json.",
        epilog="Without both doctor and journal it shows what Azure gives you by itself.",
    )
    add = parser.add_argument
    add("--instances", type=_instances, default=200, metavar="N", help="how many instances clients start (200)")
    add("--lag", type=_lag, default=5.0, metavar="SECONDS", help="how far the secondary is behind, typically (5)")
    add("--distribution", choices=DISTRIBUTIONS, default="long-tailed", help="of the lag (long-tailed)")
    add("--seed", type=int, help="repeat a drill: the same seed loses the same requests (drawn)")
    add("--planned", action="store_true", help="leave the region on purpose: everything is copied first")
    add("--without-doctor", action="store_true", help="nobody repairs what is stuck or damaged")
    add("--without-journal", action="store_true", help="nobody brings back what never arrived")
    add("--only-events", action="store_true", help="only instances that wait for an event, no other workflow")
    add("--split-brain", action="store_true", help="instead: both regions on one account; see --split-brain --help")
    add("--keep", action="store_true", help="leave North Europe running and say what to try")
    add("--step", action="store_true", help="explain each step and wait for Enter before it")
    add("--report", type=folder, default=Path("."), metavar="DIR", help="where the report goes (this folder)")
    return parser


def _instances(text: str) -> int:
    return within(text, int, 1, MOST_INSTANCES, "a number of instances")


def _lag(text: str) -> float:
    return within(text, float, 0, LONGEST_LAG, "a lag in seconds")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
