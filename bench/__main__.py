"""Measures the local host on one machine, and in the same minutes what the SDK and the storage could do alone.

Ctrl-C ends it early and shows what it has.

python scripts/bench                        embedded accounts (a file and :memory:), one worker and two
python scripts/bench --quick                a first impression, in about a minute
python scripts/bench --only chain,fan       some parts; --storage file --workers 1 narrows it further
python scripts/bench --azurite              an Azurite of its own too, in memory
python scripts/bench --journal              instead: what recovery costs: journal, inputs in histories, looks
python scripts/bench --json FILE            the figures for programs, beside the table
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench import in_process, parts
from bench.parts import PARTS, Figures, Size
from bench.results import COMPARED, SDK, WORK_ALONE, Column, Results
from bench.running import ROOT, HostFailed, Measured, host

CHOICES = [*PARTS, "inside"]
STORAGES = ["file", "memory"]
SECONDS = 2.0  # of each look at a ceiling


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    only: list[str]
    workers: list[int]
    rounds: int
    quick: bool

    def size(self, storage: str) -> Size:
        if storage == "azurite":
            return parts.AZURITE_QUICK if self.quick else parts.AZURITE
        return parts.QUICK if self.quick else Size()


@dataclass
class Storage:
    """An account to measure on: how each host names a new one, and how fast it can be."""

    name: str
    new: Callable[[str], str]  # a label in, what --storage takes out
    plain: str | None = None  # the connection string for a plain client


async def main() -> int:
    options = arguments()
    if options.journal:
        from bench import journal

        print(await journal.report(options.quick))
        return 0
    plan = Plan(options.only, options.workers, 1 if options.quick else 3, options.quick)
    results = Results()
    try:
        await _measure_all(options, plan, results)
    except asyncio.CancelledError:
        results.interrupted = True  # what was measured until then is shown
    print(results.drawn())
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=1) + "\n")
    return 130 if results.interrupted else 1 if results.failures else 0


async def _measure_all(options: argparse.Namespace, plan: Plan, results: Results) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with _storages(options.storage, options.azurite, Path(folder)) as storages:
            for storage in storages:
                # Hosts that poll a server slow each other down even when idle, so there they follow one another.
                for workers in [[n] for n in plan.workers] if storage.plain else [plan.workers]:
                    await measure(storage, replace(plan, workers=workers), results)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--only", type=_parts, default=CHOICES, metavar="PARTS", help=f"some of {','.join(CHOICES)}")
    add("--storage", choices=STORAGES, action="append", help="one of the embedded accounts (both)")
    add("--azurite", action="store_true", help="measure on an Azurite too")
    add("--journal", action="store_true", help="measure what it costs to be able to come back, instead")
    add("--workers", type=_numbers, default=[1, 2], metavar="N,N", help="numbers of worker processes (1,2)")
    add("--quick", action="store_true", help="less work, once")
    add("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    chosen = text.split(",")
    if unknown := set(chosen) - set(CHOICES):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: there is {', '.join(CHOICES)}")
    return chosen


def _numbers(text: str) -> list[int]:
    if not all(part.isdigit() and 1 <= int(part) <= 64 for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers from 1 to 64")
    return [int(part) for part in text.split(",")]


@asynccontextmanager
async def _storages(chosen: list[str] | None, with_azurite: bool, folder: Path) -> AsyncIterator[list[Storage]]:
    known = {
        "file": Storage("file", lambda label: str(folder / f"{label}.db")),
        "memory": Storage("memory", lambda label: ":memory:"),
    }
    found = [known[name] for name in chosen or STORAGES]
    if not with_azurite:
        yield found
        return
    from bench.azurite import azurite

    with azurite() as connection_string:
        yield [*found, Storage("azurite", lambda label: connection_string, connection_string)]


async def measure(storage: Storage, plan: Plan, results: Results) -> None:
    """All parts on one account; each round measures the ceiling, then every number of workers, right after another."""
    columns = [Column(storage.name, workers) for workers in plan.workers]
    results.columns += columns
    async with AsyncExitStack() as stack:
        hosts: dict[int, Measured] = {}
        shared = [part for part in plan.only if part in PARTS and part != "memory"]
        for workers in plan.workers if shared else ():
            label = f"{storage.name}{workers}"
            hosts[workers] = await stack.enter_async_context(host(storage.new(label), workers, label))
        for part in shared:
            for _ in range(plan.rounds if part in COMPARED else 1):
                alone, size, rates = await _ceilings(storage, results), plan.size(storage.name), {}
                for column in columns:
                    figures = await _one(part, hosts[column.workers], size, column)
                    rates[column.workers] = figures.get(COMPARED.get(part, ""), 0.0)
                if part in COMPARED:
                    results.compare(columns, COMPARED[part], rates, alone)
    for column in columns:
        await _apart(storage, plan, column)


async def _one(part: str, measured: Measured, size: Size, column: Column) -> Figures:
    say(f"{column.title}: {part}")
    try:
        figures = await PARTS[part](measured, size)
    except (HostFailed, OSError) as error:
        column.failures.append(f"{part}: {error}")
        return {}
    column.add(figures)
    return figures


async def _apart(storage: Storage, plan: Plan, column: Column) -> None:
    """What needs a host of its own: memory, which others' leavings would hide, and latency without HTTP."""
    size, label = plan.size(storage.name), f"apart{storage.name}{column.workers}"
    if "memory" in plan.only:
        async with host(storage.new(label), column.workers, label) as measured:
            await _one("memory", measured, size, column)
    if "inside" in plan.only:
        say(f"{column.title}: latency in process")
        column.add(await in_process.latency(storage.new(f"{label}in"), column.workers, size, f"{label}in"))


async def _ceilings(storage: Storage, results: Results) -> Figures:
    """Measures what is possible at this moment; returns what one process alone does of chains and of CPU-bound work."""
    alone = await sdk_alone()
    results.add_ceilings(alone)
    if storage.plain is not None:
        from bench.azurite import plain_client

        results.add_ceilings(await plain_client(storage.plain, SECONDS))
    return alone


async def sdk_alone() -> Figures:
    """What a process of its own does with nothing else in it: the SDK's executor, and the CPU-bound activity."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.replay", str(SECONDS), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    return dict(zip((SDK, WORK_ALONE), map(float, told.split()), strict=True))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
