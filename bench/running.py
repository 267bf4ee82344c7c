"""A real host to measure: its process, a client that costs little, and how much memory its processes hold."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from lab.drills.region import free_port

ROOT = Path(__file__).resolve().parent.parent
APP = Path(__file__).resolve().parent / "app"
HOOK = "/runtime/webhooks/durabletask"
HUB_NAME = "AzureFunctionsJobHost__extensions__durableTask__hubName"
READY_SECONDS = 60.0
LONGEST = 600.0  # seconds that one measurement may take
OPEN = {"Pending", "Running"}


class HostFailed(Exception):
    """The measured host did not start, ended by itself, or did not finish its work."""


@dataclass
class Measured:
    """A running host, and what a client asks of it."""

    origin: str
    process: subprocess.Popen[bytes]
    session: aiohttp.ClientSession
    log: Path

    async def start(self, name: str, instance_id: str, data: Any = None) -> None:
        """Starts an instance at the extension's own route, its input encoded twice as the SDK's client does."""
        body = None if data is None else json.dumps(json.dumps(data))
        await self._expect(202, "POST", f"{HOOK}/orchestrators/{name}/{instance_id}", body)

    async def start_by_function(self, name: str, instance_id: str) -> None:
        """Starts an instance by an HTTP function with a durable client, as apps do."""
        await self._expect(202, "POST", f"/api/start/{name}/{instance_id}")

    async def start_by_app(self, name: str) -> None:
        """Starts an instance by the starter of this project's app, journal and all."""
        await self._expect(202, "POST", f"/api/orchestrators/{name}")

    async def raise_event(self, instance_id: str, data: Any = None) -> None:
        """Raises the event that the app's orchestrators wait for."""
        await self._expect(202, "POST", f"{HOOK}/instances/{instance_id}/raiseEvent/news", json.dumps(data))

    async def _expect(self, status: int, method: str, path: str, body: str | None = None) -> None:
        headers = {"Content-Type": "application/json"}
        async with self.session.request(method, self.origin + path, data=body, headers=headers) as answer:
            text = await answer.text()
            if answer.status != status:
                raise HostFailed(f"{method} {path}: {answer.status} {text[:300]}")

    async def state(self, instance_id: str) -> str:
        """The instance's runtime status, Pending before there is one."""
        async with self.session.get(f"{self.origin}{HOOK}/instances/{instance_id}?showInput=false") as answer:
            return "Pending" if answer.status == 404 else str((await answer.json())["runtimeStatus"])

    async def ended(self, instance_id: str, pause: float = 0.01) -> None:
        """Waits until the instance has completed; HostFailed when it ended otherwise."""
        deadline = time.monotonic() + LONGEST
        while (state := await self.state(instance_id)) in OPEN:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise HostFailed(f"{instance_id} is {state}.\n{self.log.read_text(errors='replace')[-2000:]}")
            await asyncio.sleep(pause)
        if state != "Completed":
            raise HostFailed(f"{instance_id} is {state}")

    async def all_ended(self, prefix: str, last: str) -> None:
        """Waits until none of the instances with this prefix is open; most of them end before `last` does."""
        await self.ended(last, 0.03)
        query = f"runtimeStatus=Pending,Running&top=5&showInput=false&instanceIdPrefix={prefix}"
        while True:
            async with self.session.get(f"{self.origin}{HOOK}/instances?{query}") as answer:
                found = await answer.json()
            if not found:
                return
            await self.ended(found[0]["instanceId"])

    def cpu(self) -> tuple[float, float]:
        """Seconds of CPU that the host and its workers have taken; zeros where /proc does not exist."""
        host, workers = 0.0, 0.0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parts = path.read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            seconds = (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
            if int(path.parent.name) == self.process.pid:
                host = seconds
            elif int(parts[1]) == self.process.pid:
                workers += seconds
        return host, workers

    def memory(self) -> float:
        """Megabytes that the host and its workers hold (resident set); 0 where `ps` does not exist."""
        try:
            told = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return 0.0
        rows = [[int(part) for part in line.split()] for line in told.stdout.splitlines()]
        return sum(rss for pid, parent, rss in rows if self.process.pid in (pid, parent)) / 1024


@asynccontextmanager
async def host(
    storage: str, workers: int, hub: str, app: Path = APP, given: Mapping[str, str] | None = None
) -> AsyncIterator[Measured]:
    """A host of the measured app on a hub of its own, warm: it has run orchestrations in every worker.

    `given`: app settings beside those of the environment.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "host.log"
        process = _begin([app, storage, workers], port, log, {HUB_NAME: hub, **(given or {})})
        connector = aiohttp.TCPConnector(limit=256)
        async with aiohttp.ClientSession(connector=connector) as session:
            measured = Measured(f"http://127.0.0.1:{port}", process, session, log)
            try:
                await _ready(measured)
                for number in range(4 * workers):
                    await measured.start("hello_cities", f"warm-{number}")
                for number in range(4 * workers):
                    await measured.ended(f"warm-{number}")
                yield measured
            finally:
                process.terminate()
                await asyncio.to_thread(_reap, process)


def _begin(what: Sequence[Any], port: int, log: Path, given: Mapping[str, str]) -> subprocess.Popen[bytes]:
    app, storage, workers = map(str, what)
    command = [sys.executable, "-m", "lab", "host", "--app", app, "--port", str(port), "--storage", storage]
    with log.open("wb") as output:
        return subprocess.Popen(
            [*command, "--workers", workers], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": str(ROOT), **given},
        )  # fmt: skip


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _ready(measured: Measured) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while measured.process.poll() is None and time.monotonic() < deadline:
        try:
            async with measured.session.get(f"{measured.origin}{HOOK}/instances?top=1") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.05)
    raise HostFailed(f"The host did not start.\n{measured.log.read_text(errors='replace')[-2000:]}")


def new_prefix(part: str) -> str:
    """A name that the ids of one measurement begin with."""
    return f"{part}-{uuid.uuid4().hex[:8]}"


async def together(tasks: int, work: Callable[[int], Awaitable[Any]], times: int) -> None:
    """Does `work` that many times, with its number, by a few tasks at once."""
    numbers = iter(range(times))

    async def some() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*(some() for _ in range(tasks)))
