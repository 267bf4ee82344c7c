"""When writes were made is a matter of the plan, whatever the machine did and when."""

from __future__ import annotations

import pytest

from lab.drills.timeline import HOP, LONG_BEFORE, OFFSETS, STEP, Timeline, by_instance, seconds
from taskhub import messages
from tests.lab.drills.hub import Hub, workload


def made(hub: Hub, timeline: Timeline) -> dict[str, list[float]]:
    """The times of each instance's writes."""
    log = hub.log()
    times = dict(zip((write.sequence for write in log), timeline.times(log), strict=True))
    found = by_instance(timeline, log)
    return {one: [round(seconds(times[write.sequence]), 3) for write in writes] for one, writes in found.items()}


async def test_a_write_was_made_at_the_planned_time_of_its_request_and_a_fixed_while_later(hub: Hub) -> None:
    timeline = Timeline(hub.names, workload(10, A=(2.0, 5.0)))
    await hub.start("A")
    await hub.raise_and_end("A")
    # put, Pending, taken, three rows of history in one transaction, Running, deleted; the same for the event.
    start = [2.0, 2.01, 2.02, 2.04, 2.04, 2.04, 2.05, 2.06]
    event = [5.0, 5.02, 5.04, 5.04, 5.04, 5.05, 5.06]
    assert made(hub, timeline)["A"] == start + event


async def test_a_late_delete_belongs_to_the_request_that_put_the_message(hub: Hub) -> None:
    timeline = Timeline(hub.names, workload(10, A=(2.0, 5.0)))
    await hub.put_start("A")
    taken = await hub.take("A")
    await hub.wait("A")
    await hub.put_event("A")
    await hub.delete("A", taken)
    assert made(hub, timeline)["A"][-2:] == [5.0, 2.06]


async def test_the_order_in_which_instances_come_up_changes_nothing(hub: Hub) -> None:
    plan = workload(10, A=(2.0,), B=(1.0,))
    await hub.start("A")
    await hub.start("B")
    times = made(hub, Timeline(hub.names, plan))
    assert [time - 1 for time in times["A"]] == pytest.approx(times["B"])


async def test_the_hub_itself_is_older_than_all_work(hub: Hub) -> None:
    await hub.start("probe-1")
    timeline = Timeline(hub.names, workload(10, A=(2.0,)))
    assert {seconds(moment) for moment in timeline.times(hub.log())} == {LONG_BEFORE}


async def test_what_was_written_before_the_loss_was_made_before_it(hub: Hub) -> None:
    timeline = Timeline(hub.names, workload(10, A=(9.99,)))
    await hub.start("A")
    assert max(made(hub, timeline)["A"]) == 10


async def test_an_instance_waits_once_its_row_says_so(hub: Hub) -> None:
    timeline = Timeline(hub.names, workload(10, A=(2.0, 5.0)))
    await hub.put_start("A")
    await hub.pending("A")
    timeline.times(hub.log())
    assert not timeline.known["A"].is_waiting
    seen = len(hub.log())
    await hub.wait("A")
    timeline.times(hub.log()[seen:])
    assert timeline.known["A"].is_waiting


async def test_earlier_work_is_settled_when_its_messages_are_done_with(hub: Hub) -> None:
    timeline = Timeline(hub.names, workload(10, A=(2.0,), B=(9.99,)))
    await hub.put_start("A")
    await hub.put_start("B")
    timeline.times(hub.log())
    assert timeline.unsettled() == ["A"]
    seen = len(hub.log())
    await hub.delete("A", await hub.take("A"))
    timeline.times(hub.log()[seen:])
    assert timeline.unsettled() == []


async def test_each_activity_of_a_chain_takes_the_same_while(hub: Hub) -> None:
    timeline = Timeline(hub.names, workload(10, A=(2.0,)))
    await hub.start("A")
    for number in range(3):
        await hub.schedule("A", number)
        await hub.complete("A", number)
        await hub.episode("A")
    assert ends(hub, timeline, "A") == pytest.approx([2.04 + (STEP + OFFSETS["sent"]) * number for number in range(4)])


async def test_activities_side_by_side_end_at_the_same_time_in_whichever_order(hub: Hub) -> None:
    timeline = Timeline(hub.names, workload(10, A=(2.0,)))
    await hub.start("A")
    for number in range(3):
        await hub.schedule("A", number)
    for number in (0, 1, 2):
        await hub.complete("A", number)
        await hub.episode("A")
    assert ends(hub, timeline, "A")[1:] == pytest.approx([2.04 + STEP + OFFSETS["sent"]] * 3)


async def test_what_children_and_entities_write_follows_from_the_clock_of_who_called_them(hub: Hub) -> None:
    timeline = Timeline(hub.names, workload(10, **{"drill-0001": (2.0,)}))
    await hub.start("drill-0001")
    for relative in ("drill-0001:part-0000", "@stock@drill-0001"):
        await hub.send(messages.EVENT_RAISED, relative, "drill-0001", Name="op", Input="{}")
        await hub.episode(relative)
        called = 2.0 + OFFSETS["sent"] + HOP
        assert ends(hub, timeline, relative) == pytest.approx([called + OFFSETS["history"]])


async def test_an_event_never_comes_before_what_it_answers(hub: Hub) -> None:
    timeline = Timeline(hub.names, workload(10, A=(2.0, 2.1)))
    await hub.start("A")
    await hub.schedule("A", 0)
    await hub.complete("A", 0)
    await hub.episode("A")
    await hub.raise_and_end("A")
    assert made(hub, timeline)["A"][-1] > 2.0 + STEP


async def test_a_chain_that_reaches_the_loss_goes_no_further(hub: Hub) -> None:
    timeline = Timeline(hub.names, workload(10, A=(9.9,)))
    await hub.start("A")
    await hub.schedule("A", 0)
    assert timeline.times(hub.log()) and timeline.unsettled() == []
    await hub.complete("A", 0)
    await hub.episode("A")
    assert max(made(hub, timeline)["A"]) == 10


async def test_an_activity_that_should_be_over_by_the_loss_is_waited_for(hub: Hub) -> None:
    timeline = Timeline(hub.names, workload(10, A=(2.0,)))
    await hub.start("A")
    await hub.schedule("A", 0)
    timeline.times(hub.log())
    assert timeline.unsettled() == ["A"]


async def test_whoever_asks_again_is_told_the_same(hub: Hub) -> None:
    timeline = Timeline(hub.names, workload(10, A=(2.0, 5.0)))
    await hub.start("A")
    await hub.raise_and_end("A")
    assert timeline.times(hub.log()) == timeline.times(hub.log())


def ends(hub: Hub, timeline: Timeline, instance_id: str) -> list[float]:
    """When each episode's history was written."""
    log = hub.log()
    times = dict(zip((write.sequence for write in log), timeline.times(log), strict=True))
    mine = by_instance(timeline, log).get(instance_id, [])
    histories = [write for write in mine if write.unit.startswith(hub.names.history) and write.key == "sentinel"]
    return [round(seconds(times[write.sequence]), 3) for write in histories]


async def test_a_row_is_as_old_as_its_history_although_the_next_message_was_taken_before_it(hub: Hub) -> None:
    timeline = Timeline(hub.names, workload(10, A=(2.0, 5.0)))
    await hub.put_start("A")
    await hub.take("A")
    await hub.append("A", messages.EXECUTION_STARTED, messages.ORCHESTRATOR_COMPLETED)
    await hub.put_event("A")
    await hub.take("A")
    await hub.hub.merge_row("A", {"RuntimeStatus": "Running"})
    assert made(hub, timeline)["A"][-3:] == [5.0, 5.02, 2.05]
