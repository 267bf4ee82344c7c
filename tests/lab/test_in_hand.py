"""What the lost host had put for itself is visible after the failover; what is hidden for being early is not."""

from __future__ import annotations

from datetime import timedelta

from lab import in_hand
from taskhub import messages
from taskhub.messages import TaskMessage
from tests.lab.drills.hub import Hub


async def test_a_message_in_hand_is_visible_again_and_a_timer_keeps_its_time(hub: Hub) -> None:
    await hub.put_event("A", hidden=timedelta(seconds=60))
    fired = messages.event(messages.TIMER_FIRED, hub.clock.now(), TimerId=1, FireAt=messages.timestamp(hub.clock.now()))
    await hub.hub.send(TaskMessage(fired, "A", "e", "A", "e"), timedelta(seconds=60))
    assert await hub.take("A") == []
    assert in_hand.let_it_end(hub.account) == 1
    assert len(await hub.take("A")) == 1


async def test_a_start_that_was_asked_for_later_keeps_its_time(hub: Hub) -> None:
    later = hub.clock.now() + timedelta(seconds=60)
    start = messages.execution_started(hub.clock.now(), "A", "e", "external_event", None)
    start["ScheduledStartTime"] = messages.timestamp(later)
    await hub.hub.send(TaskMessage(start, "A", "e"), timedelta(seconds=60))
    assert in_hand.let_it_end(hub.account) == 0


async def test_a_message_that_nobody_can_read_stays_as_it_is(hub: Hub) -> None:
    await hub.account.queues.put(hub.names.control_queue("A"), "?", timedelta(seconds=60))
    assert in_hand.let_it_end(hub.account) == 0


async def test_what_is_due_or_in_hand_is_at_work_and_a_timer_before_its_time_is_not(hub: Hub) -> None:
    fired = messages.event(messages.TIMER_FIRED, hub.clock.now(), TimerId=1, FireAt=messages.timestamp(hub.clock.now()))
    await hub.hub.send(TaskMessage(fired, "A", "e", "A", "e"), timedelta(seconds=60))
    assert not in_hand.at_work(hub.account)
    await hub.put_event("A")
    (taken,) = await hub.take("A")
    await hub.put_event("A", hidden=timedelta(seconds=60))
    assert taken.id in in_hand.at_work(hub.account) and len(in_hand.at_work(hub.account)) == 2
    hub.clock.advance(timedelta(seconds=61))
    assert len(in_hand.at_work(hub.account)) == 3


async def test_only_timers_that_ring_soon_are_waited_for(hub: Hub) -> None:
    for seconds in (5, 600):
        fired = messages.event(messages.TIMER_FIRED, hub.clock.now(), TimerId=1, FireAt="2026-01-01T00:00:00Z")
        await hub.hub.send(TaskMessage(fired, "A", "e", "A", "e"), timedelta(seconds=seconds))
    await hub.put_event("A", hidden=timedelta(seconds=5))
    assert in_hand.timers_due(hub.account, timedelta(seconds=10)) == 1
    hub.clock.advance(timedelta(seconds=6))
    assert in_hand.timers_due(hub.account, timedelta(seconds=10)) == 0
