"""The host: puts the worker, the engine and the server together, and lives until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from lab.console import Console, LoggedWorker
from lab.engine import Engine, Identity
from lab.errors import LabError, StartError
from lab.function_index import FunctionIndex
from lab.http_calls import run_http_call
from lab.keys import Keys, keep_keys
from lab.server import Server
from lab.settings import Settings
from lab.triggers import BoundWorker, TriggerContext, Triggers, host_id, notes_of
from lab.watch import Watch
from lab.worker import FunctionInfo, Worker
from lab.worker.process import ProcessWorker
from taskhub.accounts import Account, open_account
from taskhub.client import TaskHubClient
from taskhub.clock import Clock, SystemClock
from taskhub.errors import AccountError, HubNameInvalid

KEYS_FILE = Path(".lab") / "keys.json"
Reload = Callable[[], Settings]


class Host:
    """One app on one hub behind one port."""

    def __init__(
        self,
        settings: Settings,
        account: Account,
        worker: Worker,
        clock: Clock,
        keys: Keys | None = None,
    ) -> None:
        self.settings = settings
        self.account = account
        triggered = TriggerContext(
            account, clock, worker, self._binding, host_id(settings.environment, settings.durable.hub),
            settings.environment, settings.host_json, settings.lease_seconds,
        )  # fmt: skip
        worker = BoundWorker(triggered)
        self.worker: Worker = worker
        self.index = FunctionIndex(worker.functions)
        self.triggers = Triggers(worker.functions, replace(triggered, worker=worker))
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
            await self._start_hub()
            self.triggers.start()
        except BaseException:
            await self.stop()
            raise

    async def _start_hub(self) -> None:
        """As the extension, whose worker the first durable trigger starts; without one the hub is left alone."""
        if self.index.has_durable_triggers:
            await self.engine.start()
        elif self.index.uses_durable:
            await self.engine.hub.create()

    @property
    def failed(self) -> bool:
        """Whether a part of the host has died, so that it can only be stopped."""
        return self.engine.failed.is_set() or self.triggers.failed.is_set()

    async def stop(self) -> str:
        """Stops gracefully and says what was left."""
        await self.triggers.stop()
        await self.server.stop()
        left = await self.engine.stop()
        if self._session is not None:
            await self._session.close()
        return left

    def _binding(self, function: FunctionInfo) -> str | None:
        return self.server.client_binding(function)  # asked when the server runs: only then is its port known

    async def _http_call(self, text: str) -> str:
        assert self._session is not None
        return await run_http_call(self._session, text)


def run(settings: Settings, reload: Reload | None = None) -> int:
    """Runs the host until SIGINT or SIGTERM; returns the exit code. LabError: it could not start.

    `reload` reads the settings again when the app's files change (`--watch`).
    """
    return _runner()(_serve(settings, reload or (lambda: settings)))


def _runner() -> Callable[[Coroutine[Any, Any, int]], int]:
    """uvloop's where it is installed: with it an episode and its activity take about a fifth less time."""
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.run
    return uvloop.run


async def _serve(settings: Settings, reload: Reload) -> int:
    console = Console(verbose=settings.verbose)
    _log_to(console, settings.verbose)
    clock = SystemClock()
    try:
        account = await open_account(settings.storage, clock)
    except AccountError as error:
        raise StartError(str(error)) from error
    try:
        return await _with_account(settings, account, console, clock, reload)
    finally:
        await account.close()


async def _with_account(settings: Settings, account: Account, console: Console, clock: Clock, reload: Reload) -> int:
    worker = await _load(settings, console)
    stop = _stop_signal()  # before anybody can read that the host runs
    while True:
        keys = keep_keys(settings.app / KEYS_FILE) if settings.require_keys else None
        try:
            host = Host(settings, account, LoggedWorker(worker, console), clock, keys)
            await host.start()
            _introduce(host, console, keys)
            next_app = await _until_stopped(host, console, reload, stop)
            console.say("Stopping …")
            console.say(f"Stopped: {await host.stop()}.")
        except (AccountError, HubNameInvalid) as error:
            raise LabError(str(error)) from error
        finally:
            await worker.close()
        if next_app is None:
            return 1 if host.failed else 0
        settings, worker = next_app


async def _load(settings: Settings, console: Console) -> ProcessWorker:
    return await ProcessWorker.start(
        settings.app, settings.python, settings.environment, console, settings.worker_processes,
        settings.function_timeout,
    )  # fmt: skip


def _introduce(host: Host, console: Console, keys: Keys | None) -> None:
    console.functions(host.index, host.server.origin, host.settings.route_prefix)
    console.notes([*host.settings.notes, *host.triggers.errors, *notes_of(host.index.functions)])
    for line in keys.lines() if keys else ():
        console.say(line)
    hub, account = host.settings.durable.hub, host.account.description
    console.say(f"Task hub {hub} on {account}. Press Ctrl+C to stop.")


def _stop_signal() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: Ctrl+C comes as KeyboardInterrupt there
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    return stop


async def _until_stopped(
    host: Host, console: Console, reload: Reload, stop: asyncio.Event
) -> tuple[Settings, ProcessWorker] | None:
    """Waits for a signal or for a part of the host to fail; or else for the app to change, which it returns loaded."""
    changed = asyncio.create_task(_changed_app(host, console, reload))
    ends = (stop, host.engine.failed, host.triggers.failed)
    waits = [changed, *(asyncio.create_task(one.wait()) for one in ends)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)
    return None if changed.cancelled() else changed.result()


async def _changed_app(host: Host, console: Console, reload: Reload) -> tuple[Settings, ProcessWorker]:
    """Waits until the app's files have changed and loads it anew; one that cannot be loaded is told and left."""
    if not host.settings.watch:
        await asyncio.Event().wait()
    watch = Watch(host.settings.app)
    while True:
        names = ", ".join(str(path) for path in (await watch.changed())[:5])
        console.say(f"Changed: {names}. The app is loaded anew.")
        try:
            settings = replace(reload(), watch=True, port=host.server.port)
            return settings, await _load(settings, console)
        except LabError as error:
            console.say(f"It cannot be loaded, so the app goes on as it was: {error}")
            details = getattr(error, "details", "")
            if details:
                console.say(details)


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
