"""Rows and deletions follow the history in the background: once where turns follow at once, and never lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from taskhub.accounts import Write
from taskhub.errors import AccountUnreachable
from tests.lab.workbench import WEEK, Bench, Play

pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads:DeprecationWarning")


class Rows:
    """A table service that notes the states that rows are given, and fails as often as it is told."""

    def __init__(self, service: Any) -> None:
        self._service = service
        self.states: list[Any] = []
        self.failures = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    async def write(self, table: str, write: Write) -> str:
        if self.failures:
            self.failures -= 1
            raise AccountUnreachable("the account is gone")
        self.states.append(write.entity.get("RuntimeStatus"))
        etag: str = await self._service.write(table, write)
        return etag


async def state(bench: Bench) -> str:
    return (await bench.status("one")).runtime_status


def watch(bench: Bench) -> Rows:
    rows = Rows(bench.account.tables)
    bench.account.tables = rows  # type: ignore[assignment]
    return rows


def test_a_start_that_comes_back_tells_a_row_that_was_left_pending(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        rows = watch(bench)
        await bench.start("wait", "one")
        rows.failures = 1
        await asyncio.sleep(1)
        assert await state(bench) == "Pending"
        await asyncio.sleep(5)
        assert (await state(bench), await bench.left()) == ("Running", 0)
        status = await bench.client.status("one")
        assert status is not None and status.input is not None

    play(scenario)


def test_the_row_of_an_instance_that_waits_says_so_in_a_moment(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("wait", "one")
        await asyncio.sleep(0.1)
        assert await state(bench) == "Running"

    play(scenario)


def test_an_end_whose_row_could_not_be_written_is_told_when_its_message_comes_back(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("wait", "one")
        await asyncio.sleep(1)
        rows = watch(bench)
        rows.failures = 1
        await bench.client.raise_event("one", "news", "1")
        await asyncio.sleep(1)
        assert (await state(bench), await bench.left()) == ("Running", 1)
        assert await bench.ended("one") == "Completed"
        await asyncio.sleep(1)
        assert (await bench.left(), bench.engine.deliveries.count) == (0, 0)

    play(scenario)


def test_a_work_item_whose_result_could_not_be_told_runs_again_and_ends_the_instance(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("slow_fan", "one", 1)
        await asyncio.sleep(30)
        rows = watch(bench)
        rows.failures = 1
        await asyncio.sleep(31)
        assert await state(bench) == "Running"
        assert await bench.ended("one") == "Completed"
        await asyncio.sleep(WEEK.total_seconds())
        assert (await bench.left(), bench.engine.deliveries.count) == (0, 0)

    play(scenario)


def test_a_host_that_stops_has_settled_everything(play: Play) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("wait", "one")
        while not (await bench.hub.read_history("one")).events:
            await asyncio.sleep(0.001)
        await bench.engine.stop()
        assert (await state(bench), await bench.left()) == ("Running", 0)

    play(scenario)
