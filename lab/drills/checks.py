"""What must hold at the end of a drill; each check answers with what is wrong, or with nothing."""

from __future__ import annotations

from lab.drills import outside
from lab.drills.scene import Scene
from lab.drills.workload import event_data

SHOWN = 3
ENDED = ("completed", "completed before")


def every_request_has_its_verdict(scene: Scene) -> str | None:
    """The verdict on each accepted request is that of the ground truth."""
    wrong = [one for one in scene.workload.instance_ids if not agrees(scene, one)]
    return _named("the verdict and the ground truth differ", wrong, scene)


def agrees(scene: Scene, instance_id: str) -> bool:
    """Whether the verdict on an instance, and on the event raised before the loss, is that of the ground truth.

    Of an instance that only waits for an event every word counts. Of the others, and of what doctor or journal have
    changed, whether it ended before the loss or after it does not: an end that is in the row alone was before.
    """
    truth, found = scene.expected.get(instance_id), scene.outcomes.get(instance_id)
    if truth is None or found is None:
        return False
    if instance_id in scene.workload.errands or scene.has_tools:
        return _ending(found.fate) in {_ending(fate) for fate in (truth.fate, *truth.or_else)}
    if truth.fate != found.fate:
        return False
    return (instance_id, 1) not in scene.accepted or truth.event == found.event


def _ending(fate: str) -> str:
    return "completed" if fate in ENDED else fate


def results_are_right(scene: Scene) -> str | None:
    """What ended returned its right result; what waited for an event, the data of one that was raised for it."""
    ended = [one for one, found in scene.outcomes.items() if found.fate in ENDED and one not in scene.workload.errands]
    wrong = [one for one in ended if scene.outcomes[one].result not in (event_data(one, 1), event_data(one, 2))]
    wrong += [one for one, found in scene.outcomes.items() if found.fate == "wrong" and not _is_foretold(scene, one)]
    return _named("the result is not the right one", wrong, scene)


def _is_foretold(scene: Scene, instance_id: str) -> bool:
    """Without all of the recovery a wrong result is what the ground truth may say; with it, it never is."""
    return not (scene.options.doctor and scene.options.journal) and agrees(scene, instance_id)


def nothing_is_lost(scene: Scene) -> str | None:
    """Each accepted request is done in the end."""
    wrong = [one for one, found in scene.outcomes.items() if found.fate in ("lost", "stuck")]
    return _named("lost or stuck although everything was there to bring it back", wrong, scene)


def nothing_is_lost_without_lag(scene: Scene) -> str | None:
    """When writes need no time to the other region, nothing can be lost."""
    return nothing_is_lost(scene) if scene.options.lag == 0 else None


def events_on_record_are_applied(scene: Scene) -> str | None:
    """An event that the app accepted is in the journal; one sent to the management webhook is in none."""
    accepted = [
        one.instance_id for one in scene.workload.requests if one.way == "SendExternalEvent" and one.call is None
    ]
    wrong = [one for one in accepted if scene.outcomes[one].event != "applied"]
    return _named("an event that is on record was not applied", wrong, scene)


def effects_happened_once(scene: Scene) -> str | None:
    """Charges, shipments and mails: each idempotency key once, and of every completed order all of them."""
    again = outside.twice(scene.world)
    orders = [
        one
        for one, errand in scene.workload.errands.items()
        if errand.workflow == "order"
        and errand.right.get("status") == "completed"
        and scene.outcomes[one].fate in ENDED
    ]
    never = outside.missing(scene.world, orders)
    words = [f"happened twice: {', '.join(again[:SHOWN])}"] if again else []
    words += [f"never happened: {', '.join(never[:SHOWN])}"] if never else []
    return f"effects outside {'; '.join(words)}" if words else None


def _named(what: str, instances: list[str], scene: Scene) -> str | None:
    if not instances:
        return None
    shown = "; ".join(_words(one, scene) for one in instances[:SHOWN])
    return f"{what} for {len(instances)} instances: {shown}"


def _words(instance_id: str, scene: Scene) -> str:
    """One instance: what became of it, and what had to."""
    truth, found = scene.expected.get(instance_id), scene.outcomes.get(instance_id)
    verdict = f"{found.fate}, its event {found.event} {found.why}".strip() if found else "no verdict"
    must = f"{' or '.join((truth.fate, *truth.or_else))}, its event {truth.event} {truth.why}".strip() if truth else "?"
    return f"{instance_id} (verdict: {verdict}; truth: {must})"
