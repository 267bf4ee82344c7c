"""Queue messages: each is run until it succeeds, or set aside after some tries."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from lab.errors import SettingsError
from lab.triggers.context import TriggerContext, TriggerInvalid
from lab.triggers.queue import VISIBILITY, queue_listener, read_settings
from lab.virtual_time import START
from lab.worker import WorkerGone
from taskhub.errors import AccountUnreachable
from tests.lab.triggers.world import FAILED, World, function, listen, play

QUEUE = "orders"
MINUTE = timedelta(minutes=1)


def listener(context: TriggerContext, queue: str = QUEUE) -> Any:
    return queue_listener(function("queueTrigger", queueName=queue), context)


def queues(**settings: Any) -> dict[str, Any]:
    return {"extensions": {"queues": settings}}


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def send(world: World, *texts: str) -> None:
    await world.account.queues.create(QUEUE)
    for text in texts:
        await world.account.queues.put(QUEUE, in_base64(text))


def failing(times: int) -> Callable[[object], Awaitable[None]]:
    left = [times]

    async def act(_: object) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise FAILED

    return act


def test_every_message_is_run_once_and_deleted() -> None:
    async def main(world: World) -> None:
        await send(world, "a", "b", "c")
        await listen([listener(world.context), listener(world.host())], MINUTE)
        assert sorted(world.notes.texts) == ["a", "b", "c"]
        assert await world.account.queues.count(QUEUE) == 0

    play(main)


def test_a_message_that_arrives_later_is_run_at_once() -> None:
    async def main(world: World) -> None:
        await send(world)
        listening = asyncio.create_task(listen([listener(world.context)], MINUTE * 10))
        await asyncio.sleep(300)
        await send(world, "late")
        await listening
        assert world.notes.calls[0].moment - START < timedelta(seconds=301)

    play(main)


def test_a_message_is_tried_five_times_and_then_set_aside_as_it_was() -> None:
    async def main(world: World) -> None:
        world.notes.act = failing(99)
        await send(world, "bad", "worse")
        await listen([listener(world.context)], MINUTE)
        assert sorted(world.notes.texts) == ["bad"] * 5 + ["worse"] * 5
        assert sorted(await world.poison(QUEUE)) == sorted([in_base64("bad"), in_base64("worse")])
        assert await world.account.queues.count(QUEUE) == 0

    play(main)


def test_a_message_that_succeeds_at_its_fifth_try_is_not_set_aside() -> None:
    async def main(world: World) -> None:
        world.notes.act = failing(4)
        await send(world, "hard")
        await listen([listener(world.context)], MINUTE)
        assert len(world.notes.calls) == 5
        assert f"{QUEUE}-poison" not in await world.account.queues.names()

    play(main)


def test_a_failed_message_waits_as_long_as_host_json_says() -> None:
    async def main(world: World) -> None:
        world.notes.act = failing(2)
        await send(world, "hard")
        context = world.host(host_json=queues(visibilityTimeout="00:00:20", maxDequeueCount=2))
        await listen([listener(context)], timedelta(seconds=30))
        first, second = world.notes.calls
        assert timedelta(seconds=20) <= second.moment - first.moment < timedelta(seconds=21)
        assert await world.poison(QUEUE) == [in_base64("hard")]

    play(main)


def test_a_message_stays_hidden_while_its_function_runs() -> None:
    async def main(world: World) -> None:
        async def long(_: object) -> None:
            await asyncio.sleep(VISIBILITY.total_seconds() * 4)

        world.notes.act = long
        await send(world, "long")
        one_at_a_time = world.host(host_json=queues(batchSize=1, newBatchThreshold=0))
        await listen([listener(one_at_a_time), listener(one_at_a_time)], VISIBILITY * 5)
        assert len(world.notes.calls) == 1
        assert await world.account.queues.count(QUEUE) == 0

    play(main)


@pytest.mark.parametrize(("settings", "most"), [({}, 24), ({"batchSize": 4}, 6), ({"batchSize": 1}, 1)])
def test_no_more_run_at_once_than_batch_and_threshold(settings: dict[str, Any], most: int) -> None:
    async def main(world: World) -> None:
        running, seen = 0, 0

        async def work(_: object) -> None:
            nonlocal running, seen
            running += 1
            seen = max(seen, running)
            await asyncio.sleep(1 + len(world.notes.calls) / 100)  # they end one after the other
            running -= 1

        world.notes.act = work
        await send(world, *map(str, range(60)))
        await listen([listener(world.host(host_json=queues(**settings)))], MINUTE * 5)
        assert len(world.notes.calls) == 60
        assert seen == most

    play(main)


def test_a_message_that_is_not_base64_is_set_aside_at_once_as_it_is() -> None:
    async def main(world: World) -> None:
        await send(world)
        await world.account.queues.put(QUEUE, "plain {}")
        await listen([listener(world.context)], MINUTE)
        assert world.notes.calls == []
        assert await world.poison(QUEUE) == ["plain {}"]

    play(main)


def test_without_encoding_a_message_is_its_text() -> None:
    async def main(world: World) -> None:
        await send(world)
        await world.account.queues.put(QUEUE, "plain {}")
        await listen([listener(world.host(host_json=queues(messageEncoding="none")))], MINUTE)
        assert world.notes.texts == ["plain {}"]

    play(main)


def test_the_queue_is_not_created_and_is_read_once_somebody_has() -> None:
    async def main(world: World) -> None:
        listening = asyncio.create_task(listen([listener(world.context)], MINUTE * 10))
        await asyncio.sleep(120)
        assert await world.account.queues.names() == []
        await send(world, "first")
        await listening
        assert world.notes.texts == ["first"]

    play(main)


def test_an_idle_queue_is_looked_at_ever_more_rarely() -> None:
    async def main(world: World) -> None:
        looks = []
        get = world.account.queues.get

        async def counted(*arguments: Any) -> Any:
            looks.append(world.clock.now())
            return await get(*arguments)

        world.account.queues.get = counted  # type: ignore[assignment, method-assign]
        await send(world)
        await listen([listener(world.context)], MINUTE * 10)
        assert looks[-1] - looks[-2] == MINUTE
        assert len(looks) < 25

    play(main)


def test_an_outage_of_the_account_is_waited_for() -> None:
    async def main(world: World) -> None:
        get, outage_ends = world.account.queues.get, START + MINUTE

        async def cut(*arguments: Any) -> Any:
            if world.clock.now() < outage_ends:
                raise AccountUnreachable("The line is cut.")
            return await get(*arguments)

        world.account.queues.get = cut  # type: ignore[assignment, method-assign]
        await send(world, "a")
        await listen([listener(world.context)], MINUTE * 3)
        assert world.notes.texts == ["a"]

    play(main)


def test_a_worker_that_dies_over_a_message_is_a_failed_try() -> None:
    async def main(world: World) -> None:
        async def die(_: object) -> None:
            raise WorkerGone("the worker's process has ended")

        world.notes.act = die
        await send(world, "deadly")
        await listen([listener(world.context)], MINUTE)
        assert len(world.notes.calls) == 5
        assert await world.poison(QUEUE) == [in_base64("deadly")]

    play(main)


def test_a_stopping_host_gives_back_what_it_cannot_finish() -> None:
    async def main(world: World) -> None:
        async def forever(_: object) -> None:
            await asyncio.sleep(1e6)

        world.notes.act = forever
        await send(world, "a")
        await listen([listener(world.context)], MINUTE)
        world.notes.act = None
        await listen([listener(world.host())], timedelta(seconds=1))
        assert world.notes.texts == ["a", "a"]
        assert await world.account.queues.count(QUEUE) == 0

    play(main)


def test_the_function_is_told_what_the_queue_knows_of_the_message() -> None:
    async def main(world: World) -> None:
        await send(world, "a")
        await listen([listener(world.context)], timedelta(seconds=1))
        metadata = world.notes.calls[0].data["metadata"]
        assert json.loads(metadata["DequeueCount"]["value"]) == 1
        assert json.loads(metadata["InsertionTime"]["value"]) == "2026-01-05T09:00:00+00:00"
        assert {"Id", "PopReceipt", "ExpirationTime", "NextVisibleTime"} <= set(metadata)

    play(main)


def test_bytes_that_are_no_text_come_as_bytes() -> None:
    async def main(world: World) -> None:
        await send(world)
        await world.account.queues.put(QUEUE, base64.b64encode(b"\xff\x00").decode())
        await listen([listener(world.context)], timedelta(seconds=1))
        assert (world.notes.calls[0].data["type"], base64.b64decode(world.notes.texts[0])) == ("bytes", b"\xff\x00")

    play(main)


def test_the_queues_name_may_come_from_a_setting() -> None:
    async def main(world: World) -> None:
        await send(world, "a")
        await listen([listener(world.host(environment={"QUEUE": "Orders"}), "%QUEUE%")], MINUTE)
        assert world.notes.texts == ["a"]
        with pytest.raises(SettingsError, match="NOT_SET_ANYWHERE"):
            listener(world.context, "%NOT_SET_ANYWHERE%")
        with pytest.raises(TriggerInvalid, match="names no queue"):
            listener(world.context, "")

    play(main)


@pytest.mark.parametrize(
    "settings",
    [{"batchSize": 33}, {"batchSize": 0}, {"maxDequeueCount": 0}, {"visibilityTimeout": "soon"},
     {"messageEncoding": "utf8"}, {"newBatchThreshold": "many"}],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(settings))):
        read_settings(queues(**settings))


def test_the_threshold_is_half_of_the_batch_and_polling_is_shorter_in_development() -> None:
    settings = read_settings(queues(batchSize=10), is_development=True)
    assert (settings.new_batch_threshold, settings.max_polling_interval) == (5, timedelta(seconds=2))
