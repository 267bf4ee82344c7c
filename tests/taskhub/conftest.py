"""A hub in memory, its client, and a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from taskhub.accounts import Account, open_account
from taskhub.client import TaskHubClient
from taskhub.clock import ManualClock
from taskhub.hub import HubSettings, TaskHub


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def account(clock: ManualClock) -> AsyncIterator[Account]:
    account = await open_account(":memory:", clock)
    yield account
    await account.close()


@pytest_asyncio.fixture
async def hub(account: Account, clock: ManualClock) -> TaskHub:
    hub = TaskHub(account, HubSettings("GoldenHub", 1), clock)
    await hub.create()
    return hub


@pytest.fixture
def client(hub: TaskHub) -> TaskHubClient:
    return TaskHubClient(hub)
