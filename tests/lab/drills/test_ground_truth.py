"""What must become of an instance, for every part of it that may be missing on the promoted account."""

from __future__ import annotations

from collections.abc import Callable

from lab.drills.ground_truth import State, Truth, certain, decide, play
from taskhub import messages
from taskhub.accounts.replication import LoggedWrite
from tests.lab.drills.hub import Hub

Keeps = Callable[[LoggedWrite], bool]


def fate(hub: Hub, keeps: Keeps = lambda write: True) -> tuple[str, str]:
    truth = truth_of(hub, keeps)
    return truth.fate, truth.event


def truth_of(hub: Hub, keeps: Keeps = lambda write: True) -> Truth:
    return decide(play((write for write in hub.log() if keeps(write)), hub.names))


def without(hub: Hub, *units: str) -> Keeps:
    """All writes but those of some units: queue, history, row."""
    names = {"history": hub.names.history, "row": hub.names.instances, "queue": "drill-control"}
    gone = tuple(names[unit] for unit in units)
    return lambda write: not write.unit.startswith(gone)


async def test_what_arrived_whole_completes_when_its_event_is_raised(hub: Hub) -> None:
    await hub.start("A")
    assert fate(hub) == ("completed", "lost")


async def test_an_ended_history_is_done_whatever_queue_and_row_say(hub: Hub) -> None:
    await hub.start("A")
    await hub.raise_and_end("A")
    assert fate(hub) == ("completed before", "applied")
    assert fate(hub, without(hub, "row", "queue")) == ("completed before", "applied")


async def test_a_queued_event_is_applied_even_without_a_row(hub: Hub) -> None:
    await hub.start("A")
    await hub.put_event("A")
    assert fate(hub) == ("completed", "applied")
    assert fate(hub, without(hub, "row")) == ("completed", "applied")


async def test_an_open_history_without_its_row_is_stuck_because_no_event_can_be_raised(hub: Hub) -> None:
    await hub.start("A")
    assert fate(hub, without(hub, "row")) == ("stuck", "lost")
    assert "status row" in truth_of(hub, without(hub, "row")).why


async def test_what_a_terminal_row_holds_is_done_over_an_open_history_and_over_none(hub: Hub) -> None:
    await hub.start("A")
    seen = len(hub.log())
    await hub.raise_and_end("A")
    is_row = without(hub, "queue", "history")
    assert fate(hub, lambda write: write.sequence <= seen or is_row(write)) == ("completed before", "applied")
    assert fate(hub, is_row) == ("completed before", "applied")


async def test_a_start_with_its_row_begins_and_waits(hub: Hub) -> None:
    await hub.put_start("A")
    await hub.pending("A")
    assert fate(hub) == ("completed", "lost")


async def test_a_start_without_a_row_is_lost(hub: Hub) -> None:
    await hub.put_start("A")
    assert fate(hub) == ("lost", "lost")


async def test_a_start_whose_row_is_of_another_execution_does_not_run(hub: Hub) -> None:
    await hub.put_start("A")
    await hub.hub.merge_row("A", {"RuntimeStatus": "Running", "ExecutionId": "f" * 32})
    assert fate(hub) == ("lost", "lost")


async def test_a_pending_row_without_its_start_is_stuck(hub: Hub) -> None:
    await hub.pending("A")
    assert fate(hub) == ("stuck", "lost")


async def test_a_running_row_without_history_is_lost(hub: Hub) -> None:
    await hub.start("A")
    assert fate(hub, without(hub, "history")) == ("lost", "lost")


async def test_an_event_for_an_instance_whose_history_is_lost_is_lost_too(hub: Hub) -> None:
    await hub.start("A")
    await hub.put_event("A")
    assert fate(hub, without(hub, "history")) == ("lost", "lost")


def test_an_instance_of_which_nothing_arrived_is_lost() -> None:
    assert decide(State()).fate == "lost"


async def test_messages_that_were_deleted_are_not_there(hub: Hub) -> None:
    await hub.put_start("A")
    taken = await hub.take("A")
    assert list(play(hub.log(), hub.names).messages)
    await hub.delete("A", taken)
    assert not play(hub.log(), hub.names).messages


async def test_every_combination_of_prefixes_of_the_three_units_has_a_fate(hub: Hub) -> None:
    await hub.start("A")
    await hub.raise_and_end("A")
    units = [
        [write for write in hub.log() if write.unit.startswith(start)]
        for start in ("drill-control", hub.names.history, hub.names.instances)
    ]
    fates = {
        (a, b, c): decide(play([*units[0][:a], *units[1][:b], *units[2][:c]], hub.names)).fate
        for a in range(len(units[0]) + 1)
        for b in range(len(units[1]) + 1)
        for c in range(len(units[2]) + 1)
    }
    assert set(fates.values()) == {"completed before", "completed", "stuck", "lost"}
    assert fates[len(units[0]), len(units[1]), len(units[2])] == "completed before"
    assert fates[0, 0, 0] == "lost"


async def test_of_any_workflow_a_whole_instance_completes_and_one_that_has_ended_had(hub: Hub) -> None:
    await hub.start("A")
    assert certain(play(hub.log(), hub.names), is_whole=True) == Truth("completed", "applied")
    await hub.raise_and_end("A")
    assert certain(play(hub.log(), hub.names), is_whole=True) == Truth("completed before", "applied")


async def test_of_any_workflow_one_of_which_only_a_work_item_arrived_is_lost(hub: Hub) -> None:
    await hub.schedule("A", 0)
    truth = certain(play(hub.log(), hub.names), is_whole=False)
    assert truth is not None and truth.fate == "lost"


async def test_what_arrived_in_part_is_not_decided_by_the_writes_alone(hub: Hub) -> None:
    await hub.start("A")
    assert certain(play(hub.log(), hub.names), is_whole=False) is None


async def test_an_event_counts_as_there_once_whether_it_is_queued_or_in_the_history_or_both(hub: Hub) -> None:
    for text in ('"raised 1, a"', '"raised 1, b"', '"raised 2, c"'):
        raised = messages.event(messages.EVENT_RAISED, hub.clock.now(), Name="item", Input=text)
        await hub.hub.send(messages.TaskMessage(raised, "A", None))
    state = play(hub.log(), hub.names)
    state.history["0"] = {"EventType": "EventRaised", "Input": '"raised 1, a"'}
    assert state.marked_events == 2
