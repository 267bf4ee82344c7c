"""`python -m lab simulate`: many simulated failovers, each from its seed; a failing one is shrunk and replayed."""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import logging
import os
import random
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from lab.progress import Screen
from lab.simulation.plan import Plan, Request, draw, simpler
from lab.simulation.run import Ground, Simulation, Verdict

SEEDS = 1_000_000_000
CHUNK = 20


@dataclass(frozen=True)
class Way:
    """Which parts of the recovery take part."""

    doctor: bool = True
    journal: bool = True

    @property
    def flags(self) -> str:
        """The same as arguments."""
        return ("" if self.doctor else " --without-doctor") + ("" if self.journal else " --without-journal")


@lru_cache(maxsize=1)
def ground() -> Ground:
    """What all runs of this process share."""
    with quiet():
        return Ground()


@contextmanager
def quiet() -> Iterator[None]:
    """Without the complaints of hosts about what is done to them on purpose, and the SDK's remarks."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def play(plan: Plan, way: Way = Way()) -> Verdict:  # noqa: B008
    """One run; an exception of ours counts as a problem."""
    try:
        with quiet():
            return Simulation(plan, ground(), way.doctor, way.journal).play()
    except Exception as error:
        return Verdict(problems=[f"{type(error).__name__}: {error}"])


def shrink(plan: Plan, way: Way = Way()) -> Plan:  # noqa: B008
    """The smallest plan found that still fails: without requests, crashes and deaths that have no part in it."""
    smaller = True
    while smaller:
        smaller = False
        for candidate in simpler(plan):
            if play(candidate, way).problems:
                plan, smaller = candidate, True
                break
    return plan


def describe(plan: Plan, verdict: Verdict, way: Way) -> str:
    """A failing run for the person who reads it, with the command that replays it."""
    lines = [f"seed {plan.seed}: {problem}" for problem in verdict.problems[:5]]
    lines += [line for request in plan.requests for line in _told(request)]
    lines += [f"  t={signal.at:6.2f} s  {signal.key} to {signal.entity}" for signal in plan.signals]
    lines += [f"  t={crash:6.2f} s  West Europe's host crashes" for crash in plan.crashes if crash < plan.loss]
    lines.append(f"  t={plan.loss:6.2f} s  West Europe is lost, lag {plan.lag:g} s")
    for name, writes in (("doctor", plan.doctor_dies_after), ("reconciler", plan.reconciler_dies_after)):
        if writes is not None:
            lines.append(f"  the {name} is killed after {writes} writes, and runs again")
    lines += [f"  North Europe's host crashes {seconds:.2f} s after the recovery" for seconds in plan.later_crashes]
    if plan.way_home:
        lines.append(f"  the account goes home, with {len(plan.at_home)} more requests under way")
    lines.append(f"replay: python -m lab simulate --seed {plan.seed}{way.flags}")
    return "\n".join(lines)


def _told(request: Request) -> Iterator[str]:
    yield f"  t={request.at:6.2f} s  {request.instance_id} {json.dumps(request.input)}"
    if request.suspended is not None:
        yield "             suspended {:.2f} s later, for {:.2f} s".format(*request.suspended)
    for event in request.events:
        when = f" once its status is {event.when}" if event.when else ""
        yield f"             event {event.name} {event.data} to it{event.to}, {event.after:.2f} s later{when}"


def _chunk(seeds: list[int], way: Way) -> list[tuple[int, Verdict]]:
    return [(seed, play(draw(seed), way)) for seed in seeds]


def run_seeds(seeds: list[int], way: Way, processes: int) -> Iterator[tuple[int, Verdict]]:
    """Plays seeds, in several processes if asked."""
    chunks = [seeds[begin : begin + CHUNK] for begin in range(0, len(seeds), CHUNK)]
    if processes == 1:
        for chunk in chunks:
            yield from _chunk(chunk, way)
        return
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        for future in concurrent.futures.as_completed([pool.submit(_chunk, chunk, way) for chunk in chunks]):
            yield from future.result()


def main(arguments: list[str]) -> int:
    """0: every invariant held for every seed. 1: not so. 2: wrong arguments."""
    given = _parser().parse_args(arguments)
    way = Way(not given.without_doctor, not given.without_journal)
    screen = Screen()
    if given.seed is not None:
        seeds = [given.seed]
    else:
        first = random.randrange(SEEDS) if given.first is None else given.first
        seeds = list(range(first, first + given.seeds))
        screen.say(f"seeds {first} to {first + given.seeds - 1}")
    begin, accepted, reported = time.monotonic(), 0, 0
    failing: dict[int, list[str]] = {}
    with screen.bar("simulated failovers", len(seeds)) as bar:
        for number, (seed, verdict) in enumerate(run_seeds(seeds, way, min(given.processes, len(seeds))), 1):
            accepted += verdict.accepted
            reported += verdict.reported
            if verdict.problems:
                failing[seed] = verdict.problems
            bar(number)
    for seed, problems in failing.items():
        screen.say(f"seed {seed}: {problems[0]}")
    for seed in list(failing)[: given.show]:
        small = shrink(draw(seed), way)
        screen.say(describe(small, play(small, way), way))
    seconds = time.monotonic() - begin
    screen.say(
        f"{len(seeds)} failovers, {accepted} accepted starts, {reported} things reported as "
        f"not for certain, {len(failing)} failing seeds, {seconds:.0f} s"
    )
    return 1 if failing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="simulate",
        description="Plays random failovers with the whole recovery under a virtual clock and checks what must hold.",
    )
    add = parser.add_argument
    add("--seeds", type=int, default=1000, metavar="N", help="how many (1000)")
    add("--first", type=int, metavar="SEED", help="the first of them (drawn)")
    add("--seed", type=int, help="replay one")
    add("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="at the same time (one a core)")
    add("--without-doctor", action="store_true", help="see what happens without it")
    add("--without-journal", action="store_true", help="see what happens without it")
    add("--show", type=int, default=3, metavar="N", help="how many failing seeds to shrink and tell (3)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
