"""What the tests of the lab share: a hub whose writes are logged, and a host's engine at work in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from lab.virtual_time import VirtualClock, run
from lab.worker.local import LocalWorker
from tests.lab.drills.hub import Hub
from tests.lab.workbench import APP, SETTINGS, Bench, Play, at_work


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    hub = Hub()
    await hub.hub.create()
    yield hub
    await hub.account.close()


@pytest.fixture(scope="module")
def sturdy() -> Iterator[LocalWorker]:
    """The worker of an app that bears a lot."""
    worker = LocalWorker(APP)
    yield worker
    asyncio.run(worker.close())


@pytest.fixture
def play(sturdy: LocalWorker) -> Play:
    """Plays a scenario with an engine at work, in virtual time; `durable` are settings that differ."""

    def begin(scenario: Callable[[Bench], Awaitable[None]], replicated: bool = False, **durable: Any) -> None:
        async def main(clock: VirtualClock) -> None:
            async with at_work(sturdy, clock, replace(SETTINGS, **durable), replicated) as bench:
                await scenario(bench)

        run(main)

    return begin
