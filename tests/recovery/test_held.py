"""Events are neither lost nor doubled by a repair: those that wait, and those that the history held."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from recovery.examination import Doctor
from taskhub import messages as m
from taskhub.messages import TaskMessage
from tests.recovery.mending import Mending, killed_anywhere, play

pytestmark = [
    pytest.mark.filterwarnings("ignore:Potential duplicate Task completion"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


async def whose_history_is_gone(mending: Mending) -> None:
    """Two events wait, and of the history nothing is there."""
    await mending.start("two", "i")
    await mending.host()
    await mending.lose_history("i")
    await mending.tell("i", "a", 1)
    await mending.tell("i", "b", 2)


async def whose_head_is_gone(mending: Mending) -> None:
    """Of a history that holds the first event its beginning is gone; the second one waits."""
    await mending.start("two", "i")
    await mending.host(("i", "a", 1))
    await mending.lose_history("i", 0, 1)
    await mending.tell("i", "b", 2)


def one_of_each(*expected):
    async def look(mending: Mending) -> None:
        assert await mending.events("i") == list(expected)

    return look


def ends_with(output, *expected):
    async def look(mending: Mending) -> None:
        await one_of_each(*expected)(mending)
        await mending.host()
        assert await mending.output("i") == output
        assert await mending.events("i") == []

    return look


TWO = ([1, 2, "done end"], ("a", 1), ("b", 2))


def test_a_doctor_who_is_killed_anywhere_loses_no_event_that_waits_and_doubles_none():
    assert killed_anywhere(whose_history_is_gone, ends_with(*TWO)) >= 6


def test_an_event_of_a_history_without_its_head_is_raised_again_ahead_of_those_that_wait():
    assert killed_anywhere(whose_head_is_gone, ends_with(*TWO)) >= 6


async def gone_back(mending: Mending) -> None:
    """A row of the second checkpoint is missing, the event of the third lies whole behind it, the end is lost."""
    await mending.start("steps", "i")
    await mending.host()
    await mending.tell("i", "go", "told")
    await mending.host(minutes=1)
    last = await mending.position_of("i", "ExecutionCompleted")
    await mending.hub.delete_history("i", last - 2)  # the last checkpoint: its result and the end
    await mending.change_row("i", RuntimeStatus="Running", Output="")
    await mending.lose_history("i", await mending.position_of("i", "TaskCompleted"))
    mending.runs()


def test_going_back_raises_the_events_behind_the_border_again_under_their_own_name_data_and_time():
    async def scenario(mending: Mending) -> None:
        await gone_back(mending)
        history = await mending.hub.read_history("i")
        (before,) = [event for event in history.events if event["EventType"] == m.EVENT_RAISED]
        doctor = Doctor(mending.hub)  # without the code the hole stays one
        found = await doctor.examine()
        (plan,) = [plan async for _, plan in doctor.plans(found)]
        words = [step.words() for step in plan.steps]
        assert words[0] == "send EventRaised 'go' to i, held in the part of the history that goes"
        assert words[-1].startswith("delete the history from row")
        await doctor.repair(found)
        (after,) = await mending.raised("i")
        assert [after[x] for x in ("Name", "Input", "Timestamp")] == [before[x] for x in ("Name", "Input", "Timestamp")]

    play(scenario)


def test_a_doctor_who_is_killed_anywhere_while_going_back_loses_no_event_and_doubles_none():
    assert killed_anywhere(gone_back, ends_with(["done first", "told", "done second"], ("go", "told"))) >= 3


def test_what_is_raised_again_comes_before_what_waits():
    async def damaged(mending: Mending) -> None:
        await mending.start("two", "i")
        await mending.host(("i", "a", 1))
        await mending.lose_history("i", 0)
        await mending.tell("i", "b", 2)

    assert killed_anywhere(damaged, ends_with(*TWO)) >= 4


def test_a_reply_to_a_call_that_goes_is_not_sent_again_and_the_event_between_two_calls_is():
    async def damaged(mending: Mending) -> None:
        await mending.start("asks", "i")
        await mending.host(("i", "go", "told"))
        last = await mending.position_of("i", "ExecutionCompleted")
        await mending.hub.delete_history("i", last - 2)
        await mending.change_row("i", RuntimeStatus="Running", Output="")
        await mending.lose_history("i", 0, 1)

    async def mended(mending: Mending) -> None:
        assert await mending.events("i") == [("go", "told")]
        await mending.host()
        assert (await mending.output("i"))[1] == "told"

    killed_anywhere(damaged, mended)


def test_a_child_that_its_parent_starts_again_is_told_again_what_it_was_told():
    async def damaged(mending: Mending) -> None:
        await mending.start("above_steps", "i")
        await mending.host(("i-kid", "go", "told"))
        for one in ("i-kid", "i"):
            last = await mending.position_of(one, "ExecutionCompleted")
            await mending.hub.delete_history(one, last - 2)
            await mending.change_row(one, RuntimeStatus="Running", Output="")
        await mending.lose_history("i-kid", 0, 1)

    async def mended(mending: Mending) -> None:
        assert await mending.events("i-kid") == [("go", "told")]
        await mending.host()
        assert await mending.output("i") == ["done first", "told", "done second"]

    assert killed_anywhere(damaged, mended) >= 3


def test_an_event_that_a_killed_repair_left_ahead_of_the_start_is_put_behind_it():
    async def scenario(mending: Mending) -> None:
        await mending.tell_nobody("i", "a", 1)
        await asyncio.sleep(1)
        await mending.start("two", "i")
        await mending.tell("i", "b", 2)
        doctor = Doctor(mending.hub, mending.app.replay)
        found = await doctor.examine()
        assert [line.findings.split(":")[0] for line in found.lines(True)] == ["event-ahead-of-start"]
        repaired = await doctor.repair(found)
        assert repaired.is_clean
        assert sorted(await mending.events("i")) == [("a", 1), ("b", 2)]
        await mending.host()
        assert await mending.output("i") == [1, 2, "done end"]

    play(scenario)


def test_an_event_that_comes_before_a_start_that_is_put_off_is_left_where_it_is():
    async def scenario(mending: Mending) -> None:
        await mending.tell_nobody("i", "a", 1)
        await asyncio.sleep(1)
        later = mending.clock.now() + timedelta(hours=1)
        await mending.client.start("two", "i", "null", later)
        found = await Doctor(mending.hub, mending.app.replay).examine()
        assert found.broken == 0

    play(scenario)


def test_of_an_event_that_is_queued_twice_one_is_left_and_two_equal_ones_are_two():
    async def scenario(mending: Mending) -> None:
        await mending.start("two", "i")
        await mending.host()
        await mending.tell("i", "a", 1)
        (event,) = await mending.raised("i")
        await mending.hub.send(TaskMessage(event, "i", None))
        await asyncio.sleep(1)
        await mending.tell("i", "b", 2)
        await asyncio.sleep(1)
        await mending.tell("i", "b", 2)
        assert (await mending.doctor()).is_clean
        assert await mending.events("i") == [("a", 1), ("b", 2), ("b", 2)]

    play(scenario)


def test_several_events_of_one_name_that_are_raised_again_at_once_are_named():
    async def scenario(mending: Mending) -> None:
        await mending.start("two", "i")
        await mending.host(("i", "a", 1), ("i", "a", 3))
        await mending.lose_history("i", 0, 1)
        doctor = Doctor(mending.hub, mending.app.replay)
        found = await doctor.examine()
        (plan,) = [plan async for _, plan in doctor.plans(found)]
        assert "several events of one name are raised again at once (a)" in plan.unresolved

    play(scenario)


def test_an_event_whose_data_is_lost_with_its_blob_is_named_for_the_journal():
    async def scenario(mending: Mending) -> None:
        await mending.start("two", "i")
        await mending.host(("i", "a", "x" * 90000))
        assert await mending.lose_blobs("i/history-")
        doctor = Doctor(mending.hub, mending.app.replay)
        found = await doctor.examine()
        (plan,) = [plan async for _, plan in doctor.plans(found)]
        assert plan.unresolved == "the data of its events a is lost: the journal raises them again"
        await doctor.repair(found)
        assert await mending.events("i") == []

    play(scenario)


def test_who_was_suspended_in_the_part_that_goes_is_suspended_again():
    async def scenario(mending: Mending) -> None:
        await mending.start("steps", "i")
        await mending.host()
        await mending.client.suspend("i", "because")
        await mending.host()
        await mending.lose_history("i", await mending.position_of("i", "TaskCompleted"))
        await Doctor(mending.hub).repair(await Doctor(mending.hub).examine())
        await mending.host()
        status = await mending.client.status("i")
        assert status is not None and status.runtime_status == "Suspended"

    play(scenario)
