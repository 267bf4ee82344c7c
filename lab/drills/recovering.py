"""The drill's recovery with what this project adds: doctor and journal, in the order of the night's page.

The account is failed over, the doctor repairs the hub, the journal brings back what is missing, and only then the
standby starts. The commands refuse to work on a hub that a host has leases on, and nothing waits for a second look.
"""

from __future__ import annotations

import dataclasses

from lab.drills import arrivals, checks
from lab.drills.drill import Drill, Step
from lab.drills.scene import Scene
from recovery.examination import Doctor
from recovery.journal import Journal
from recovery.reconcile import Reconciler
from recovery.records import DirectoryRecords


async def see_the_doctor(scene: Scene) -> None:
    """The doctor looks at the promoted hub while no host runs, and repairs what is stuck or damaged."""
    with scene.screen.bar("the doctor repairs the hub"):
        doctor = Doctor(arrivals.hub(scene), arrivals.app().replay)
        repaired = await doctor.repair(await doctor.examine())
    scene.repaired = len({plan.instance_id for plan in repaired.plans})


async def reconcile_with_the_journal(scene: Scene) -> None:
    """What the journal accepted and the hub does not hold is started and raised again, with its original input."""
    with scene.screen.bar("the journal brings back what is missing"):
        journal = Journal(DirectoryRecords(scene.journal))
        done = await Reconciler(arrivals.hub(scene), journal).run(apply=True)
    scene.started_again, scene.raised_by_journal = done.counts["started"], done.counts["raised"]
    scene.reported_by_journal = done.counts["reported"] + done.counts["uncertain"]


def with_tools(drill: Drill, doctor: bool, journal: bool) -> Drill:
    """The same failure, recovered from with doctor, journal or both; with both nothing may be lost or stuck."""
    if drill.planned or not (doctor or journal):
        return drill
    tools: list[Step] = []
    tools += [see_the_doctor] if doctor else []
    tools += [reconcile_with_the_journal] if journal else []
    tools += [] if doctor and journal else [arrivals.look_once_more]
    recovery = list(drill.recovery)
    place = recovery.index(arrivals.look_at_what_arrived) + 1
    recovery[place:place] = tools
    whole = (
        checks.nothing_is_lost,
        checks.events_on_record_are_applied,
        checks.results_are_right,
        checks.effects_happened_once,
    )
    return dataclasses.replace(drill, recovery=tuple(recovery), verdict=whole if doctor and journal else drill.verdict)
