"""Executes a drill: work, gate, fault, recovery, verdict, one after the other; the only code that does."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lab.drills import arrivals
from lab.drills.drill import Drill, Step
from lab.drills.findings import Findings, gather
from lab.drills.scene import Options, Phase, Scene, build
from lab.errors import LabError
from lab.progress import Screen

OBSERVING: tuple[Step, ...] = (arrivals.look_at_what_arrived, arrivals.look_once_more, arrivals.give_the_verdict)


async def run(drill: Drill, options: Options, screen: Screen, tell: Callable[[Findings], None]) -> Findings:
    """Runs the drill, has `tell` report what it found, and returns that; `problems` is empty when all is as it must be.

    DrillFailed, RegionFailed: something else than the planned failure happened; the hosts' logs are kept then.
    """
    folder = Path(tempfile.mkdtemp(prefix="durable-failover-drill-"))
    scene = build(options, drill.planned, folder, screen)
    is_worth_a_look = False
    try:
        findings = await _play(drill, scene)
        is_worth_a_look = bool(findings["problems"])
        tell(findings)
        if options.keep:
            _keep_running(scene)
    except LabError:
        is_worth_a_look = True
        raise
    finally:
        await scene.close()
        if is_worth_a_look:
            screen.say(f"The hosts' logs and accounts are kept in {folder}.")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return findings


async def _play(drill: Drill, scene: Scene) -> Findings:
    for step in (*drill.work, *drill.gate, *drill.fault):
        await take(step, scene)
    scene.phases.clear()  # recovery time begins with the loss
    for step in drill.recovery:
        await take(step, scene)
    problems = [found for check in drill.verdict if (found := check(scene))]
    return gather(drill, scene, problems)


async def take(step: Step, scene: Scene) -> None:
    """One step, announced and timed."""
    name = step.__name__.replace("_", " ").replace("europe", "Europe").replace("west ", "West ")
    name = name.replace("north ", "North ")
    scene.screen.step(name, (step.__doc__ or "").strip())
    began = time.monotonic()
    await step(scene)
    scene.phases.append(Phase(name, began, time.monotonic() - began, step in OBSERVING))


def _keep_running(scene: Scene) -> None:
    """Shows how to go on by hand, and waits."""
    done = next(iter(scene.workload.instance_ids))
    scene.screen.say(
        f"""
North Europe keeps running on the promoted account {scene.promoted.path}. For example:

  curl {scene.north.origin}/api/instances/{done}
  curl -X POST {scene.north.origin}/api/orchestrators/external_event?id=by-hand
  curl -X POST {scene.north.origin}/api/SendExternalEvent -d '{{"instanceId": "by-hand", "data": "hello"}}'
"""
    )
    scene.screen.wait("Enter ends it … ")
