"""A region that another one takes over from while it is at work: it stops by itself and leaves no trace in the hub."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from lab import gateways
from lab.drills.region import Region
from recovery import fence
from recovery.records import DirectoryRecords
from taskhub.accounts import Query, Where, open_account
from tests.workflows.conftest import Outside

ORDERS = [f"order-{number}" for number in range(6)]
BODY = {"customer": "kim@example.com", "card": "tok_visa", "lines": [{"sku": "tea", "quantity": 1, "unit_price": 450}]}
SECONDS = 40.0


@pytest.fixture
def outside() -> Iterator[Outside]:
    served = Outside()
    served.world.state["products"] = {"tea": {"on_hand": 100}}
    yield served
    served.close()


@pytest.fixture
def west(tmp_path: Path, outside: Outside) -> Iterator[Region]:
    settings = {
        **gateways.settings_for(outside.base), "JOURNAL_STORAGE": str(tmp_path / "journal"),
        "FENCE_REGION": "westeurope", "FENCE_CACHE_SECONDS": "0.5", "PYTHON_THREADPOOL_THREAD_COUNT": "1",
        "TMPDIR": str(tmp_path),
    }  # fmt: skip
    region = Region("West Europe", "west", tmp_path / "account.db", tmp_path, settings=settings)
    yield region
    region.kill()


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def asked(west: Region, path: str) -> tuple[int, Any]:
    try:
        answer = requests.get(f"{west.origin}/api/{path}", timeout=30)
        return answer.status_code, answer.json()
    except requests.RequestException:
        return 0, None


def started(west: Region) -> None:
    west.start()
    until(lambda: asked(west, "health")[0] == 200, "the host")


def ended(west: Region) -> bool:
    answers = [asked(west, f"instances/{one}")[1] for one in ORDERS]
    return all(answer and answer["runtimeStatus"] == "Completed" for answer in answers)


async def failures(west: Region) -> int:
    account = await open_account(str(west.storage))
    try:
        failed = Query(where=[Where("EventType", "eq", "TaskFailed")])
        return len([row async for row in account.tables.rows("DurableFailoverHistory", failed)])
    finally:
        await account.close()


async def test_what_it_has_in_hand_goes_back_undone_and_is_done_where_the_work_is(
    west: Region, outside: Outside, tmp_path: Path
) -> None:
    records = DirectoryRecords(tmp_path / "journal")
    fence.take_over(records, "westeurope")
    outside.fail("payment", "slowly", 0, seconds=0.5)  # one thread: most of the orders wait for their turn
    started(west)
    clients = [threading.Thread(target=place, args=(west, one)) for one in ORDERS]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    until(lambda: outside.sums().get("charges"), "the first charge")

    fence.take_over(records, "northeurope", "https://north.example")
    until(lambda: not west.is_running, "the host to stop")  # nobody told it but the record
    done = outside.sums()
    assert done.get("charges", 0) < len(ORDERS)
    assert await failures(west) == 0

    west.start()  # as the platform does
    until(lambda: asked(west, "health")[0] == 503, "the fenced app")
    status, answer = asked(west, "instances/order-0")
    assert (status, answer["address"]) == (503, "https://north.example")
    assert outside.sums() == done

    fence.take_over(records, "westeurope")  # and back: it is loaded anew by itself
    until(lambda: asked(west, "health")[0] != 503, "the closed app to stop")
    until(lambda: not west.is_running, "the host to stop")
    started(west)
    until(lambda: ended(west), "the orders")
    assert outside.sums()["charges"] == outside.sums()["shipments"] == len(ORDERS)
    assert await failures(west) == 0


def place(west: Region, instance_id: str) -> None:
    answer = requests.post(f"{west.origin}/api/orders?id={instance_id}", json=BODY, timeout=30)
    assert answer.status_code == 202
