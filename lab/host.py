"""The host: puts the worker, the engine and the server together, and lives until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

import aiohttp

from lab.client_binding import LinkMaker
from lab.console import Console, LoggedWorker
from lab.engine import Engine, Identity
from lab.errors import LabError, StartError
from lab.function_index import FunctionIndex, client_input
from lab.http_calls import run_http_call
from lab.keys import Keys, keep_keys
from lab.server import RPC, Server
from lab.settings import Settings
from lab.worker import FunctionInfo, Worker
from lab.worker.process import ProcessWorker
from taskhub.accounts import Account, open_account
from taskhub.client import TaskHubClient
from taskhub.clock import Clock, SystemClock
from taskhub.errors import AccountError, HubNameInvalid

KEYS_FILE = Path(".lab") / "keys.json"


class Host:
    """One app on one hub behind one port."""

    def __init__(
        self, settings: Settings, account: Account, worker: Worker, clock: Clock, keys: Keys | None = None
    ) -> None:
        self.settings = settings
        self.account = account
        self.worker = worker
        self.index = FunctionIndex(worker.functions)
        self._session: aiohttp.ClientSession | None = None
        identity = Identity(settings.worker_id, settings.environment.get("WEBSITE_SITE_NAME", ""))
        self.engine = Engine(
            account, settings.durable, worker, self.index, clock, identity, settings.lease_seconds,
            self._binding, self._http_call,
        )  # fmt: skip
        self.client = TaskHubClient(self.engine.hub, settings.durable.overridable_states)
        self.server = Server(settings, worker, self.index, self.client, clock, keys)

    async def start(self) -> None:
        """Listens, then begins to work. PortTaken; AccountError: the account refuses."""
        await self.server.start()
        try:
            self._session = aiohttp.ClientSession()
            await self.engine.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> str:
        """Stops gracefully and says what was left."""
        await self.server.stop()
        left = await self.engine.stop()
        if self._session is not None:
            await self._session.close()
        return left

    def _binding(self, function: FunctionInfo) -> str | None:
        found = client_input(function)
        if found is None:
            return None
        links = LinkMaker(self.server.origin, self.settings.durable.hub, self.settings.durable.connection)
        rpc_base = f"http://127.0.0.1:{self.server.port}{RPC}/"
        return links.binding(rpc_base, str(found.get("taskHub") or ""), str(found.get("connectionName") or ""))

    async def _http_call(self, text: str) -> str:
        assert self._session is not None
        return await run_http_call(self._session, text)


def run(settings: Settings) -> int:
    """Runs the host until SIGINT or SIGTERM; returns the exit code. LabError: it could not start."""
    return asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    console = Console(verbose=settings.verbose)
    _log_to(console, settings.verbose)
    clock = SystemClock()
    try:
        account = await open_account(settings.storage, clock)
    except AccountError as error:
        raise StartError(str(error)) from error
    try:
        return await _with_account(settings, account, console, clock)
    finally:
        await account.close()


async def _with_account(settings: Settings, account: Account, console: Console, clock: Clock) -> int:
    worker = await ProcessWorker.start(
        settings.app, settings.python, settings.environment, console, settings.worker_processes
    )
    keys = keep_keys(settings.app / KEYS_FILE) if settings.require_keys else None
    try:
        host = Host(settings, account, LoggedWorker(worker, console), clock, keys)
        await host.start()
        console.functions(host.index, host.server.origin, settings.route_prefix)
        console.notes(settings.notes)
        for line in keys.lines() if keys else ():
            console.say(line)
        console.say(f"Task hub {settings.durable.hub} on {account.description}. Press Ctrl+C to stop.")
        failed = await _until_stopped(host)
        console.say("Stopping …")
        console.say(f"Stopped: {await host.stop()}.")
        return 1 if failed else 0
    except (AccountError, HubNameInvalid) as error:
        raise LabError(str(error)) from error
    finally:
        await worker.close()


async def _until_stopped(host: Host) -> bool:
    """Waits for a signal, or for the engine to fail (True)."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: Ctrl+C comes as KeyboardInterrupt there
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(host.engine.failed.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    return host.engine.failed.is_set()


class _ConsoleHandler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        self._console.log(prefix + self.format(record))


def _log_to(console: Console, verbose: bool) -> None:
    """The host's own log goes to the terminal: warnings always, the rest for those who asked for details."""
    root = logging.getLogger("lab")
    root.handlers = [_ConsoleHandler(console)]
    root.setLevel(logging.DEBUG if verbose else logging.WARNING)
    root.propagate = False
