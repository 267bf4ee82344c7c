"""A host works at once on what it puts itself; nothing is lost by that, overtaken, or kept from others for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lab.deliveries import Deliveries
from lab.rows import LATE_SECONDS
from lab.virtual_time import VirtualClock, run
from taskhub import messages
from taskhub.accounts import Account, Row, Write, open_account
from taskhub.errors import AccountUnreachable
from taskhub.history import History
from taskhub.hub import HubSettings, Offer, TaskHub
from taskhub.messages import TaskMessage
from tests.lab.workbench import CONTROL, SETTINGS, WORK, Bench, Play
from tests.taskhub.hubs import Broken

pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads:DeprecationWarning")
HOUR = timedelta(hours=1)


# handing over


def test_what_a_host_puts_itself_is_worked_on_without_being_got(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("sequence", "one", 5)
        assert await bench.ended("one") == "Completed"
        await asyncio.sleep(1)
        assert (bench.queues.taken, await bench.left(), bench.engine.deliveries.count) == (0, 0, 0)

    play(scenario)


def test_where_a_copy_follows_everything_goes_through_the_queues_and_every_turn_has_its_row(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        rows = []
        merge = bench.hub.merge_row

        async def noted(instance_id: str, columns: Any) -> None:
            rows.append(columns["LastUpdatedTime"])
            await merge(instance_id, columns)

        bench.hub.merge_row = noted  # type: ignore[method-assign]
        await bench.start("sequence", "one", 5)
        assert await bench.ended("one") == "Completed"
        assert bench.queues.taken == 1 + 5 + 5  # its start, the work items, the results
        assert len(rows) == 1 + 5

    play(scenario, replicated=True)


def test_what_is_handed_over_says_the_same_as_its_message(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        adopt, seen = bench.engine.deliveries.adopt, []

        def compared(queue: str, message: Any, task: TaskMessage, *more: Any) -> Any:
            read = replace(messages.parse_envelope(messages.from_text(message.text)), activity_id="")
            seen.append((messages.EVENT_NAMES[task.kind], read == task and list(read.event) == list(task.event)))
            return adopt(queue, message, task, *more)

        bench.engine.deliveries.adopt = compared  # type: ignore[assignment]
        await bench.start("carry", "é 1", {"text": "ü\u2028\U0001f600", "number": 1.50})
        await asyncio.sleep(2)
        await bench.client.raise_event("é 1", "news", '"yes"')
        await bench.client.terminate("é 1", "why")
        kinds = ("ExecutionStarted", "TaskScheduled", "EventRaised", "ExecutionTerminated")
        assert seen == [(name, True) for name in kinds]

    play(scenario)


def test_nothing_overtakes_what_waits_in_the_queue(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        assert bench.hub.receiver is not None
        await bench.start("collect", "many", 3)
        await asyncio.sleep(2)
        bench.hub.receiver.put_visibly(CONTROL)  # somebody's message is there, and nobody has looked since
        assert bench.hub.receiver.offer(CONTROL, timedelta(0)) is None
        for number in range(3):
            await bench.client.raise_event("many", "news", str(number))
        assert await bench.ended("many") == "Completed"
        history = await bench.client.history("many")
        assert bench.queues.taken == 3 and history

    play(scenario)


def test_a_message_for_later_or_for_another_hosts_partition_is_put_for_everybody(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        assert bench.hub.receiver is not None
        for queue, delay in ((CONTROL, timedelta(seconds=1)), ("sturdy-control-01", timedelta(0))):
            assert bench.hub.receiver.offer(queue, delay) is None

    play(scenario)


def test_no_more_activities_run_than_may_however_their_work_items_come(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        most = 0
        await bench.start("slow_fan", "fan", 11)
        for _ in range(300):
            most = max(most, len(bench.engine.activities._running))
            await asyncio.sleep(1)
        assert (most, (await bench.status("fan")).runtime_status, await bench.left()) == (4, "Completed", 0)

    play(scenario, max_concurrent_activities=4)


def test_a_put_that_fails_gives_its_place_back(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        queues = bench.account.queues
        bench.account.queues = Broken(queues, "put")
        work = TaskMessage(messages.event(messages.TASK_SCHEDULED, bench.hub.clock.now(), 0, Name="x"), "i", "e")
        for _ in range(9):
            with pytest.raises(AccountUnreachable):
                await bench.hub.send(work)
        bench.account.queues = queues
        assert bench.engine.activities._reserved == 0
        await bench.start("greet", "one")
        assert await bench.ended("one") == "Completed"

    play(scenario)


def test_a_host_that_stops_shows_others_what_it_put_for_itself(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("slow_fan", "fan", 3)
        await asyncio.sleep(5)
        assert await bench.account.queues.peek(WORK) == []
        await bench.engine.stop()
        assert len(await bench.account.queues.peek(WORK)) == 3
        await bench.start("greet", "late")  # and from then on it puts for everybody
        assert len(await bench.account.queues.peek(CONTROL)) == 1

    play(scenario)


def test_what_arrives_when_the_host_has_stopped_is_given_back_at_once(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        task = TaskMessage(messages.event(messages.EVENT_RAISED, bench.hub.clock.now(), Name="news"), "one", None)
        posted = await bench.hub.post(task)
        await bench.engine.stop()
        assert await bench.account.queues.peek(CONTROL) == []
        posted.pass_on()
        await asyncio.sleep(1)
        assert len(await bench.account.queues.peek(CONTROL)) == 1

    play(scenario)


def test_a_start_where_an_old_history_was_left_runs_all_the_same(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        old = messages.execution_started(bench.hub.clock.now(), "again", "old", "greet", None, generation=0)
        await bench.hub.append_history(History("again"), [old], "old", 0)
        await bench.start("greet", "again")
        assert await bench.ended("again") == "Completed"
        assert (await bench.hub.read_history("again")).execution_id != "old"

    play(scenario)


# results without a message


class Hand:
    """Deliveries with one work item in hand, on a hub in memory."""

    def __init__(self, account: Account, clock: VirtualClock) -> None:
        self.account, self.hub = account, TaskHub(account, HubSettings(SETTINGS.hub, 1), clock)
        self.deliveries = Deliveries(self.hub, clock)
        work = messages.event(messages.TASK_SCHEDULED, clock.now(), 0, Name="x", Input=None)
        done = messages.event(messages.TASK_COMPLETED, clock.now(), TaskScheduledId=0, Result="1")
        self.work, self.result = TaskMessage(work, "one", "e"), TaskMessage(done, "one", "e")

    async def take(self) -> Any:
        await self.hub.create()
        await self.hub.send(self.work)
        [work] = await self.deliveries.take(WORK, 1, HOUR)
        return self.deliveries.unwritten(CONTROL, self.result, work)

    async def counts(self) -> tuple[int, int, int]:
        queues = self.account.queues
        return len(await queues.peek(CONTROL)), await queues.count(WORK), self.deliveries.count


def with_hand(scenario: Callable[[Hand], Awaitable[None]]) -> None:
    async def main(clock: VirtualClock) -> None:
        account = await open_account(":memory:", clock)
        await scenario(Hand(account, clock))
        await account.close()

    run(main)


def test_a_result_that_is_dealt_with_takes_its_work_item_along() -> None:
    async def scenario(hand: Hand) -> None:
        result = await hand.take()
        assert hand.deliveries.count_in({CONTROL}) == 1
        await hand.deliveries.done(result)
        assert await hand.counts() == (0, 0, 0)

    with_hand(scenario)


def test_a_result_that_has_to_wait_becomes_a_message() -> None:
    async def scenario(hand: Hand) -> None:
        await hand.deliveries.put_back(await hand.take(), "it was early")
        assert await hand.counts() == (0, 0, 0)
        await asyncio.sleep(2)
        [message] = await hand.account.queues.get(CONTROL, 1, HOUR)
        assert (await hand.hub.read(message)).event == hand.result.event

    with_hand(scenario)


def test_what_a_stopping_host_holds_of_results_is_written_and_not_run_again() -> None:
    async def scenario(hand: Hand) -> None:
        await hand.take()
        assert await hand.deliveries.release_all() == 1
        assert await hand.counts() == (1, 0, 0)

    with_hand(scenario)


def test_a_result_that_cannot_be_written_leaves_its_work_item_to_run_again() -> None:
    async def scenario(hand: Hand) -> None:
        result = await hand.take()
        queues = hand.account.queues
        hand.account.queues = Broken(queues, "put")
        with pytest.raises(AccountUnreachable):
            await hand.deliveries.put_back(result, "the account is gone")
        hand.account.queues = queues
        assert await hand.counts() == (0, 1, 0)
        await asyncio.sleep(3600)
        assert len(await hand.account.queues.peek(WORK)) == 1

    with_hand(scenario)


# rows


async def end_a_turn_that_changes_nothing(bench: Bench) -> Row | None:
    """The instance `many` has heard one of its three events; returns its row from before that."""
    await bench.start("collect", "many", 3)
    await asyncio.sleep(30)
    before = await bench.hub.read_row("many")
    await bench.client.raise_event("many", "news", "1")
    await asyncio.sleep(0.5)
    return before


def test_a_row_that_says_nothing_new_but_the_time_is_written_late_and_read_at_once(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        before = await end_a_turn_that_changes_nothing(bench)
        between, status = await bench.hub.read_row("many"), await bench.client.status("many")
        await asyncio.sleep(LATE_SECONDS)
        after = await bench.hub.read_row("many")
        assert before and between and after and status
        times = [row.entity["LastUpdatedTime"] for row in (before, between, after)]
        assert times[0] == times[1] and times[2] == status.last_updated != times[0]

    play(scenario)


def test_a_late_time_does_not_bring_back_a_row_that_was_purged(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await end_a_turn_that_changes_nothing(bench)
        row = Write("delete", {"PartitionKey": "many", "RowKey": ""})
        await bench.account.tables.write(bench.hub.names.instances, row)
        await asyncio.sleep(LATE_SECONDS)
        assert await bench.client.status("many") is None

    play(scenario)


def test_a_host_that_stops_writes_the_times_that_are_late(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await end_a_turn_that_changes_nothing(bench)
        late = bench.hub.late_times["many"]
        await bench.engine.stop()
        row = await bench.hub.read_row("many")
        assert row and row.entity["LastUpdatedTime"] == late

    play(scenario)


def test_an_offer_is_taken_once(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        assert bench.hub.receiver is not None
        offers: list[Offer | None] = [bench.hub.receiver.offer(WORK, timedelta(0)) for _ in range(5)]
        assert [offer is not None for offer in offers] == [True] * 4 + [False]
        for offer in offers:
            if offer is not None:
                offer.withdraw()
        assert bench.engine.activities._reserved == 0

    play(scenario, max_concurrent_activities=4)
