"""What drills are made of: each step does one thing to the scene, and its docstring is what people are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

from lab import in_hand
from lab.drills import outcome
from lab.drills.client import Answer
from lab.drills.mix import Errand
from lab.drills.region import Region
from lab.drills.scene import DrillFailed, Scene, until
from lab.drills.timeline import Timeline, moment, seconds
from lab.drills.workload import Request, Way, event_data, way_to_raise
from lab.geo_pair import SERVICES
from taskhub.accounts import replication

FOLLOW_SECONDS = 0.04  # between two looks into the log
START_SECONDS = 60.0  # a host that does not answer by then will not
SETTLE_SECONDS = 60.0
QUIET_SECONDS = 1.5  # without any change in the hub: everything that can move has moved
LONGEST_RECOVERY = 180.0
LOOK_SECONDS = 0.25
NEXT_TRY = timedelta(seconds=10)  # the pause before an activity is tried again is at most so long, most often


async def start_west_europe(scene: Scene) -> None:
    """Starts the app in West Europe on the primary account. North Europe has the same app, deployed and stopped."""
    with scene.screen.bar("West Europe starts"):
        await scene.outside.start()
        await _start(scene, scene.west)


async def see_that_the_copy_is_live(scene: Scene) -> None:
    """The account has a secondary in the other region, which follows it."""
    if scene.pair.redundancy != "geo-redundant":
        raise DrillFailed("The account has no secondary: restore its geo-redundancy first.")


async def do_the_work(scene: Scene) -> None:
    """Clients start instances over HTTP; some raise the event that theirs waits for, others have not got to it yet."""
    requests = scene.workload.requests
    follower = asyncio.create_task(_follow_for_ever(scene))
    scene.began = time.monotonic()
    with scene.screen.bar("clients start instances, raise events", len(requests)) as show:
        work = [asyncio.create_task(_send(scene, request, show)) for request in requests]
        try:
            await asyncio.gather(*work, _reached(scene, scene.workload.loss))
        finally:
            for task in (*work, follower):
                task.cancel()


async def settle_earlier_work(scene: Scene) -> None:
    """Every request has been answered; only what clients asked for in the last moments may still be in hand."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        _follow(scene)
        unsettled = scene.log.unsettled()
        if not unsettled:
            return
        scene.west.check()
        if time.monotonic() > deadline:
            raise DrillFailed(
                f"{len(unsettled)} instances did not move for {SETTLE_SECONDS:.0f} seconds before anything was lost, "
                f"{unsettled[0]} among them. See {scene.west.log}."
            )
        await asyncio.sleep(FOLLOW_SECONDS)


async def lose_west_europe(scene: Scene) -> None:
    """The region is gone: its host is killed in the middle of its work, its account answers no more, copying ends."""
    scene.west.kill()
    scene.lose()
    replication.set_state(scene.pair.primary, replication.UNAVAILABLE)


async def stop_west_europe(scene: Scene) -> None:
    """The app in West Europe is stopped: it finishes or hands back what it has in hand."""
    with scene.screen.bar("West Europe stops"):
        await asyncio.to_thread(scene.west.stop)
    scene.lose()


async def fail_the_account_over(scene: Scene) -> None:
    """The account's secondary in North Europe becomes its primary, under the same name, with what had arrived."""
    _follow(scene)
    now, old = moment(scene.workload.loss), scene.pair.primary
    for service in SERVICES:
        scene.last_sync_times[service] = seconds(scene.pair.last_sync_time(service, now))
    scene.pair.fail_over(scene.planned, now)
    scene.pair.let_visibility_end()
    scene.lost, scene.left_behind = scene.pair.lost_writes(), old


async def start_north_europe(scene: Scene) -> None:
    """The app in North Europe is started on the promoted account; clients now use its host name."""
    with scene.screen.bar("North Europe starts"):
        await _start(scene, scene.north)


async def let_north_europe_catch_up(scene: Scene) -> None:
    """North Europe takes the messages that survived; nobody asks it for anything yet."""
    with scene.screen.bar("North Europe takes what survived"):
        await _quiet(scene)


async def raise_the_events(scene: Scene) -> None:
    """Each client asks for its status through the URL it kept, and sends what it has to say if its instance waits."""
    ids = scene.workload.instance_ids
    with scene.screen.bar("clients raise their events again", len(ids)) as show:
        await asyncio.gather(*(_raise_again(scene, number, one) for number, one in enumerate(ids)))
        show(len(ids))


async def wait_for_the_rest(scene: Scene) -> None:
    """The instances that got their event return."""
    with scene.screen.bar("instances return"):
        await _quiet(scene, until_all_end=True)


async def _start(scene: Scene, region: Region) -> None:
    region.start()
    scene.clients.origin = region.origin
    deadline = time.monotonic() + START_SECONDS
    while not await scene.clients.is_healthy():
        region.check()
        if time.monotonic() > deadline:
            raise DrillFailed(f"{region.name} did not answer within {START_SECONDS:.0f} seconds. See {region.log}.")
        await asyncio.sleep(0.05)
    await asyncio.gather(*(_probe(scene, region, one, deadline) for one in _probes(scene, region)))


def _probes(scene: Scene, region: Region) -> list[str]:
    """An instance id for each partition: when all of them have been begun, the whole hub is served."""
    found: dict[str, str] = {}
    number = 0
    while len(found) < scene.names.partition_count:
        number += 1
        name = f"probe-{region.site}-{number}"
        found.setdefault(scene.names.control_queue(name), name)
    return list(found.values())


async def _probe(scene: Scene, region: Region, instance_id: str, deadline: float) -> None:
    await scene.clients.start(instance_id, None)
    while instance_id not in scene.clients.kept or not await _waits(scene, instance_id):
        region.check()
        if time.monotonic() > deadline:
            raise DrillFailed(f"{region.name} runs nothing after {START_SECONDS:.0f} seconds. See {region.log}.")
        await asyncio.sleep(0.05)
        if instance_id not in scene.clients.kept:
            await scene.clients.start(instance_id, None)
    await scene.clients.raise_event(instance_id, None, "SendExternalEvent")


async def _waits(scene: Scene, instance_id: str) -> bool:
    return _status(await scene.clients.status(instance_id)) == "Running"


async def _send(scene: Scene, request: Request, show: Callable[[int], None]) -> None:
    """One request at its time; an event only once its instance waits for it."""
    await _reached(scene, request.at)
    if request.action == "start":
        answer = await _begin(scene, request)
    else:
        known = scene.log.known[request.instance_id]
        await until(lambda: known.is_waiting and (request.instance_id, request.number - 1) in scene.accepted)
        answer = await _raise(scene, request)
    _note(scene, request, answer)
    show(len(scene.accepted))


async def _begin(scene: Scene, request: Request) -> Answer:
    if request.call is not None:
        return await scene.clients.begin(request.instance_id, request.call)
    return await scene.clients.start(request.instance_id, {"request": request.instance_id})


async def _raise(scene: Scene, request: Request) -> Answer:
    if request.call is not None:
        return await scene.clients.send(request.call)
    return await scene.clients.raise_event(request.instance_id, event_data(request.instance_id, 1), request.way)


def _note(scene: Scene, request: Request, answer: Answer) -> None:
    if not answer.is_accepted:
        scene.west.check()
        raise DrillFailed(
            f"West Europe answered {answer.status or 'nothing'} to {request.action} {request.instance_id} "
            f"before anything was lost: {answer.body}. See {scene.west.log}."
        )
    scene.accepted[request.instance_id, request.number] = answer


async def _reached(scene: Scene, at: float) -> None:
    """Waits until the drill's clock shows that time."""
    await asyncio.sleep(max(0.0, scene.began + at / scene.workload.pace - time.monotonic()))


async def _follow_for_ever(scene: Scene) -> None:
    while True:
        _follow(scene)
        await asyncio.sleep(FOLLOW_SECONDS)


def _follow(scene: Scene) -> None:
    """Reads what the primary has written meanwhile."""
    timeline: Timeline = scene.log
    while new := replication.log_since(scene.pair.primary, scene.followed):
        scene.followed = new[-1].sequence
        timeline.times(new)


async def _raise_again(scene: Scene, number: int, instance_id: str) -> None:
    status = await scene.clients.status(instance_id)
    if not status.is_accepted:  # 202: it has not ended
        return
    is_pending = _status(status) == "Pending"  # the app's endpoints would wait for its beginning
    if errand := scene.workload.errands.get(instance_id):
        if not is_pending:
            await _send_again(scene, errand)
        return
    way: Way = "kept URL" if is_pending else way_to_raise(number)  # the other way than before the loss
    data = event_data(instance_id, 2)
    scene.raised_again[instance_id] = await scene.clients.raise_event(instance_id, data, way)


async def _send_again(scene: Scene, errand: Errand) -> None:
    """All that the client has to say, whether or not it had said it before; an instance that ends meanwhile is fine."""
    for call in errand.after_the_failover:
        answer = await scene.clients.send(call)
        scene.raised_again[errand.instance_id] = answer
        if not answer.is_accepted:
            return


def _status(answer: Answer) -> str:
    return str(answer.body.get("runtimeStatus")) if isinstance(answer.body, dict) else ""


async def _quiet(scene: Scene, until_all_end: bool = False) -> None:
    """Returns when nothing in the hub has changed for a while; notes when the last instance ended.

    With `until_all_end` as soon as no instance of the work is open any more, and not while one pauses between tries.
    """
    deadline = time.monotonic() + LONGEST_RECOVERY
    last, changed = None, time.monotonic()
    scene.quiet_since = changed
    while time.monotonic() - changed < QUIET_SECONDS and time.monotonic() < deadline:
        found = await outcome.fingerprint(scene.promoted, scene.names)
        if found != last:
            changed = time.monotonic()
            if last is None or found.ended != last.ended:
                scene.quiet_since = changed
            last = found
        scene.north.check()
        if until_all_end:
            if not await outcome.open_instances(scene.promoted, scene.names, scene.workload.instance_ids):
                break
            if in_hand.timers_due(scene.promoted, NEXT_TRY):
                changed = time.monotonic()
        await asyncio.sleep(LOOK_SECONDS)
