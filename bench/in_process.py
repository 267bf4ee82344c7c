"""Latency without HTTP: host, client and account in this process, only the functions in another."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench.parts import Figures, Size, spread
from bench.running import APP, HUB_NAME, new_prefix
from lab.host import Host
from lab.settings import Flags, load
from lab.worker.process import ProcessWorker
from taskhub.accounts import open_account
from taskhub.clock import SystemClock


class _Silent:
    """Takes the app's lines and drops them."""

    def app_log(self, level: int, function: str, text: str) -> None: ...

    def app_output(self, line: str) -> None: ...

    def worker_line(self, text: str) -> None: ...


async def latency(storage: str, workers: int, size: Size, hub: str) -> Figures:
    """One instance with one activity after the other, from the client's start to its status Completed."""
    settings = replace(load(Flags(app=APP, storage=storage, workers=workers), {**os.environ, HUB_NAME: hub}), port=0)
    clock = SystemClock()
    account = await open_account(storage, clock)
    worker = await ProcessWorker.start(APP, Path(sys.executable), settings.environment, _Silent(), workers)
    host = Host(settings, account, worker, clock)
    await host.start()
    try:
        for _ in range(10):
            await _once(host)
        return spread("latency in process", [await _once(host) for _ in range(size.latencies)])
    finally:
        await host.stop()
        await worker.close()
        await account.close()


async def _once(host: Host) -> float:
    instance_id, begin = new_prefix("latency"), time.perf_counter()
    await host.client.start("one_activity", instance_id, None)
    while True:
        status = await host.client.status(instance_id, show_input=False)
        if status is not None and status.is_terminal:
            return time.perf_counter() - begin
        await asyncio.sleep(0.0005)
