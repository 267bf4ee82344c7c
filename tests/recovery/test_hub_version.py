"""A hub whose layout is not known is refused, named by what is strange about it, and left as it is."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest

from recovery import doctor, reconcile
from recovery.__main__ import main
from recovery.errors import HubNotReadable
from recovery.hub_version import ensure_known_version
from taskhub.accounts import Write, open_account
from taskhub.hub import HubSettings, TaskHub
from tests.recovery import cuts
from tests.taskhub import golden

LEASES = "hub-leases"
INFO = {"TaskHubName": "Hub", "CreatedAt": "2026-01-02T03:04:05.1234567Z", "PartitionCount": 4}
Plant = Callable[[TaskHub], Awaitable[None]]


def info(**changes: object) -> Plant:
    async def plant(hub: TaskHub) -> None:
        await hub.account.blobs.put(LEASES, "taskhub.json", json.dumps({**INFO, **changes}).encode())

    return plant


def blob(name: str, content: bytes = b"{}") -> Plant:
    async def plant(hub: TaskHub) -> None:
        await hub.account.blobs.put(LEASES, name, content)

    return plant


def row(table: str, **columns: object) -> Plant:
    async def plant(hub: TaskHub) -> None:
        await hub.account.tables.create(table)
        await hub.account.tables.write(table, Write("insert", {"PartitionKey": "", "RowKey": "", **columns}))

    return plant


STRANGE = {
    "another field": (info(Version="4"), "taskhub.json says also Version"),
    "a field less": (blob("taskhub.json", b'{"TaskHubName": "Hub"}'), "does not say CreatedAt, PartitionCount"),
    "no JSON": (blob("taskhub.json", b"\xff\xfe"), "taskhub.json is no JSON"),
    "too many partitions": (info(PartitionCount=32), "32 partitions, where 1 to 16"),
    "partitions as text": (info(PartitionCount="4"), "'4' partitions"),
    "another partition manager": (blob("epochs/hub-control-00"), "hub-leases holds epochs/hub-control-00"),
    "other lease columns": (row("HubPartitions", Fence=3), "HubPartitions has the columns Fence"),
    "instances by number": (row("HubInstances", PartitionKey="a", RowKey="1"), "HubInstances has the known form"),
    "other history keys": (row("HubHistory", PartitionKey="a", RowKey="e-1"), "HubHistory has the known form"),
    "other events": (
        row("HubHistory", PartitionKey="a", RowKey="0" * 16, EventType="StepTaken"), "HubHistory has the known form"
    ),
}  # fmt: skip


async def hub_in(storage: str) -> TaskHub:
    hub = TaskHub(await open_account(storage), HubSettings("Hub"))
    await hub.create()
    return hub


@pytest.mark.parametrize("name", golden.NAMES)
async def test_every_recorded_hub_is_known(name: str) -> None:
    account = await open_account(":memory:")
    try:
        await ensure_known_version(TaskHub(account, await golden.load(account, name)))
    finally:
        await account.close()


async def test_every_recorded_cut_is_known_however_little_of_it_arrived() -> None:
    for cut in cuts.cuts():
        account = await open_account(":memory:")
        hub = TaskHub(account, cuts.settings())
        await hub.create()
        await cuts.pour(cut, hub)
        await ensure_known_version(hub)
        await account.close()


async def test_the_table_partition_managers_rows_are_known() -> None:
    hub = await hub_in(":memory:")
    await row("HubPartitions", RowKey="hub-control-00", CurrentOwner="w", IsDraining=False)(hub)
    await blob("default/hub-control-00")(hub)
    await ensure_known_version(hub)
    await hub.account.close()


@pytest.mark.parametrize("why", STRANGE)
async def test_it_is_told_by_what_is_strange(why: str) -> None:
    plant, words = STRANGE[why]
    hub = await hub_in(":memory:")
    await plant(hub)
    with pytest.raises(HubNotReadable, match=f"of a version that these tools do not know: .*{words}"):
        await ensure_known_version(hub)
    await hub.account.close()


async def test_one_row_of_another_form_is_not_another_version() -> None:
    hub = await hub_in(":memory:")
    for number in range(3):
        await row("HubInstances", PartitionKey=f"i-{number}", RowKey="" if number else "odd")(hub)
    await ensure_known_version(hub)
    await hub.account.close()


@pytest.mark.parametrize("command", ["doctor", "reconcile"])
async def test_the_commands_refuse_it_and_change_nothing(command: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    storage = str(tmp_path / "account.db")
    hub = await hub_in(storage)
    await row("HubHistory", PartitionKey="a", RowKey="e-1")(hub)
    before = [one.entity async for one in hub.account.tables.rows("HubHistory")]
    arguments = ["--storage", storage, "--apply"]
    arguments += ["--journal", str(tmp_path / "journal")] if command == "reconcile" else []
    module = {"doctor": doctor, "reconcile": reconcile}[command]
    with pytest.raises(HubNotReadable, match="Nothing was changed"):
        await module.run(module.parser(command).parse_args(arguments))
    assert [one.entity async for one in hub.account.tables.rows("HubHistory")] == before
    assert "hub-recovery" not in await hub.account.blobs.names()
    await hub.account.close()


def test_the_exit_code_says_so(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    import asyncio

    storage = str(tmp_path / "account.db")

    async def plant() -> None:
        hub = await hub_in(storage)
        await info(Version="4")(hub)
        await hub.account.close()

    asyncio.run(plant())
    assert main(["doctor", "--storage", storage]) == 2
    assert "doctor: The hub Hub is of a version that these tools do not know" in capsys.readouterr().err
