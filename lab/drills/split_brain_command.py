"""`python -m lab drill --split-brain`: its arguments, the summary side by side, the report and the exit code."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path

from lab.drills.arguments import folder, within
from lab.drills.split_brain import LATE, STANDSTILL_SECONDS, WITHOUT, Found, drill
from lab.progress import Screen
from recovery import pages

FLAG = "--split-brain"
DATA, PAGE = "split-brain-report.json", "split-brain-report.html"
QUESTION = "What does a region do that comes back while another one works?"
NOTE = f"{LATE}: counted from {STANDSTILL_SECONDS:.0f} s after the take-over on (see FENCE_CACHE_SECONDS)."
ROWS: tuple[tuple[str, Callable[[Found], object]], ...] = (
    ("activities run by West Europe", lambda run: run.activities),
    ("effects asked of the outside by it", lambda run: run.effects),
    ("orchestrator episodes played by it", lambda run: run.orchestrations),
    ("timers run by it", lambda run: run.timers),
    ("queue messages handled by it", lambda run: run.messages),
    ("starts accepted by it", lambda run: run.starts_accepted),
    ("starts it answered with 503", lambda run: run.starts_refused),
    ("activities failed, messages set aside", lambda run: run.failures),
    ("times its host was started again", lambda run: run.restarts),
    ("it stood still after", lambda run: "never" if run.stood_still_after is None else f"{run.stood_still_after} s"),
    ("orders that ended rightly", lambda run: f"{run.orders_right} of {run.orders}"),
    ("deliveries and night that did not", lambda run: len(run.wrong) - (run.orders - run.orders_right)),
)


def main(arguments: Sequence[str]) -> int:
    """0: with the fence West Europe did nothing, and everything ended rightly. 1: not so. 2: wrong arguments.

    LabError, TaskHubError, OSError: it could not be carried out; `command` says so, as of every drill.
    """
    given = _parser().parse_args(arguments)
    seed = random.randrange(1_000_000) if given.seed is None else given.seed
    screen = Screen()
    screen.say(f"[bold]split brain[/bold], seed {seed}: {QUESTION}")
    runs = asyncio.run(drill(given.instances, seed, screen))
    page, data = write(runs, seed, given.report)
    screen.say(summary(runs))
    screen.say(f"report  {page}, {data.name}")
    return 1 if problems(runs) else 0


def problems(runs: Sequence[Found]) -> list[str]:
    """What must not be: with the fence West Europe did something, or something ended wrongly."""
    found = []
    for run in runs:
        if run.kind == WITHOUT:
            continue
        if not run.did_nothing:
            found.append(f"{run.kind}: West Europe worked although another region was to work")
        if run.failures:
            found.append(f"{run.kind}: {run.failures} activities were recorded as failed, or messages set aside")
        if run.wrong:
            found.append(f"{run.kind}: did not end as they must: {', '.join(run.wrong)}")
    return found


def summary(runs: Sequence[Found]) -> str:
    """The runs side by side, as text, and what is wrong."""
    lines = [f"{'':38}" + "".join(f"{run.kind:>20}" for run in runs)]
    lines += [f"{name:38}" + "".join(f"{cell(run)!s:>20}" for run in runs) for name, cell in ROWS]
    notes = [NOTE] if any(run.kind == LATE for run in runs) else []
    return "\n".join([*lines, *notes, *(f"WRONG: {problem}" for problem in problems(runs))])


def write(runs: Sequence[Found], seed: int, folder: Path) -> tuple[Path, Path]:
    """Writes the report as a page and as JSON, and returns their places."""
    folder.mkdir(parents=True, exist_ok=True)
    page, data = folder / PAGE, folder / DATA
    report = {"seed": seed, "runs": [asdict(run) for run in runs], "problems": problems(runs)}
    page.write_text(html(runs, seed), encoding="utf-8")
    data.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return page, data


def html(runs: Sequence[Found], seed: int) -> str:
    """The same as one page without anything from elsewhere."""
    found = problems(runs)
    rows = [(escape(name), *(escape(str(cell(run))) for run in runs)) for name, cell in ROWS]
    parts = [
        f"<h1>{escape(QUESTION)}</h1>",
        f'<p class="muted">python scripts/drill {FLAG} --instances {runs[0].orders} --seed {seed}</p>',
        pages.table(("", *(escape(run.kind) for run in runs)), rows),
        f'<p class="muted">{escape(NOTE)}</p>',
        *(f"<p><b>{escape(problem)}</b></p>" for problem in found or ["With the fence it does nothing."]),
    ]
    return pages.page("Split brain", "\n".join(parts))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"drill {FLAG}",
        description="Two regions on one promoted account: West Europe comes back while North Europe works, without the "
        f"fence, with it, and taken over from while it works. Writes {PAGE} and {DATA}.",
    )
    add = parser.add_argument
    add("--instances", type=_orders, default=30, metavar="N", help="how many orders clients place (30)")
    add("--seed", type=int, help="repeat a drill: the same seed asks for the same things (drawn)")
    add("--report", type=folder, default=Path("."), metavar="DIR", help="where the report goes (this folder)")
    return parser


def _orders(text: str) -> int:
    return within(text, int, 3, 999, "a number of instances")
