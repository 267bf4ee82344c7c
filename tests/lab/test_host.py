"""The host works on a hub only for an app that has durable functions, as the extension does."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import settings
from lab.host import Host
from lab.settings import Flags
from lab.worker.local import LocalWorker
from taskhub.accounts import open_account
from taskhub.clock import SystemClock

APPS = Path(__file__).parents[1] / "function_apps"


@pytest.mark.filterwarnings("ignore:azure.functions")
@pytest.mark.parametrize(("app", "touches"), [("http", False), ("test_kit", True)])
async def test_an_app_without_durable_functions_leaves_the_hub_alone(app: str, touches: bool) -> None:
    """So a region that is fenced off when it is loaded takes nothing from the one that works."""
    account = await open_account(":memory:")
    host = Host(settings.load(Flags(app=APPS / app, port=0)), account, LocalWorker(APPS / app), SystemClock())
    await host.start()
    try:
        assert bool(await account.tables.names()) is touches
        assert bool(await account.blobs.names()) is touches
    finally:
        await host.stop()
        await account.close()
