"""A real app's functions: what their triggers give them, and where their outputs go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.function_index import FunctionIndex
from lab.triggers import BoundWorker, Triggers, notes_of
from lab.triggers.queue import decode, encode
from lab.worker import HttpRequest, HttpResponse, InvocationFailed
from lab.worker.local import LocalWorker
from taskhub.accounts import Query
from tests.lab.triggers.world import World, function, listen, play

APP = Path(__file__).resolve().parents[2] / "function_apps" / "triggers"
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def worker() -> Iterator[LocalWorker]:
    yield LocalWorker(APP)


def bound(world: World, worker: LocalWorker, **changes: Any) -> BoundWorker:
    return BoundWorker(replace(world.context, worker=worker, **changes))


async def run(world: World, worker: LocalWorker, duration: timedelta = SECOND * 5, **changes: Any) -> None:
    """Lets all triggers of the app run for a while."""
    context = replace(world.context, worker=bound(world, worker, **changes), **changes)
    await listen(Triggers(worker.functions, context).listeners, duration)


async def post(worker: BoundWorker, function: str, customer: str, body: Any, method: str = "POST") -> HttpResponse:
    content = json.dumps(body).encode()
    request = HttpRequest(method, f"http://h/api/{customer}", [], {}, {"customer": customer, "key": customer}, content)
    return await worker.http(function, request, None)


async def texts(world: World, queue: str) -> list[Any]:
    """The bodies of a queue's messages."""
    return [json.loads(decode(one.text, True) or b"") for one in await world.account.queues.peek(queue)]


async def enqueue(world: World, queue: str, body: dict[str, Any]) -> str:
    await world.account.queues.create(queue)
    return (await world.account.queues.put(queue, encode(json.dumps(body).encode(), True))).id


async def put(world: World, path: str, content: bytes) -> None:
    container, _, name = path.partition("/")
    await world.account.blobs.create(container)
    await world.account.blobs.put(container, name, content)


def test_what_a_timer_returns_is_written_to_a_queue_that_is_created(worker: LocalWorker) -> None:
    async def main(world: World) -> None:
        await run(world, worker)
        assert await texts(world, "ticks") == [{"past_due": False, "next": "2026-01-05T09:05:00+00:00"}]

    play(main)


def test_a_message_reads_a_blob_and_writes_a_blob_and_a_row(worker: LocalWorker) -> None:
    async def main(world: World) -> None:
        await put(world, "customers/ada.json", b'{"name": "Ada"}')
        number = await enqueue(world, "orders", {"customer": "ada", "sku": "tea"})
        await run(world, worker)
        assert await world.account.blobs.get("receipts", f"{number}.txt") == b"Ada: tea (try 1, 2026-01-05)"
        row = await world.account.tables.get("orders", "ada", number)
        assert row is not None
        assert (row.entity["sku"], row.entity["quantity"], row.entity["lines"]) == ("tea", 2, "[1, 2]")

    play(main)


def test_an_input_blob_that_is_missing_is_nothing(worker: LocalWorker) -> None:
    async def main(world: World) -> None:
        number = await enqueue(world, "orders", {"customer": "bob", "sku": "tea"})
        await run(world, worker)
        assert (await world.account.blobs.get("receipts", f"{number}.txt")).startswith(b"somebody: tea")

    play(main)


def test_a_function_that_fails_writes_nothing_and_its_message_is_set_aside(worker: LocalWorker) -> None:
    async def main(world: World) -> None:
        await enqueue(world, "orders", {"customer": "ada", "is_bad": True})
        await run(world, worker)
        assert await texts(world, "orders-poison") == [{"customer": "ada", "is_bad": True}]
        assert "receipts" not in await world.account.blobs.names()

    play(main)


def test_a_message_that_lacks_what_a_path_names_is_set_aside_without_a_run(
    worker: LocalWorker, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(world: World) -> None:
        await enqueue(world, "orders", {"sku": "tea"})
        await run(world, worker)
        assert await texts(world, "orders-poison") == [{"sku": "tea"}]

    play(main)
    assert "Exception while binding parameter 'customer': No value for named parameter 'customer'" in caplog.text


def test_a_blob_is_read_and_what_the_function_returns_is_a_blob(worker: LocalWorker) -> None:
    async def main(world: World) -> None:
        await put(world, "incoming/a.txt", b"hello")
        await run(world, worker)
        assert await world.account.blobs.get("outgoing", "a.upper") == b"incoming/a.txt 5: HELLO"

    play(main)


def test_an_http_function_sends_a_message_for_each_item_of_a_list(worker: LocalWorker) -> None:
    async def main(world: World) -> None:
        answer = await post(bound(world, worker), "send", "ada", ["tea", "cup"])
        assert answer.status == 202
        assert await texts(world, "orders") == [{"customer": "ada", "sku": sku} for sku in ("tea", "cup")]

    play(main)


def test_messages_are_written_in_the_encoding_of_host_json(worker: LocalWorker) -> None:
    async def main(world: World) -> None:
        plain = {"extensions": {"queues": {"messageEncoding": "none"}}}
        await post(bound(world, worker, host_json=plain), "send", "ada", ["tea"])
        (message,) = await world.account.queues.peek("orders")
        assert json.loads(message.text)["sku"] == "tea"

    play(main)


def test_an_http_function_reads_the_rows_of_its_route(worker: LocalWorker) -> None:
    async def main(world: World) -> None:
        for customer, sku in (("ada", "tea"), ("ada", "cup"), ("bob", "pot")):
            await enqueue(world, "orders", {"customer": customer, "sku": sku})
        await run(world, worker)
        asked = bound(world, worker)
        assert json.loads((await post(asked, "look", "ada", None)).body) == ["cup", "tea"]
        assert json.loads((await post(asked, "look", "nobody", None)).body) == []

    play(main)


@pytest.mark.filterwarnings("ignore:azure.functions df_loads")  # what azure-functions tells every app once
@pytest.mark.filterwarnings("ignore:azure.functions df_dumps")
def test_an_activity_reads_and_writes_by_what_it_is_given(worker: LocalWorker) -> None:
    async def main(world: World) -> None:
        await enqueue(world, "orders", {"customer": "ada", "sku": "tea"})
        await run(world, worker)
        assert await bound(world, worker).activity("count", '{"customer": "ada"}', "instance", None) == "1"
        (message,) = await world.account.queues.peek("counts")
        assert decode(message.text, True) == b"ada: 1"

    play(main)


def test_rows_of_a_table_that_does_not_exist_are_none(worker: LocalWorker) -> None:
    async def main(world: World) -> None:
        assert json.loads((await post(bound(world, worker), "look", "ada", None)).body) == []

    play(main)


ROW = {"PartitionKey": "p", "RowKey": 1, "text": "a", "number": 7, "share": 0.5, "yes": True, "none": None}


def test_a_row_keeps_its_types_and_its_keys_are_texts(worker: LocalWorker) -> None:
    async def main(world: World) -> None:
        await post(bound(world, worker), "keep", "k", ROW)
        (row,) = [one.entity async for one in world.account.tables.rows("notes", Query())]
        assert {name: row[name] for name in row if name != "Timestamp"} == {
            "PartitionKey": "p", "RowKey": "1", "text": "a", "number": 7, "share": 0.5, "yes": True,
        }  # fmt: skip

    play(main)


@pytest.mark.parametrize("row", [{"PartitionKey": "p"}, "no object", 7, [{"RowKey": "r"}]])
def test_what_is_no_row_fails_the_function(worker: LocalWorker, row: Any) -> None:
    async def main(world: World) -> None:
        with pytest.raises(InvocationFailed, match="binding parameter 'row'"):
            await post(bound(world, worker), "keep", "k", row)

    play(main)


def test_a_row_that_exists_fails_the_function(worker: LocalWorker) -> None:
    async def main(world: World) -> None:
        await post(bound(world, worker), "keep", "k", ROW)
        with pytest.raises(InvocationFailed, match="Conflict"):
            await post(bound(world, worker), "keep", "k", ROW)

    play(main)


def test_a_trigger_that_is_not_served_is_listed_and_stops_nothing(worker: LocalWorker) -> None:
    assert [function.name for function in FunctionIndex(worker.functions).not_run] == ["unserved"]


def test_a_trigger_that_cannot_be_used_is_named_and_the_others_run(worker: LocalWorker) -> None:
    async def main(world: World) -> None:
        broken = [*worker.functions, function("timerTrigger", name="broken", schedule="never")]
        triggers = Triggers(broken, world.context)
        assert [error for error in triggers.errors if "'broken' function is in error" in error]
        assert len(triggers.listeners) == 5  # a timer, two queues, a blob and the blobs' queue

    play(main)


def test_a_connection_to_another_account_and_an_output_elsewhere_are_told(worker: LocalWorker) -> None:
    (tick,) = [one for one in worker.functions if one.name == "tick"]
    queue = {"type": "queue", "direction": "OUT", "name": "q", "connection": "OTHER"}
    cosmos = {"type": "cosmosDB", "direction": "OUT", "name": "document"}
    notes = notes_of([replace(tick, bindings=[*tick.bindings, queue, cosmos])])
    assert notes == [
        "tick: the host's own account stands in for the connection OTHER.",
        "tick: the output document (cosmosDB) is not written here.",
    ]
