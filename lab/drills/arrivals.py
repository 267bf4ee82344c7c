"""What arrived in the other region, and what must become of it: looked at before a host starts there, never changed.

These steps only look, for the verdict. Nobody waits for them in the night, so they are no part of the recovery time.
"""

from __future__ import annotations

from functools import lru_cache

from lab import settings
from lab.drills import foretold, ground_truth, outcome, repeats
from lab.drills.ground_truth import State, Truth
from lab.drills.region import ROOT
from lab.drills.scene import Scene
from lab.drills.timeline import by_instance, moment
from lab.drills.workload import root_of
from lab.engine import hub_settings
from recovery.examination import Doctor, Line
from recovery.replay import App, load_app
from taskhub.accounts import replication
from taskhub.hub import TaskHub

GOES_ON = ("completed", "wrong")


async def look_at_what_arrived(scene: Scene) -> None:
    """The list of lost writes says what must become of each instance if nobody helps; nothing is changed."""
    assert scene.left_behind is not None
    log = replication.log_since(scene.left_behind, 0, 10**9)
    gone = {one.write.sequence for one in scene.lost}
    survived = [write for write in log if write.sequence not in gone]
    # What was done later than the plan of the work goes is a matter of how fast the machine was.
    scene.runs.read(log, lambda write: scene.log.times([write])[0] < moment(scene.workload.loss))
    written = by_instance(scene.log, survived)
    scene.states = {one: ground_truth.play(writes, scene.names) for one, writes in written.items()}
    lines = await _lines(scene)
    torn = {root_of(scene.log.instance_of[number]) for number in gone if number in scene.log.instance_of}
    for one in scene.workload.instance_ids:
        scene.truths[one] = _with_events(scene, one, _truth(scene, one, lines, root_of(one) not in torn))
    scene.expected = dict(scene.truths)
    going_on = {root_of(one) for one, truth in scene.truths.items() if truth.fate in GOES_ON}
    scene.repeated_without = repeats.foretold(scene.runs, scene.states, lambda one: root_of(one) in going_on)
    # From here on the promoted account notes its writes, so that what runs again can be counted.
    replication.set_replicated(scene.promoted, True)


async def look_once_more(scene: Scene) -> None:
    """With only one of doctor and journal, what is left decides what must become of each instance."""
    lines = await _lines(scene)
    known = await outcome.look(scene.promoted, scene.names, scene.workload.instance_ids)
    for one, seen in known.items():
        is_there = seen.has_row or seen.has_history or one in lines
        truth = _foretold(scene, one, lines)
        scene.expected[one] = truth if is_there else Truth("lost", "lost", "nothing of it is there")


async def give_the_verdict(scene: Scene) -> None:
    """Each accepted request gets its verdict, from the hub's tables and the answer of its status URL."""
    ids = scene.workload.instance_ids
    seen = await outcome.look(scene.promoted, scene.names, ids)
    for one in ids:
        answer = await scene.clients.status(one)
        errand = scene.workload.errands.get(one)
        assert scene.loss is not None
        if errand is None:
            scene.outcomes[one] = outcome.judge(seen[one], answer, scene.loss)
        else:
            scene.outcomes[one] = outcome.judge_errand(seen[one], answer, scene.loss, errand.right)
    scene.world = await scene.outside.world()
    scene.repeated = repeats.again(scene.runs, replication.log_since(scene.promoted, 0, 10**9))


def hub(scene: Scene) -> TaskHub:
    """The promoted hub, as the app's host.json describes it."""
    durable = settings.load(settings.Flags(app=ROOT)).durable
    return TaskHub(scene.promoted, hub_settings(durable))


@lru_cache(maxsize=1)
def app() -> App:
    """The app's code, which says what an instance awaits."""
    return load_app(ROOT)


async def _lines(scene: Scene) -> dict[str, Line]:
    return foretold.by_instance(await Doctor(hub(scene), app().replay).examine())


def _truth(scene: Scene, one: str, lines: dict[str, Line], is_whole: bool) -> Truth:
    state = scene.states[one]
    if one not in scene.workload.errands:
        return ground_truth.decide(state)
    return ground_truth.certain(state, is_whole) or _foretold(scene, one, lines)


def _foretold(scene: Scene, one: str, lines: dict[str, Line]) -> Truth:
    errand = scene.workload.errands.get(one)
    is_told = errand is not None and bool(errand.after_the_failover)
    has_blobs = errand is not None and errand.has_blobs
    return foretold.foretell(lines.get(one), _relatives(lines, one), is_told, has_blobs)


def _relatives(lines: dict[str, Line], one: str) -> list[Line]:
    return [line for name, line in lines.items() if name != one and root_of(name) == root_of(one)]


def _with_events(scene: Scene, one: str, truth: Truth) -> Truth:
    """The truth with what became of the events that the client had raised."""
    raised = accepted_events(scene, one)
    if one not in scene.workload.errands:
        return Truth(truth.fate, truth.event, truth.why, truth.or_else, int(bool(raised) and truth.event == "lost"))
    held = _held(scene.states[one], truth)
    lost = max(0, raised - held)
    return Truth(truth.fate, "lost" if lost else "applied", truth.why, truth.or_else, lost)


def _held(state: State, truth: Truth) -> int:
    """Events of an instance that never goes on are as lost as those that did not arrive."""
    return 0 if truth.fate in ("lost", "stuck") else state.marked_events


def accepted_events(scene: Scene, one: str) -> int:
    """How many events of the instance were accepted before the loss."""
    return sum(
        request.is_event and (one, request.number) in scene.accepted
        for request in scene.workload.requests
        if request.instance_id == one
    )
