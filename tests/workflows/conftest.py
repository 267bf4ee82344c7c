"""What the workflow tests share: a hub in memory, the outside world on a real port, a directory for blobs."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lab import gateways
from tests.workflows.driver import World


class Outside:
    """The fake services, served by a thread of their own; `world` is what they remember."""

    def __init__(self) -> None:
        self.world = gateways.World()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.base = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()

    async def _serve(self) -> str:
        self._runner = web.AppRunner(gateways.create_app(self.world))
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        address: Any = self._runner.addresses[0]
        return f"http://127.0.0.1:{address[1]}"

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def fail(self, service: str, mode: str, times: int = 1, **more: Any) -> None:
        """Tells one service to fail; `times` 0 is for ever."""
        self.world.faults[service] = {"mode": mode, "times": times, "seconds": 0, "status": 503} | more

    def sums(self) -> dict[str, int]:
        """How many of each thing happened."""
        kinds = ("charges", "refunds", "shipments", "cancelled_shipments", "messages")
        return {kind: len(self.world.state[kind]) for kind in kinds if self.world.state[kind]}


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    """The services outside, with the app's settings pointing at them."""
    served = Outside()
    for name, value in gateways.settings_for(served.base).items():
        monkeypatch.setenv(name, value)
    yield served
    served.close()


@pytest.fixture
def blob_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory in place of the storage account's container."""
    monkeypatch.setenv("BLOB_DIRECTORY", str(tmp_path / "blobs"))
    return tmp_path / "blobs"


@pytest.fixture(params=["once", "twice"])
def world(request: pytest.FixtureRequest) -> World:
    """A hub in memory: in one run every activity runs once, in the other twice, as redelivery after a failover does."""
    return World(twice=request.param == "twice")
