"""What must hold at the end of a drill; each check answers with what is wrong, or with nothing."""

from __future__ import annotations

from lab.drills.scene import Scene
from lab.drills.workload import event_data

SHOWN = 3


def every_request_has_its_verdict(scene: Scene) -> str | None:
    """The verdict on each accepted request is that of the ground truth."""
    wrong = [one for one in scene.workload.instance_ids if not agrees(scene, one)]
    return _named("the verdict and the ground truth differ", wrong, scene)


def agrees(scene: Scene, instance_id: str) -> bool:
    """Whether the verdict on an instance, and on the event raised before the loss, is that of the ground truth."""
    truth, found = scene.truths.get(instance_id), scene.outcomes.get(instance_id)
    if truth is None or found is None or truth.fate != found.fate:
        return False
    return (instance_id, 1) not in scene.accepted or truth.event == found.event


def results_are_right(scene: Scene) -> str | None:
    """What ended returned the data of an event that was raised for it."""
    ended = [one for one, found in scene.outcomes.items() if found.fate in ("completed", "completed before")]
    wrong = [one for one in ended if scene.outcomes[one].result not in (event_data(one, 1), event_data(one, 2))]
    return _named("the result is not that of its event", wrong, scene)


def nothing_is_lost(scene: Scene) -> str | None:
    """Each accepted request is done in the end."""
    wrong = [one for one, found in scene.outcomes.items() if found.fate in ("lost", "stuck")]
    return _named("lost or stuck although everything was copied", wrong, scene)


def nothing_is_lost_without_lag(scene: Scene) -> str | None:
    """When writes need no time to the other region, nothing can be lost."""
    return nothing_is_lost(scene) if scene.options.lag == 0 else None


def events_on_record_are_applied(scene: Scene) -> str | None:
    """An event that the app accepted is in the journal; one sent to the management webhook is in none."""
    accepted = [one.instance_id for one in scene.workload.requests if one.way == "SendExternalEvent"]
    wrong = [one for one in accepted if scene.outcomes[one].event != "applied"]
    return _named("an event that is on record was not applied", wrong, scene)


def _named(what: str, instances: list[str], scene: Scene) -> str | None:
    if not instances:
        return None
    shown = (f"{one} (truth: {scene.truths.get(one)}, verdict: {scene.outcomes.get(one)})" for one in instances[:SHOWN])
    return f"{what} for {len(instances)} instances: {'; '.join(shown)}"
