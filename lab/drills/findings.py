"""What a drill found, as plain data: the JSON report, from which the page and the summary are drawn."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Any

from lab.drills import checks
from lab.drills.drill import Drill
from lab.drills.scene import Scene
from lab.drills.timeline import seconds

CLASSES = ("completed before", "completed", "stuck", "lost")
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
        "verdicts": {name: sum(one["verdict"] == name for one in instances) for name in CLASSES},
        "recovery": _recovery(scene, instances),
        "reasons": _reasons(instances),
        "events": _events(instances),
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
    recover = " --recover" if options.recover else ""
    return f"python scripts/drill {size}{shape} --seed {options.seed}{planned}{recover}"


def _recovery(scene: Scene, instances: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What doctor and journal did, beside what would have become of the instances without them."""
    if not scene.options.recover:
        return None
    without = Counter(one["truth"]["verdict"] for one in instances)
    return {
        "without": {name: without[name] for name in CLASSES},
        "events_lost_without": sum(one["truth"]["event"] == "lost" for one in instances),
        "repaired": scene.repaired,
        "started_again": scene.started_again,
        "events_raised_again": scene.raised_by_journal,
    }


def _instance(scene: Scene, instance_id: str) -> dict[str, Any]:
    times = {request.action: request for request in scene.workload.requests if request.instance_id == instance_id}
    truth, found = scene.truths[instance_id], scene.outcomes[instance_id]
    raised = times.get("raise")
    return {
        "instance": instance_id,
        "started_at": times["start"].at,
        "raised_at": raised.at if raised else None,
        "raised_through": raised.way if raised else None,
        "verdict": found.fate,
        "event": found.event if raised else None,
        "event_raised_again": instance_id in scene.raised_again,
        "why": found.why,
        "remark": found.remark,
        "truth": {"verdict": truth.fate, "event": truth.event if raised else None, "why": truth.why},
        "agrees": checks.agrees(scene, instance_id),
    }


def _accepted(scene: Scene) -> dict[str, int]:
    counted = Counter("events" if action else "starts" for _, action in scene.accepted)
    return {"starts": counted["starts"], "events": counted["events"]}


def _reasons(instances: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Verdict -> why -> how often, for what was not completed."""
    found: dict[str, Counter[str]] = {}
    for one in instances:
        if one["why"]:
            found.setdefault(one["verdict"], Counter())[one["why"]] += 1
    return {verdict: dict(reasons.most_common()) for verdict, reasons in found.items()}


def _events(instances: list[dict[str, Any]]) -> dict[str, int]:
    return {
        "applied": sum(one["event"] == "applied" for one in instances),
        "lost": sum(one["event"] == "lost" for one in instances),
        "lost_and_raised_again": sum(one["event"] == "lost" and one["event_raised_again"] for one in instances),
    }


def _recovery_point(scene: Scene, instances: list[dict[str, Any]]) -> dict[str, Any]:
    """How far back the oldest write lies that an instance lost, and what did not survive."""
    ours = [seconds(one.made) for one in scene.lost if one.write.sequence in scene.log.instance_of]
    missing = sum(one["verdict"] in ("lost", "stuck") for one in instances)
    events = sum(one["event"] == "lost" for one in instances)
    synced = {service: round(scene.workload.loss - at, 1) for service, at in scene.last_sync_times.items()}
    return {
        "seconds": round(scene.workload.loss - min(ours, default=scene.workload.loss), 1) if missing or events else 0.0,
        "instances": missing,
        "events": events,
        "last_sync_time_seconds_before": synced,
    }


def _recovery_time(scene: Scene) -> dict[str, Any]:
    """From the loss to the last instance that returned; waiting to be sure that nothing follows does not count."""
    ends = [min(phase.began + phase.seconds, max(scene.quiet_since, phase.began)) for phase in scene.phases]
    steps = [
        {"step": phase.name, "seconds": round(end - phase.began, 2)}
        for phase, end in zip(scene.phases, ends, strict=True)
    ]
    return {"seconds": round(scene.quiet_since - scene.lost_at, 2), "steps": steps}
