"""An entity's state is as large as it likes: beyond a column it lies in a blob, which its row names."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from lab.engine import Engine, Identity
from lab.function_index import FunctionIndex
from lab.worker.local import LocalWorker
from taskhub.accounts import Query, open_account
from taskhub.client import TaskHubClient
from taskhub.clock import SystemClock
from taskhub.hub import TaskHub
from tests.lab.workbench import SETTINGS, Bench, Play
from tests.taskhub.accounts.conftest import azurite

__all__ = ["azurite"]
pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads:DeprecationWarning")

PILE = "@pile@one"
LARGE = 90_000
MOST_SECONDS = 20.0

Settled = Callable[[], Awaitable[None]]


async def become(hub: TaskHub, size: int, settled: Settled) -> None:
    """Signals the entity to be so large, until everything about it is written."""
    await TaskHubClient(hub).signal_entity(PILE, "become", json.dumps(str(size)))
    await settled()


async def in_row(hub: TaskHub) -> str:
    row = await hub.read_row(PILE)
    assert row is not None
    return str(row.entity["Input"])


async def blobs(hub: TaskHub) -> list[str]:
    return [blob.name async for blob in hub.account.blobs.list(hub.large.container)]


async def is_kept_in_a_blob(hub: TaskHub, settled: Settled) -> None:
    """Large, larger, and small again: the row, the history and the blobs after each."""
    client = TaskHubClient(hub)
    for size in (LARGE, LARGE + 1):
        await become(hub, size, settled)
        status = await client.status(PILE)
        assert status is not None and status.runtime_status == "Running"
        assert await client.entity_state(PILE) == json.dumps("P" * size)
        [name] = await blobs(hub)  # the one before it is gone
        assert name.startswith(f"{PILE}/history-0000000000000001-ExecutionStarted-") and name.endswith("-Input.json.gz")
        assert await in_row(hub) == hub.large.url(name)
        assert await names_in_history(hub) == [name]
    [listed], _ = await client.list_entities("pile", None, None, fetch_state=True)
    assert listed.state == json.dumps("P" * (LARGE + 1))
    await become(hub, 3, settled)
    assert json.loads(await in_row(hub))["state"] == json.dumps("PPP")
    assert await blobs(hub) == [] and await client.entity_state(PILE) == json.dumps("PPP")


async def nothing_left(bench: Bench) -> None:
    await asyncio.sleep(1)
    assert await bench.left() == 0


async def names_in_history(hub: TaskHub) -> list[str]:
    rows = hub.account.tables.rows(hub.names.history, Query())
    return [str(row.entity["InputBlobName"]) async for row in rows if "InputBlobName" in row.entity]


def test_a_large_state_lies_in_a_blob_that_the_row_names_and_the_next_state_replaces(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await is_kept_in_a_blob(bench.hub, lambda: nothing_left(bench))
        await bench.goes_on()

    play(scenario)


def test_where_a_copy_follows_the_account_it_does_too(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await is_kept_in_a_blob(bench.hub, lambda: nothing_left(bench))

    play(scenario, replicated=True)


def test_who_calls_a_large_entity_is_answered_and_a_host_that_reads_it_anew_goes_on(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        for number, size in enumerate((LARGE, 7)):
            await bench.start("ask_pile", f"caller {number}", size)
            assert await bench.ended(f"caller {number}") == "Completed"
            status = await bench.status(f"caller {number}")
            assert status.output == str(size)
            bench.engine.orchestrations.forget(set(bench.hub.names.control_queues))  # as after a change of host
        assert await bench.left() == 0 and await blobs(bench.hub) == []

    play(scenario)


async def test_azurite_takes_the_row_of_an_entity_with_a_large_state(sturdy: LocalWorker, azurite: str) -> None:  # noqa: F811
    account = await open_account(azurite)
    settings = replace(SETTINGS, hub="Pile")
    engine = Engine(
        account, settings, sturdy, FunctionIndex(sturdy.functions), SystemClock(), Identity("pile"), 30,
        lambda _: None, _no_http, alone=True,
    )  # fmt: skip

    async def settled() -> None:
        deadline = asyncio.get_running_loop().time() + MOST_SECONDS
        while await account.queues.count(queue) or engine.orchestrations.settling.instances:
            assert asyncio.get_running_loop().time() < deadline, "the request stays in its queue"
            await asyncio.sleep(0.05)

    queue = engine.hub.names.control_queue(PILE)
    await engine.start()
    try:
        await is_kept_in_a_blob(engine.hub, settled)
    finally:
        await engine.stop()
        with suppress(Exception):
            await engine.hub.delete()
        await account.close()


async def _no_http(_: str) -> str:
    raise OSError("there is no network here")
