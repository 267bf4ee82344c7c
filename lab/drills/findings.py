"""What a drill found, as plain data: the JSON report, from which the page and the summary are drawn."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Any

from lab.drills import arrivals, checks, outside
from lab.drills.drill import Drill
from lab.drills.scene import Scene
from lab.drills.timeline import seconds
from lab.drills.workload import Request

CLASSES = ("completed before", "completed", "wrong", "stuck", "lost")
BAD = ("lost", "stuck", "wrong")
Findings = dict[str, Any]


def gather(drill: Drill, scene: Scene, problems: list[str]) -> Findings:
    """Everything worth keeping of a drill that has run to its end. Times are seconds."""
    instances = [_instance(scene, one) for one in scene.workload.instance_ids]
    return {
        "drill": drill.name,
        "question": drill.question,
        "command": command(drill, scene),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seed": scene.options.seed,
        "instances": scene.options.instances,
        "lag_seconds": scene.options.lag,
        "distribution": scene.options.distribution,
        "work_seconds": scene.workload.loss,
        "pace": round(scene.workload.pace, 2),
        "accepted": _accepted(scene),
        "workflows": dict(Counter(scene.workload.workflow_of(one["instance"]) for one in instances)),
        "verdicts": {name: sum(one["verdict"] == name for one in instances) for name in CLASSES},
        "outside": {what: len(scene.world.get(what, [])) for what in outside.EFFECTS},
        "repeated_foretold": scene.repeated_without,
        "recovery": _recovery(scene),
        "without_us": _without_us(scene, instances),
        "with_us": _found(scene, instances) if scene.has_tools else None,
        "reasons": _reasons(instances),
        "events": _events(instances, _accepted(scene)["events"]),
        "recovery_point": _recovery_point(scene, instances),
        "recovery_time": _recovery_time(scene),
        "ground_truth_agrees": sum(one["agrees"] for one in instances),
        "problems": problems,
        "requests": instances,
    }


def command(drill: Drill, scene: Scene) -> str:
    """What to type for the same losses again."""
    options = scene.options
    shape = "" if options.distribution == "long-tailed" else f" --distribution {options.distribution}"
    planned = " --planned" if drill.planned else ""
    size = f"--instances {options.instances} --lag {options.lag:g}"
    without = "" if options.doctor or drill.planned else " --without-doctor"
    without += "" if options.journal or drill.planned else " --without-journal"
    only = " --only-events" if options.only_events else ""
    return f"python scripts/drill {size}{shape} --seed {options.seed}{planned}{without}{only}"


def _recovery(scene: Scene) -> dict[str, Any] | None:
    """What doctor and journal did, None when neither took part."""
    if not scene.has_tools:
        return None
    return {
        "doctor": scene.options.doctor,
        "journal": scene.options.journal,
        "repaired": scene.repaired,
        "started_again": scene.started_again,
        "events_raised_again": scene.raised_by_journal,
        "reported": scene.reported_by_journal,
    }


def _without_us(scene: Scene, instances: list[dict[str, Any]]) -> dict[str, int]:
    """What becomes of the same losses when nobody helps: found, or foretold where somebody did help."""
    if not scene.has_tools:
        return _found(scene, instances)
    fates = Counter(one["truth"]["verdict"] for one in instances)
    events = sum(one["truth"]["events_lost"] for one in instances)
    return {**{name: fates[name] for name in BAD}, "repeated": scene.repeated_without, "events_lost": events}


def _found(scene: Scene, instances: list[dict[str, Any]]) -> dict[str, int]:
    fates = Counter(one["verdict"] for one in instances)
    events = sum(one["events_lost"] for one in instances)
    return {**{name: fates[name] for name in BAD}, "repeated": scene.repeated, "events_lost": events}


def _instance(scene: Scene, instance_id: str) -> dict[str, Any]:
    mine = [request for request in scene.workload.requests if request.instance_id == instance_id]
    truth, found = scene.truths[instance_id], scene.outcomes[instance_id]
    raised = next((request for request in mine if request.is_event), None)
    return {
        "instance": instance_id,
        "workflow": scene.workload.workflow_of(instance_id),
        "started_at": mine[0].at,
        "raised_at": raised.at if raised else None,
        "raised_through": raised.way if raised else None,
        "verdict": found.fate,
        "event": _event(scene, instance_id) if raised else None,
        "events_lost": _events_lost(scene, instance_id),
        "event_raised_again": instance_id in scene.raised_again,
        "why": found.why,
        "remark": found.remark,
        "truth": {
            "verdict": truth.fate,
            "or_else": list(truth.or_else),
            "event": truth.event if raised else None,
            "events_lost": truth.events_lost,
            "why": truth.why,
        },
        "agrees": checks.agrees(scene, instance_id),
    }


def _events_lost(scene: Scene, instance_id: str) -> int:
    """How many of the accepted events the instance has not taken in the end."""
    accepted, found = arrivals.accepted_events(scene, instance_id), scene.outcomes[instance_id]
    if instance_id in scene.workload.errands:
        return max(0, accepted - found.marked_events)
    return int(bool(accepted) and found.event == "lost")


def _event(scene: Scene, instance_id: str) -> str:
    return "lost" if _events_lost(scene, instance_id) else "applied"


def _accepted(scene: Scene) -> dict[str, int]:
    kinds = {(one.instance_id, one.number): _kind(one) for one in scene.workload.requests}
    counted = Counter(kinds.get(key, "events" if key[1] else "starts") for key in scene.accepted)
    return {"starts": counted["starts"], "events": counted["events"], "signals": counted["signals"]}


def _kind(request: Request) -> str:
    if request.action == "start":
        return "starts"
    return "events" if request.is_event else "signals"


def _reasons(instances: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Verdict -> why -> how often, for what was not completed."""
    found: dict[str, Counter[str]] = {}
    for one in instances:
        if one["why"]:
            found.setdefault(one["verdict"], Counter())[one["why"]] += 1
    return {verdict: dict(reasons.most_common()) for verdict, reasons in found.items()}


def _events(instances: list[dict[str, Any]], accepted: int) -> dict[str, int]:
    lost = [one for one in instances if one["events_lost"]]
    return {
        "applied": accepted - sum(one["events_lost"] for one in instances),
        "lost": sum(one["events_lost"] for one in instances),
        "lost_and_raised_again": sum(one["events_lost"] for one in lost if one["event_raised_again"]),
    }


def _recovery_point(scene: Scene, instances: list[dict[str, Any]]) -> dict[str, Any]:
    """How far back the oldest write lies that an instance lost, and what did not survive in the copy."""
    ours = [seconds(one.made) for one in scene.lost if one.write.sequence in scene.log.instance_of]
    missing = sum(_copied(scene, one)["verdict"] in BAD for one in instances)
    events = sum(_copied(scene, one)["events_lost"] for one in instances)
    synced = {service: round(scene.workload.loss - at, 1) for service, at in scene.last_sync_times.items()}
    return {
        "seconds": round(scene.workload.loss - min(ours, default=scene.workload.loss), 1) if missing or events else 0.0,
        "instances": missing,
        "events": events,
        "last_sync_time_seconds_before": synced,
    }


def _copied(scene: Scene, one: dict[str, Any]) -> dict[str, Any]:
    """What the copy alone comes to: the truth where doctor or journal made more of it."""
    truth: dict[str, Any] = one["truth"]
    return truth if scene.has_tools else one


def _recovery_time(scene: Scene) -> dict[str, Any]:
    """From the loss to the last instance that returned; waiting to be sure that nothing follows does not count."""
    steps = []
    for phase in scene.phases:
        end = min(phase.began + phase.seconds, max(scene.quiet_since, phase.began))
        if not phase.observes:
            steps.append({"step": phase.name, "seconds": round(end - phase.began, 2)})
    looking = sum(one.seconds for one in scene.phases if one.observes and one.began < scene.quiet_since)
    return {"seconds": round(max(0.0, scene.quiet_since - scene.lost_at - looking), 2), "steps": steps}
