"""The drill's recovery with everything there is: the doctor before the standby starts, the reconciler after it."""

from __future__ import annotations

import dataclasses

from lab import settings
from lab.drills import checks, steps
from lab.drills.drill import Drill
from lab.drills.region import ROOT
from lab.drills.scene import Scene
from lab.engine import hub_settings
from recovery.examination import Doctor
from recovery.journal import Journal
from recovery.reconcile import Reconciler
from recovery.records import DirectoryRecords
from recovery.replay import load_app
from taskhub.hub import TaskHub


async def see_the_doctor(scene: Scene) -> None:
    """The doctor looks at the promoted hub while no host runs, and repairs what is stuck or damaged."""
    with scene.screen.bar("the doctor repairs the hub"):
        doctor = Doctor(_hub(scene), load_app(ROOT).replay)
        repaired = await doctor.repair(await doctor.examine())
    scene.repaired = len({plan.instance_id for plan in repaired.plans})


async def reconcile_with_the_journal(scene: Scene) -> None:
    """What the journal accepted and the hub does not hold is started and raised again, with its original input."""
    with scene.screen.bar("the journal brings back what is missing"):
        done = await Reconciler(_hub(scene), _journal(scene)).run(apply=True)
    scene.started_again, scene.raised_by_journal = done.counts["started"], done.counts["raised"]


async def reconcile_once_more(scene: Scene) -> None:
    """A second run finds the events of what the first one started; a third would find nothing."""
    with scene.screen.bar("the journal is compared once more"):
        done = await Reconciler(_hub(scene), _journal(scene)).run(apply=True)
    scene.raised_by_journal += done.counts["raised"]


def _hub(scene: Scene) -> TaskHub:
    durable = settings.load(settings.Flags(app=ROOT)).durable
    return TaskHub(scene.promoted, hub_settings(durable))


def _journal(scene: Scene) -> Journal:
    return Journal(DirectoryRecords(scene.journal))


def with_recovery(drill: Drill) -> Drill:
    """The same failure, recovered from with doctor and journal: nothing that was accepted may be lost or stuck."""
    recovery = list(drill.recovery)
    recovery.insert(recovery.index(steps.fail_the_account_over) + 1, see_the_doctor)
    place = recovery.index(steps.let_north_europe_catch_up) + 1
    recovery[place:place] = [reconcile_with_the_journal, steps.let_north_europe_catch_up, reconcile_once_more]
    verdict = (checks.nothing_is_lost, checks.events_on_record_are_applied, checks.results_are_right)
    return dataclasses.replace(drill, name=f"{drill.name} with recovery", recovery=tuple(recovery), verdict=verdict)
