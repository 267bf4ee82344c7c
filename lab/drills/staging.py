"""A drill of `recovery.drill` played on this machine: what its steps mean for two hosts and a pair of accounts.

The same value runs against Azure (`recovery.azure_drill`). Two things differ here: nobody goes home afterwards, as the
machine's regions are gone with the drill; and the region is lost with work in hand instead of being stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab.drills import arrivals, steps
from lab.drills.drill import Check, Drill, Step
from recovery.drill import Drill as Runbook

MEANINGS: Mapping[str, tuple[Step, ...]] = {
    "only the home region works": (steps.start_west_europe,),
    "the copy is live": (steps.see_that_the_copy_is_live,),
    "start instances that wait": (steps.do_the_work,),
    "fail the account over": (steps.fail_the_account_over, arrivals.look_at_what_arrived),
    "start the standby": (steps.start_north_europe,),
    "the app answers": (steps.let_north_europe_catch_up,),
    "raise the events": (steps.raise_the_events,),
    "every accepted start has a verdict": (steps.wait_for_the_rest, arrivals.give_the_verdict),
}
STOP = "stop the active region"


def stage(runbook: Runbook, verdict: tuple[Check, ...]) -> Drill:
    """The drill on this machine. KeyError: the runbook has a step that means nothing here."""
    leave = steps.stop_west_europe if runbook.planned else steps.lose_west_europe
    meanings = {**MEANINGS, STOP: (leave,)}

    def played(names: Sequence[str]) -> tuple[Step, ...]:
        return tuple(step for name in names for step in meanings[name])

    return Drill(
        name=runbook.name,
        question=runbook.question,
        planned=runbook.planned,
        work=played((*runbook.gate, *runbook.work)),
        gate=(steps.settle_earlier_work,),
        fault=played(runbook.fault),
        recovery=played((*runbook.recovery, *runbook.verdict)),
        verdict=verdict,
    )
