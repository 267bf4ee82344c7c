"""A host's process serves the triggers: of the deployed app, and of an app that changes while it runs."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from lab import settings
from lab.console import Console
from lab.host import Host, _changed_app
from lab.settings import Flags
from lab.triggers.context import HOSTS_CONTAINER
from lab.triggers.queue import encode
from lab.worker.process import ProcessWorker
from taskhub.accounts import Account, open_account
from taskhub.clock import SystemClock
from tests.workflows.running import RunningApp

APP = Path(__file__).resolve().parents[2] / "function_apps" / "triggers"
MOST_SECONDS = 30.0


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while not await true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_the_nightly_workflow_catches_up_and_each_delivery_is_counted_once(tmp_path: Path) -> None:
    running = RunningApp(tmp_path, {"NIGHTLY_PRODUCTS": "tea, cup", "BLOB_DIRECTORY": str(tmp_path / "blobs")})
    good = {"sku": "tea", "quantity": 100}
    asyncio.run(_prepare(tmp_path / "account.db", [good, {"sku": "tea", "quantity": 1}, {"sku": "tea"}]))
    try:
        running.start()
        taking = running.finished("nightly")
        assert taking["runtimeStatus"] == "Completed", running.said()
        assert set(taking["output"]["counts"]) == {"tea", "cup"}
        deadline = time.monotonic() + MOST_SECONDS
        while running.until("GET", "/api/stock/tea").json.get("on_hand") != 101:
            assert time.monotonic() < deadline, running.said()
            time.sleep(0.05)
    finally:
        running.stop()
    said = running.log.read_text()
    assert "Executing 'Functions.nightly_timer'" in said
    assert "is no delivery: quantity" in said


async def _prepare(file: Path, deliveries: list[dict[str, Any]]) -> None:
    """An account on which the timer was due last night, and messages wait."""
    account = await open_account(str(file))
    night = datetime.now(timezone.utc).replace(hour=2, minute=0, second=0, microsecond=0) - timedelta(days=2)
    due = night + timedelta(days=1)
    status = {"Last": night.isoformat(), "Next": due.isoformat(), "LastUpdated": night.isoformat()}
    await account.blobs.create(HOSTS_CONTAINER)
    name = "timers/durablefailover/Host.Functions.nightly_timer/status"
    await account.blobs.put(HOSTS_CONTAINER, name, json.dumps(status).encode())
    await account.queues.create("deliveries")
    for delivery in deliveries:
        await account.queues.put("deliveries", encode(json.dumps(delivery).encode(), True))
    await account.close()


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    shutil.copytree(APP, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


async def test_a_triggered_function_starts_an_orchestration_and_a_changed_app_takes_its_place(app: Path) -> None:
    account = await open_account(":memory:")
    said = io.StringIO()
    console = Console(said, quiet=True)
    flags = Flags(app=app, port=0, storage=":memory:", watch=True)
    chosen = settings.load(flags)
    worker = await _load(chosen, console)
    try:
        host = Host(chosen, account, worker, SystemClock())
        await host.start()
        assert await _greeting(host, account, "Ada") == "Hello Ada!"
        changed = asyncio.create_task(_changed_app(host, console, lambda: settings.load(flags)))
        await asyncio.sleep(0)  # it looks at the files before they change
        text = (app / "function_app.py").read_text()
        (app / "function_app.py").write_text(text + "\ndef broken(")
        await until(lambda: _says(said, "SyntaxError"))
        (app / "function_app.py").write_text(text.replace("Hello", "Good morning"))
        chosen, next_worker = await asyncio.wait_for(changed, MOST_SECONDS)
        await host.stop()
        await worker.close()
        worker = next_worker
        host = Host(chosen, account, worker, SystemClock())
        await host.start()
        assert await _greeting(host, account, "Bob") == "Good morning Bob!"
        await host.stop()
    finally:
        await worker.close()
        await account.close()


async def _load(chosen: settings.Settings, console: Console) -> ProcessWorker:
    return await ProcessWorker.start(chosen.app, chosen.python, chosen.environment, console)


async def _says(said: io.StringIO, text: str) -> bool:
    return text in said.getvalue()


async def _greeting(host: Host, account: Account, name: str) -> Any:
    """What becomes of a message that starts an orchestration."""
    await account.queues.create("starts")
    number = (await account.queues.put("starts", encode(name.encode(), True))).id

    async def has_ended() -> bool:
        status = await host.client.status(number)
        return status is not None and status.is_terminal

    await until(has_ended)
    status = await host.client.status(number)
    return json.loads(status.output or "null") if status else None
