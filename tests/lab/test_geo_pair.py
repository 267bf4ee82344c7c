"""What a failover keeps and loses, unit by unit, on two real accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.geo_pair import SERVICES, create_pair, recovery_point
from lab.lag import ConstantLag, Lag, LongTailedLag
from taskhub.accounts import Account, Query, Where, Write
from taskhub.accounts.embedded import MEMORY
from taskhub.accounts.replication import Service
from taskhub.clock import ManualClock
from taskhub.errors import AccountError, AccountUnreachable, InvalidOperation, NotFound


class UnitLag:
    """A lag for each unit by its name, in seconds; others have none."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = seconds

    def arrival(self, unit: str, moment: datetime) -> datetime:
        found = (seconds for name, seconds in self.seconds.items() if name in unit)
        return moment + timedelta(seconds=next(found, 0))


class World:
    """A pair, its clock, and a few things to write to it."""

    def __init__(self, lag: Lag) -> None:
        self.clock = ManualClock()
        self.pair = create_pair(MEMORY, MEMORY, "shop", lag, self.clock)
        self.first = [self.pair.primary, self.pair.secondary]
        self.written: list[str] = []

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def wait(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def lose(self) -> None:
        self.pair.fail_over(planned=False, now=self.now)

    def replicate(self) -> int:
        return self.pair.replicate_until(self.now)

    def close(self) -> None:
        for account in self.first:
            if account:
                asyncio.run(account.close())


@pytest.fixture
def five_seconds() -> Iterator[World]:
    world = World(ConstantLag(timedelta(seconds=5)))
    yield world
    world.close()


@pytest.fixture
def slow_history() -> Iterator[World]:
    world = World(UnitLag(History=60.0))
    yield world
    world.close()


async def row(account: Account, table: str, partition: str, key: str = "", **columns: Any) -> None:
    await account.tables.create(table)
    await account.tables.write(table, Write("upsert", {"PartitionKey": partition, "RowKey": key, **columns}))


async def message(account: Account, queue: str, text: str) -> None:
    await account.queues.create(queue)
    await account.queues.put(queue, text)


async def texts(account: Account, queue: str) -> list[str]:
    return [found.text for found in await account.queues.peek(queue)]


def secondary(world: World) -> Account:
    assert world.pair.secondary
    return world.pair.secondary


async def test_a_write_is_on_the_secondary_after_its_lag_and_not_before(five_seconds: World) -> None:
    await message(five_seconds.pair.primary, "control", "start")
    five_seconds.wait(4.9)
    assert five_seconds.replicate() == 0
    five_seconds.wait(0.1)
    assert five_seconds.replicate() == 2
    assert await texts(secondary(five_seconds), "control") == ["start"]


async def test_units_arrive_independently_of_each_other(slow_history: World) -> None:
    await row(slow_history.pair.primary, "HubHistory", "A")
    await row(slow_history.pair.primary, "HubInstances", "A")
    slow_history.replicate()
    assert await secondary(slow_history).tables.get("HubInstances", "A", "")
    slow_history.lose()
    assert [one.write.unit for one in slow_history.pair.lost_writes()] == ["HubHistory", "HubHistory/A"]


async def test_the_secondary_can_be_read_and_not_written(five_seconds: World) -> None:
    with pytest.raises(AccountError, match="can be read, not written"):
        await message(secondary(five_seconds), "control", "start")
    assert await secondary(five_seconds).queues.names() == []


async def test_the_last_sync_time_is_that_of_the_oldest_write_on_its_way(five_seconds: World) -> None:
    pair, made = five_seconds.pair, five_seconds.now
    await message(pair.primary, "control", "start")
    five_seconds.wait(3)
    assert pair.last_sync_time("queue", five_seconds.now) == made.replace(microsecond=0)
    assert pair.last_sync_time("table", five_seconds.now) == five_seconds.now.replace(microsecond=0)
    five_seconds.wait(2)
    assert pair.last_sync_time("queue", five_seconds.now) == five_seconds.now.replace(microsecond=0)


async def test_an_unplanned_failover_loses_exactly_what_had_not_arrived(five_seconds: World) -> None:
    await message(five_seconds.pair.primary, "control", "old")
    five_seconds.wait(4)
    await message(five_seconds.pair.primary, "control", "new")
    five_seconds.wait(1)
    five_seconds.lose()
    assert await texts(five_seconds.pair.primary, "control") == ["old"]
    lost = five_seconds.pair.lost_writes()
    assert [one.write.text() for one in lost] == ["new"]
    assert recovery_point(lost, five_seconds.now) == timedelta(seconds=1)


async def test_a_delete_that_had_not_arrived_brings_its_message_back(five_seconds: World) -> None:
    queues = five_seconds.pair.primary.queues
    await message(five_seconds.pair.primary, "control", "start")
    five_seconds.wait(5)
    (taken,) = await queues.get("control", 1, timedelta(seconds=30))
    await queues.delete("control", taken)
    five_seconds.lose()
    assert await texts(five_seconds.pair.primary, "control") == ["start"]


async def test_the_lost_primary_answers_nobody(five_seconds: World) -> None:
    old = five_seconds.pair.primary
    five_seconds.lose()
    with pytest.raises(AccountUnreachable):
        await old.queues.names()


async def test_a_planned_failover_loses_nothing_and_the_regions_change_places(five_seconds: World) -> None:
    old = five_seconds.pair.primary
    await message(old, "control", "start")
    five_seconds.pair.fail_over(planned=True, now=five_seconds.now)
    assert five_seconds.pair.lost_writes() == []
    await message(five_seconds.pair.primary, "control", "event")
    five_seconds.wait(5)
    five_seconds.replicate()
    assert five_seconds.pair.secondary is old
    assert await texts(old, "control") == ["start", "event"]


async def test_after_an_unplanned_failover_the_account_is_locally_redundant(five_seconds: World) -> None:
    five_seconds.lose()
    assert five_seconds.pair.redundancy == "locally redundant"
    with pytest.raises(InvalidOperation, match="no secondary"):
        five_seconds.replicate()
    with pytest.raises(InvalidOperation, match="no secondary"):
        five_seconds.lose()


async def test_restored_redundancy_copies_what_is_there_and_what_follows(five_seconds: World, tmp_path: Path) -> None:
    await message(five_seconds.pair.primary, "control", "start")
    five_seconds.wait(5)
    five_seconds.lose()
    five_seconds.pair.restore_geo_redundancy(tmp_path / "third.db")
    await message(five_seconds.pair.primary, "control", "event")
    five_seconds.wait(5)
    five_seconds.replicate()
    assert await texts(secondary(five_seconds), "control") == ["start", "event"]
    await secondary(five_seconds).close()


def test_redundancy_that_is_there_is_not_restored(five_seconds: World, tmp_path: Path) -> None:
    with pytest.raises(InvalidOperation, match="already"):
        five_seconds.pair.restore_geo_redundancy(tmp_path / "third.db")


async def test_a_lease_is_not_copied(five_seconds: World) -> None:
    blobs = five_seconds.pair.primary.blobs
    await blobs.create("leases")
    await blobs.put("leases", "control-00", b"{}")
    await blobs.acquire_lease("leases", "control-00", 60)
    five_seconds.pair.fail_over(planned=True, now=five_seconds.now)
    assert await five_seconds.pair.primary.blobs.leased("leases", "control-00") is False


async def test_a_clock_that_is_set_back_lets_no_write_overtake(five_seconds: World) -> None:
    await message(five_seconds.pair.primary, "control", "first")
    five_seconds.clock._now -= timedelta(seconds=3)
    await message(five_seconds.pair.primary, "control", "second")
    five_seconds.wait(5)
    five_seconds.lose()
    assert await five_seconds.pair.primary.queues.names() == []


def test_a_pair_begins_with_new_files(tmp_path: Path) -> None:
    (tmp_path / "west.db").touch()
    with pytest.raises(InvalidOperation, match=r"west\.db exists already"):
        create_pair(tmp_path / "west.db", tmp_path / "north.db", "shop", ConstantLag(timedelta(0)))


TABLES, QUEUES, BLOBS = ("A", "B"), ("ccc", "ddd"), ("E", "F")
UNITS = TABLES + QUEUES + BLOBS
WRITES = st.lists(st.tuples(st.sampled_from(UNITS), st.floats(0, 5)), max_size=30)  # unit, seconds since the last


def service_of(unit: str) -> Service:
    return "table" if unit in TABLES else "queue" if unit in QUEUES else "blob"


async def write(account: Account, unit: str, number: int) -> None:
    if unit in TABLES:
        await row(account, "Hub", unit, f"{number:04}")
    elif unit in QUEUES:
        await message(account, unit, str(number))
    else:
        await account.blobs.create("large")
        await account.blobs.put("large", unit, str(number).encode())


async def numbers_in(account: Account, unit: str) -> list[int]:
    """The numbers of the writes that a unit holds; of a blob, its last one."""
    if unit in TABLES:
        rows = account.tables.rows("Hub", Query([Where("PartitionKey", "eq", unit)]))
        return [int(str(found.entity["RowKey"])) async for found in rows]
    if unit in QUEUES:
        return [int(text) for text in await texts(account, unit)]
    return [int(await account.blobs.get("large", unit))]


async def survivors(account: Account, unit: str, made: list[int]) -> list[int]:
    try:
        found = await numbers_in(account, unit)
    except NotFound:
        return []
    return made[: made.index(found[0]) + 1] if unit in BLOBS else found


@settings(max_examples=60, deadline=None)
@given(WRITES, st.integers(0, 1000), st.floats(0, 20))
def test_whatever_is_written_the_promoted_account_holds_a_prefix_of_every_unit(
    writes: list[tuple[str, float]], seed: int, median: float
) -> None:
    asyncio.run(lose_after(writes, LongTailedLag(timedelta(seconds=median), seed)))


async def lose_after(writes: list[tuple[str, float]], lag: Lag) -> None:
    world = World(lag)
    made: dict[str, list[int]] = {unit: [] for unit in UNITS}
    times = []
    for number, (unit, pause) in enumerate(writes):
        world.wait(pause)
        await write(world.pair.primary, unit, number)
        made[unit].append(number)
        times.append(world.now)
        if number % 3 == 0:
            world.replicate()
    synced = {service: world.pair.last_sync_time(service, world.now) for service in SERVICES}
    world.lose()
    lost = [one for one in world.pair.lost_writes() if one.write.change == "put"]
    kept = 0
    for unit in UNITS:
        there = await survivors(world.pair.primary, unit, made[unit])
        assert there == made[unit][: len(there)]
        assert all(times[number] >= synced[service_of(unit)] for number in made[unit][len(there) :])
        kept += len(there)
    assert kept + len(lost) == len(writes)
    for account in world.first:
        if account:
            await account.close()
