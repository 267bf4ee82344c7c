"""A recorded hub in an account is the recorded hub."""

from __future__ import annotations

from datetime import timedelta

import pytest

from taskhub.accounts import Account
from taskhub.clock import ManualClock
from taskhub.hub import TaskHub
from tests.taskhub import golden


@pytest.mark.parametrize("name", golden.NAMES)
async def test_a_loaded_hub_has_the_recorded_rows_messages_and_blobs(account: Account, name: str) -> None:
    settings = await golden.load(account, name)
    hub, dump = TaskHub(account, settings), golden.recorded(name)
    for table, rows in dump["tables"].items():
        assert len([row async for row in account.tables.rows(table)]) == len(rows)
    for queue, content in dump["queues"].items():
        assert await account.queues.count(queue) == content["approximateMessageCount"]
    assert sorted(await account.queues.names()) == sorted([*hub.names.control_queues, hub.names.workitems])
    for container, content in dump["containers"].items():
        assert {blob.name async for blob in account.blobs.list(container)} == {b["name"] for b in content["blobs"]}


async def test_a_work_item_in_flight_comes_back_when_its_time_is_over(account: Account, clock: ManualClock) -> None:
    await golden.load(account, "07")
    assert await account.queues.peek("goldenhub-workitems") == []
    clock.advance(timedelta(seconds=30))
    (message,) = await account.queues.peek("goldenhub-workitems")
    assert message.dequeue_count == 1


async def test_a_recorded_timer_stays_invisible_until_it_is_due(account: Account, clock: ManualClock) -> None:
    await golden.load(account, "08")
    clock.advance(timedelta(seconds=295))
    assert await account.queues.peek("goldenhub-control-00") == []
    clock.advance(timedelta(seconds=1))
    assert len(await account.queues.peek("goldenhub-control-00")) == 1


@pytest.mark.parametrize("name", [name for name in golden.NAMES if name[:2] not in ("01", "12", "19")])
async def test_the_status_of_a_recorded_instance_can_be_read(account: Account, name: str) -> None:
    hub = TaskHub(account, await golden.load(account, name))
    row = await hub.read_row("order-1")
    assert row is not None
    status = await hub.status_of(row)
    shown = golden.recorded(name)["status"]["statusBody"]
    assert f'"{status.runtime_status}"' in str(shown).replace("'", '"')
    if name.startswith(("13", "14")):
        assert status.input is not None and len(status.input) == 70010


async def test_stored_inputs_are_noticed(account: Account) -> None:
    assert (await golden.load(account, "20")).store_inputs
