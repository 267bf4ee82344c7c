"""What the tests of drills and of what they rest on share: a hub whose writes are logged."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.lab.drills.hub import Hub


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    hub = Hub()
    await hub.hub.create()
    yield hub
    await hub.account.close()
