"""The log of an embedded account's writes, the copy that follows it, and the states of a pair."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from taskhub.accounts import Write, replication
from taskhub.accounts.embedded import EmbeddedAccount, open_embedded
from taskhub.clock import ManualClock
from taskhub.errors import AccountError, AccountNotUsable, AccountUnreachable

pytestmark = pytest.mark.asyncio

ROOT = Path(__file__).resolve().parents[3]
MINUTE = timedelta(minutes=1)
CONTENT = {
    "tables": "*",
    "entities": "*",
    "queues": "*",
    "messages": "seq, queue, id, dequeued, inserted, visible, text",
    "containers": "*",
    "blobs": "*",
}


@pytest.fixture
def primary(clock: ManualClock) -> EmbeddedAccount:
    return open_embedded(":memory:", clock, name="pair", replicated=True)


@pytest.fixture
def secondary(clock: ManualClock) -> EmbeddedAccount:
    return open_embedded(":memory:", clock, name="pair", state=replication.READ_ONLY)


def content(account: EmbeddedAccount) -> dict[str, list[Any]]:
    """Everything that is replicated."""
    execute = account.engine.db.execute
    return {table: sorted(execute(f"SELECT {columns} FROM {table}").fetchall()) for table, columns in CONTENT.items()}


def everything(account: EmbeddedAccount) -> list[replication.LoggedWrite]:
    return replication.log_since(account, 0, 1_000_000)


def row(partition: str, key: str = "", **columns: Any) -> dict[str, Any]:
    return {"PartitionKey": partition, "RowKey": key, **columns}


async def live(account: EmbeddedAccount, clock: ManualClock, seed: int) -> None:
    """Some hundred writes of all kinds."""
    choose = random.Random(seed)
    for table in ("HubHistory", "HubInstances"):
        await account.tables.create(table)
    for queue in ("q-1", "q-2"):
        await account.queues.create(queue)
    await account.blobs.create("ccc")
    acts = [write_row, write_rows, delete_row, put_message, take_messages, put_blob, delete_blob, drop_something]
    for _ in range(300):
        clock.advance(timedelta(milliseconds=choose.randrange(2000)))
        await choose.choices(acts, [6, 4, 3, 6, 6, 3, 2, 1])[0](account, choose)


async def write_row(account: EmbeddedAccount, choose: random.Random) -> None:
    mode: Any = choose.choice(["merge", "replace"])
    entity = row(choose.choice("abc"), choose.choice("12"), **{choose.choice("xyz"): choose.random()})
    await account.tables.write(choose.choice(["HubHistory", "hubinstances"]), Write("upsert", entity, mode))


async def write_rows(account: EmbeddedAccount, choose: random.Random) -> None:
    writes = [Write("upsert", row("t", str(n), text="x" * choose.randrange(9))) for n in range(choose.randrange(1, 5))]
    await account.tables.transact("HubHistory", writes)


async def delete_row(account: EmbeddedAccount, choose: random.Random) -> None:
    if await account.tables.get("HubHistory", key := choose.choice("abct"), "1"):
        await account.tables.write("HubHistory", Write("delete", row(key, "1")))


async def put_message(account: EmbeddedAccount, choose: random.Random) -> None:
    await account.queues.put(choose.choice(["q-1", "q-2"]), "m", timedelta(seconds=choose.choice([0, 0, 5])))


async def take_messages(account: EmbeddedAccount, choose: random.Random) -> None:
    queue = choose.choice(["q-1", "q-2"])
    for message in await account.queues.get(queue, 3, MINUTE):
        if choose.random() < 0.6:
            await account.queues.delete(queue, message)
        elif choose.random() < 0.5:
            await account.queues.update(queue, message, MINUTE, choose.choice([None, "new"]))


async def put_blob(account: EmbeddedAccount, choose: random.Random) -> None:
    await account.blobs.put("ccc", choose.choice(["intent/a", "b"]), choose.randbytes(9))


async def delete_blob(account: EmbeddedAccount, choose: random.Random) -> None:
    await account.blobs.delete("ccc", choose.choice(["intent/a", "b"]))


async def drop_something(account: EmbeddedAccount, choose: random.Random) -> None:
    kind: Callable[[EmbeddedAccount], Awaitable[None]] = choose.choice([drop_table, clear_queue, drop_container])
    await kind(account)


async def drop_table(account: EmbeddedAccount) -> None:
    await account.tables.drop("HubHistory")
    await account.tables.create("HubHistory")


async def clear_queue(account: EmbeddedAccount) -> None:
    await account.queues.clear("q-1")


async def drop_container(account: EmbeddedAccount) -> None:
    await account.blobs.drop("ccc")
    await account.blobs.create("ccc")


@pytest.mark.parametrize("seed", range(5))
async def test_a_copy_that_has_every_write_is_equal_whatever_order_the_units_came_in(
    primary: EmbeddedAccount, secondary: EmbeddedAccount, clock: ManualClock, seed: int
) -> None:
    await live(primary, clock, seed)
    queues: dict[tuple[str, str], list[replication.LoggedWrite]] = {}
    for write in everything(primary):
        queues.setdefault((write.service, write.unit), []).append(write)
    choose = random.Random(seed)
    while queues:
        unit = choose.choice(list(queues))
        count = choose.randrange(1, 4)
        replication.apply(secondary, queues[unit][:count])
        queues[unit] = queues[unit][count:]
        if not queues[unit]:
            del queues[unit]
    assert content(secondary) == content(primary)


async def test_a_write_is_applied_once(
    primary: EmbeddedAccount, secondary: EmbeddedAccount, clock: ManualClock
) -> None:
    await live(primary, clock, 1)
    writes = everything(primary)
    assert replication.apply(secondary, writes) == len(writes)
    assert replication.apply(secondary, writes[:50]) == 0
    assert content(secondary) == content(primary)
    assert max(replication.applied(secondary).values()) == replication.last_sequence(primary)


async def test_a_copy_that_lacks_the_newest_writes_is_the_primary_of_then(
    primary: EmbeddedAccount, secondary: EmbeddedAccount, clock: ManualClock
) -> None:
    await live(primary, clock, 2)
    then, reached = content(primary), replication.last_sequence(primary)
    await live(primary, clock, 3)
    replication.apply(secondary, [write for write in everything(primary) if write.sequence <= reached])
    assert content(secondary) == then


async def test_a_write_says_what_it_left_behind(primary: EmbeddedAccount, clock: ManualClock) -> None:
    await primary.tables.create("HubHistory")
    await primary.queues.create("q-1")
    await primary.blobs.create("ccc")
    await primary.tables.write("hubhistory", Write("insert", row("order-1", "00", n=1)))
    await primary.tables.write("hubhistory", Write("update", row("order-1", "00", m=2), "merge"))
    message = await primary.queues.put("q-1", "text", MINUTE)
    await primary.blobs.put("ccc", "default/q-1", b"{}")
    found = everything(primary)
    assert [(write.service, write.unit, write.change) for write in found] == [
        ("table", "HubHistory", "created"),
        ("queue", "q-1", "created"),
        ("blob", "ccc", "created"),
        ("table", "HubHistory/order-1", "put"),
        ("table", "HubHistory/order-1", "put"),
        ("queue", "q-1", "put"),
        ("blob", "ccc/default/q-1", "put"),
    ]
    assert found[4].entity() == row("order-1", "00", n=1, m=2)
    assert (found[5].key, found[5].text(), found[5].visible()) == (message.id, "text", message.next_visible)
    assert (found[6].name, found[6].partition, found[6].content) == ("ccc", "default/q-1", b"{}")
    assert [write.sequence for write in found] == list(range(1, 8)) and found[0].time == clock.now()


async def test_what_is_refused_or_only_read_is_not_noted(primary: EmbeddedAccount) -> None:
    await primary.tables.create("HubHistory")
    before = replication.last_sequence(primary)
    with pytest.raises(AccountError):
        await primary.tables.transact("HubHistory", [Write("insert", row("p", "1")), Write("delete", row("p", "2"))])
    await primary.tables.get("HubHistory", "p", "1")
    assert replication.last_sequence(primary) == before


async def test_leases_stay_behind(primary: EmbeddedAccount, secondary: EmbeddedAccount) -> None:
    await primary.blobs.create("ccc")
    await primary.blobs.put("ccc", "a", b"x")
    before = replication.last_sequence(primary)
    await primary.blobs.acquire_lease("ccc", "a", 60)
    await primary.blobs.acquire_lease("ccc", None, 60)
    assert replication.last_sequence(primary) == before
    replication.apply(secondary, everything(primary))
    assert not await secondary.blobs.leased("ccc", "a") and not await secondary.blobs.leased("ccc", None)


async def test_a_secondary_is_read_and_not_written(
    primary: EmbeddedAccount, secondary: EmbeddedAccount, clock: ManualClock
) -> None:
    await primary.queues.create("q-1")
    await primary.queues.put("q-1", "x")
    replication.apply(secondary, everything(primary))
    assert [message.text for message in await secondary.queues.peek("q-1")] == ["x"]
    for call in (secondary.queues.put("q-1", "y"), secondary.queues.get("q-1", 1, MINUTE)):
        with pytest.raises(AccountError, match="secondary"):
            await call


async def test_a_promoted_secondary_takes_writes_and_keeps_what_it_had(
    primary: EmbeddedAccount, secondary: EmbeddedAccount
) -> None:
    await primary.queues.create("q-1")
    sent = await primary.queues.put("q-1", "x")
    replication.apply(secondary, everything(primary))
    replication.set_state(secondary, replication.PRIMARY)
    (taken,) = await secondary.queues.get("q-1", 1, MINUTE)
    assert (taken.id, taken.dequeue_count, taken.inserted) == (sent.id, 1, sent.inserted)
    await secondary.queues.delete("q-1", taken)
    assert await secondary.queues.put("q-1", "y")


async def test_a_lost_primary_answers_nobody_and_its_log_can_still_be_read(primary: EmbeddedAccount) -> None:
    await primary.queues.create("q-1")
    replication.set_state(primary, replication.UNAVAILABLE)
    for call in (
        primary.queues.names(),
        primary.queues.put("q-1", "x"),
        primary.queues.arrived(["q-1"], 1),
        primary.tables.names(),
        primary.blobs.leased("ccc", None),
    ):
        with pytest.raises(AccountUnreachable):
            await call
    assert [write.unit for write in everything(primary)] == ["q-1"]


async def test_one_who_waits_learns_at_once_that_the_account_is_lost(primary: EmbeddedAccount) -> None:
    await primary.queues.create("q-1")
    waiter = asyncio.ensure_future(primary.queues.arrived(["q-1"], 3600))
    await asyncio.sleep(0)
    replication.set_state(primary, replication.UNAVAILABLE)
    with pytest.raises(AccountUnreachable):
        await asyncio.wait_for(waiter, 5)


async def test_another_process_notices_that_the_account_is_lost(tmp_path: Path) -> None:
    account = open_embedded(tmp_path / "account.db", replicated=True)
    await account.queues.create("q-1")
    script = (
        "import asyncio, sys; from taskhub.accounts import open_account; from taskhub.errors import *\n"
        "async def main():\n"
        "    account = await open_account(sys.argv[1])\n"
        "    print('open', flush=True)\n"
        "    try: await account.queues.arrived(['q-1'], 3600)\n"
        "    except AccountUnreachable: print('lost')\n"
        "asyncio.run(main())"
    )
    command = [sys.executable, "-c", script, account.path]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "open\n"
    replication.set_state(account, replication.UNAVAILABLE)
    assert process.communicate(timeout=20)[0] == "lost\n"
    await account.close()


async def test_the_log_and_the_state_outlive_a_restart(tmp_path: Path) -> None:
    account = open_embedded(tmp_path / "account.db", replicated=True)
    await account.queues.create("q-1")
    await account.close()
    account = open_embedded(tmp_path / "account.db")
    await account.queues.put("q-1", "x")
    assert [write.sequence for write in everything(account)] == [1, 2]
    replication.trim_log(account, 1)
    assert [write.sequence for write in everything(account)] == [2]
    replication.set_state(account, replication.READ_ONLY)
    await account.close()
    account = open_embedded(tmp_path / "account.db")
    assert (replication.state(account), replication.last_sequence(account)) == ("read-only", 2)
    await account.close()


async def test_a_first_copy_has_everything_but_leases_and_goes_on_from_there(
    tmp_path: Path, clock: ManualClock
) -> None:
    account = open_embedded(tmp_path / "account.db", clock, replicated=True)
    await live(account, clock, 4)
    await account.blobs.create("leased")
    await account.blobs.acquire_lease("leased", None, -1)
    reached = replication.copy_account(account, tmp_path / "second" / "copy.db")
    assert reached == replication.last_sequence(account)
    copy = open_embedded(tmp_path / "second" / "copy.db", clock)
    assert content(copy) == content(account) and copy.name == account.name
    assert (replication.state(copy), replication.last_sequence(copy)) == ("read-only", 0)
    assert not await copy.blobs.leased("leased", None)
    await live(account, clock, 5)
    replication.apply(copy, replication.log_since(account, reached, 1_000_000))
    assert content(copy) == content(account)
    with pytest.raises(AccountNotUsable, match="exists already"):
        replication.copy_account(account, tmp_path / "second" / "copy.db")


async def test_an_account_notes_nothing_until_it_is_told_to(clock: ManualClock) -> None:
    account = open_embedded(":memory:", clock)
    await account.queues.create("q-1")
    assert replication.last_sequence(account) == 0
    replication.set_replicated(account, True)
    await account.queues.put("q-1", "x")
    assert [write.change for write in everything(account)] == ["put"]


async def test_a_change_whose_put_was_lost_on_the_way_changes_nothing(
    primary: EmbeddedAccount, secondary: EmbeddedAccount
) -> None:
    await primary.queues.create("q-1")
    await primary.queues.put("q-1", "x")
    (taken,) = await primary.queues.get("q-1", 1, MINUTE)
    await primary.queues.delete("q-1", taken)
    created, _put, got, deleted = everything(primary)
    replication.apply(secondary, [created, got])
    assert await secondary.queues.count("q-1") == 0
    replication.apply(secondary, [deleted])
    assert await secondary.queues.count("q-1") == 0
