"""The triggers on Azurite: the parts where a real blob and queue service decides who may."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio

from lab.triggers import blob
from lab.triggers.context import HOSTS_CONTAINER, Listener, TriggerContext
from lab.triggers.queue import queue_listener
from lab.triggers.timer import TimerListener
from taskhub.accounts import Account, open_account
from taskhub.clock import SystemClock
from tests.lab.triggers.world import FAILED, World, function, world
from tests.taskhub.accounts.conftest import azurite  # noqa: F401  (a fixture)

MOST_SECONDS = 20.0


@pytest_asyncio.fixture
async def account(azurite: str) -> AsyncIterator[Account]:  # noqa: F811
    opened = await open_account(azurite)
    yield opened
    await opened.close()


async def until_run(world: World, listeners: list[Listener], count: int) -> None:
    """Lets hosts listen until their functions have run so often, and have had the time for once more."""
    tasks = [asyncio.create_task(listener.run()) for listener in listeners]
    deadline = asyncio.get_running_loop().time() + MOST_SECONDS
    while len(world.notes.calls) < count and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await asyncio.gather(*(listener.finish(1) for listener in listeners))


async def test_two_hosts_run_a_timer_once_and_leave_its_lock_and_status(account: Account) -> None:
    scene = world(account, SystemClock(), host_id="timers")
    timers = [_timer(scene.context), _timer(scene.host())]
    await until_run(scene, list(timers), 1)
    assert len(scene.notes.calls) == 1
    names = [one.name async for one in account.blobs.list(HOSTS_CONTAINER)]
    assert {"locks/timers/Host.Functions.work.Listener", "timers/timers/Host.Functions.work/status"} <= set(names)
    assert not await account.blobs.leased(HOSTS_CONTAINER, "locks/timers/Host.Functions.work.Listener")


def _timer(context: TriggerContext) -> TimerListener:
    return TimerListener(function("timerTrigger", schedule="0 0 0 1 1 *", runOnStartup=True), context)


async def test_a_failing_message_is_tried_five_times_and_set_aside(account: Account) -> None:
    scene = world(account, SystemClock())

    async def fail(_: object) -> None:
        raise FAILED

    scene.notes.act = fail
    await account.queues.create("trying")
    await account.queues.put("trying", base64.b64encode(b"bad").decode())
    await until_run(scene, [queue_listener(function("queueTrigger", queueName="trying"), scene.context)], 5)
    assert scene.notes.texts == ["bad"] * 5
    assert await scene.poison("trying") == [base64.b64encode(b"bad").decode()]


async def test_a_version_of_a_blob_is_run_once_by_two_hosts(account: Account) -> None:
    scene = world(account, SystemClock(), host_id="blobs")
    await account.blobs.create("arriving")
    await account.blobs.put("arriving", "dir/a.txt", b"1")
    hosts = [
        listener
        for context in (scene.context, scene.host())
        for listener in blob.listeners([function("blobTrigger", path="arriving/dir/{name}")], context)
    ]
    await until_run(scene, hosts, 1)
    assert [base64.b64decode(text) for text in scene.notes.texts] == [b"1"]
    assert scene.notes.calls[0].data["metadata"]["name"]["value"] == "a.txt"
    assert scene.clock.now() - scene.notes.calls[0].moment < timedelta(seconds=MOST_SECONDS)
