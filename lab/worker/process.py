"""The worker in processes of its own, run by the app's interpreter, as on the platform.

Each process connects back over loopback TCP and loads the app by itself. Orchestrators of one instance always go to
the same process, so that sessions stay; everything else goes to the least busy one. A process that dies is started
again; the calls it had get WorkerGone. So it is ended when a call runs longer than the function timeout, because Python
code cannot be interrupted: that call gets FunctionTimedOut, and an episode WorkerGone, so that it is played again.
Episodes that were at work when their process ended are played again one at a time: one of them may be what ends it,
and would end it under the others again and again.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import subprocess
import sys
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from lab.errors import AppError, InterpreterUnusable
from lab.worker import (
    EpisodeCall,
    EpisodeResult,
    FunctionInfo,
    FunctionTimedOut,
    HttpRequest,
    HttpResponse,
    InvocationFailed,
    SessionLost,
    WorkerGone,
    timespan_text,
    wire,
)
from lab.worker.inside import bootstrap
from lab.worker.inside.frames import FrameProtocol

STOP_SECONDS = 2.0  # how long a process may take to leave before it is killed
RESTART_SECONDS = 0.5  # the pause before a dead process is started again; doubled each time up to the next
RESTART_SECONDS_MOST = 10.0
LAST_LINES = 20  # of a process's output, for the message when it dies at once


class AppLog(Protocol):
    """Where the app's own lines go."""

    def app_log(self, level: int, function: str, text: str) -> None:
        """A record of the app's logging; `function` is empty outside of a function."""
        ...

    def app_output(self, line: str) -> None:
        """A line the app printed."""
        ...

    def worker_line(self, text: str) -> None:
        """What befell a worker process."""
        ...


class ProcessWorker:
    """Runs the functions of an app in one process or several."""

    def __init__(self, links: list[_Link], functions: list[FunctionInfo], server: asyncio.Server) -> None:
        self._links = links
        self._functions = functions
        self._server = server
        self._suspects: set[str] = set()  # instances whose episode was at work when its process ended
        self._alone = asyncio.Lock()  # for whoever is one of them

    @classmethod
    async def start(
        cls,
        root: Path,
        python: Path,
        environment: Mapping[str, str],
        log: AppLog,
        processes: int = 1,
        timeout: timedelta | None = None,
    ) -> ProcessWorker:
        """Starts the processes and has each load the app. AppError, InterpreterUnusable.

        `timeout` is host.json's functionTimeout, None for functions that may run for ever.
        """
        links: dict[str, _Link] = {}

        def accept() -> FrameProtocol:
            return _Newcomer(links).frames

        server, address = await _listen(accept)
        for number in range(processes):
            link = _Link(number, address, root, python, environment, log, timeout)
            links[link.token] = link
        try:
            functions = await asyncio.gather(*(link.start() for link in links.values()))
        except BaseException:
            await asyncio.gather(*(link.close() for link in links.values()))
            server.close()
            raise
        return cls(list(links.values()), [wire.function_from(fields) for fields in functions[0]], server)

    @property
    def functions(self) -> list[FunctionInfo]:
        return self._functions

    @property
    def process_ids(self) -> list[int]:
        """The processes that run now."""
        return [link.process_id for link in self._links if link.process_id]

    async def http(self, function: str, request: HttpRequest, client_binding: str | None) -> HttpResponse:
        answer = await self._least_busy().call("http", function, wire.request_to(request), client_binding)
        return wire.response_from(answer)

    async def activity(self, function: str, input: str | None, instance_id: str, client_binding: str | None) -> str:
        return str(await self._least_busy().call("activity", function, input, client_binding))

    async def entity(self, function: str, batch: str) -> str:
        return str(await self._least_busy().call("entity", function, batch, None))

    async def trigger(self, function: str, data: dict[str, Any], client_binding: str | None) -> dict[str, Any]:
        return dict(await self._least_busy().call("trigger", function, data, client_binding))

    async def episode(self, call: EpisodeCall) -> EpisodeResult:
        if call.instance_id not in self._suspects:
            return await self._episode(call)
        async with self._alone:
            return await self._episode(call)

    async def _episode(self, call: EpisodeCall) -> EpisodeResult:
        self._suspects.discard(call.instance_id)
        try:
            return wire.result_from(await self._home_of(call.instance_id).call("episode", wire.call_to(call)))
        except WorkerGone:
            self._suspects.add(call.instance_id)
            raise

    def forget(self, instance_id: str) -> None:
        self._home_of(instance_id).tell("forget", instance_id)

    async def close(self) -> None:
        await asyncio.gather(*(link.close() for link in self._links))
        self._server.close()

    def _least_busy(self) -> _Link:
        return min(self._links, key=lambda link: (link.process_id is None, link.busy))

    def _home_of(self, instance_id: str) -> _Link:
        return self._links[zlib.crc32(instance_id.encode("utf-8", "surrogatepass")) % len(self._links)]


async def _listen(accept: Callable[[], FrameProtocol]) -> tuple[asyncio.Server, str]:
    """Where the processes connect to: a port, or on Linux a name without a file, which takes half of a port's time."""
    loop = asyncio.get_running_loop()
    if platform.system() == "Linux":
        name = f"functions-{secrets.token_hex(16)}"
        return await loop.create_unix_server(accept, "\0" + name), "@" + name
    server = await loop.create_server(accept, "127.0.0.1", 0)
    return server, str(server.sockets[0].getsockname()[1])


class _Newcomer:
    """A connection that has not said yet which process it comes from."""

    def __init__(self, links: Mapping[str, _Link]) -> None:
        self._links = links
        self._link: _Link | None = None
        self.frames = FrameProtocol(self._take, self._lost)

    def _take(self, frame: list[Any]) -> None:
        if self._link is not None:
            self._link.take(frame)
            return
        link = self._links.get(str(frame[2])) if frame[1] == "hello" else None
        if link is None:  # not one of ours
            self.frames.close()
            return
        self._link = link
        link.connected(self.frames)

    def _lost(self) -> None:
        if self._link is not None:
            self._link.lost(self.frames)


class _Link:
    """One process of the worker, and the connection to it."""

    def __init__(
        self,
        number: int,
        address: str,
        root: Path,
        python: Path,
        environment: Mapping[str, str],
        log: AppLog,
        timeout: timedelta | None,
    ) -> None:
        self.token = secrets.token_hex(16)
        self.busy = 0
        self._number = number
        self._command = [str(python), "-u", bootstrap.__file__, address, self.token]
        self._root = root
        self._environment = {**os.environ, **environment}
        self._log = log
        self._timeout = timeout
        self._process: asyncio.subprocess.Process | None = None
        self._frames: FrameProtocol | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._next = 1
        self._loading: asyncio.Future[list[dict[str, Any]]] | None = None  # the functions, while they are awaited
        self._frames_to_be: FrameProtocol | None = None  # connected, not loaded yet
        self._ready = asyncio.Event()  # calls may go out, or never again
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._watcher: asyncio.Task[None] | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._is_closing = False

    @property
    def process_id(self) -> int | None:
        """The process's id, None when it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> list[dict[str, Any]]:
        """Starts the process; the functions it loaded. AppError, InterpreterUnusable."""
        loading = self._loading = asyncio.get_running_loop().create_future()
        self._last_lines.clear()
        options: dict[str, Any] = {} if sys.platform == "win32" else {"start_new_session": True}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=self._root,
                env=self._environment,
                stdin=subprocess.PIPE,  # closed when this process dies, however it dies
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                limit=1 << 24,
                **options,
            )
        except OSError as error:
            raise InterpreterUnusable(
                f"{self._command[0]} cannot be run: {error}. Name another interpreter with --python."
            ) from error
        self._process = process
        self._watcher = asyncio.get_running_loop().create_task(self._watch(process))
        functions: list[dict[str, Any]] = await loading
        return functions

    async def call(self, kind: str, *values: Any) -> Any:
        """Sends a call and waits for its answer. InvocationFailed, SessionLost, WorkerGone."""
        self.busy += 1
        try:
            if self._frames is None:  # it died and is being started again
                await self._ready.wait()
            number, loop = self._next, asyncio.get_running_loop()
            self._next += 1
            answer = self._waiting[number] = loop.create_future()
            limit = self._timeout and loop.call_later(self._timeout.total_seconds(), self._expire, number, kind, values)
            try:
                if self._frames is None or not self._frames.send([number, kind, *values]):
                    raise WorkerGone("the worker's process has ended")
                return await answer
            finally:
                if limit:
                    limit.cancel()
                self._waiting.pop(number, None)
        finally:
            self.busy -= 1

    def _expire(self, number: int, kind: str, values: tuple[Any, ...]) -> None:
        """Ends the process because a call has run too long; what the platform tries again gets WorkerGone."""
        assert self._timeout is not None and self._process is not None
        function = values[0]["function"] if kind == "episode" else values[0]
        error = FunctionTimedOut(function, self._timeout)
        self._waiting[number].set_exception(WorkerGone(error.text) if kind == "episode" else error)
        limit = timespan_text(self._timeout)
        self._log.worker_line(f"Timeout value of {limit} exceeded by function 'Functions.{function}'.")
        self._log.worker_line(f"A function timeout has occurred. Restarting worker process {self._number}.")
        self._disconnect()
        self._kill(self._process)

    def tell(self, kind: str, *values: Any) -> None:
        """Sends what needs no answer."""
        if self._frames is not None:
            self._frames.send([0, kind, *values])

    async def close(self) -> None:
        """Ends the process, by force when it does not leave by itself."""
        self._is_closing = True
        is_loaded = self._frames is not None
        self.tell("stop")
        self._ready.set()
        if self._restarting is not None:
            self._restarting.cancel()
        if self._watcher is None or self._process is None:
            return
        done, _ = await asyncio.wait([self._watcher], timeout=STOP_SECONDS if is_loaded else 0)
        if not done:
            self._kill(self._process)
            await asyncio.wait([self._watcher])

    def connected(self, frames: FrameProtocol) -> None:
        """The process has connected; it loads the app now."""
        self._frames_to_be = frames

    def lost(self, frames: FrameProtocol) -> None:
        """The connection is gone, and the process with it."""
        if self._frames is frames:
            self._disconnect()

    def take(self, frame: list[Any]) -> None:
        """A message from the process."""
        number, kind, value = frame
        if number:
            self._answer(number, kind, value)
        elif kind == "log":
            self._log.app_log(*value)
        elif self._loading is not None and not self._loading.done():
            if kind == "ready":
                self._frames = self._frames_to_be
                self._ready.set()
                self._loading.set_result(value)
            elif kind == "refused":
                self._loading.set_exception(AppError(*value))

    def _answer(self, number: int, kind: str, value: Any) -> None:
        waiting = self._waiting.get(number)
        if waiting is None or waiting.done():
            return
        if kind == "ok":
            waiting.set_result(value)
        elif kind == "lost":
            waiting.set_exception(SessionLost())
        else:
            waiting.set_exception(InvocationFailed(*value))

    def _disconnect(self) -> None:
        self._frames = None
        if not self._is_closing:
            self._ready.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(WorkerGone("the worker's process ended in the middle of the call"))

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Hands on what the process prints, until it ends; then starts another one unless it was told to leave."""
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than any line should be
                continue
            if not line:
                break
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self._last_lines.append(text)
            self._log.app_output(text)
        self._ended(await process.wait())

    def _ended(self, code: int) -> None:
        self._disconnect()
        if self._loading is not None and not self._loading.done():
            self._loading.set_exception(self._died_at_once(code))
        elif not self._is_closing and self._restarting is None and self._was_loaded():
            self._log.worker_line(f"Worker process {self._number} ended with code {code}; it is started again.")
            self._restarting = asyncio.get_running_loop().create_task(self._restart())

    def _was_loaded(self) -> bool:
        return self._loading is not None and self._loading.exception() is None

    async def _restart(self) -> None:
        pause = RESTART_SECONDS
        while not self._is_closing:
            try:
                await self.start()
                break
            except (AppError, InterpreterUnusable) as error:
                self._log.worker_line(f"Worker process {self._number} cannot be started: {error}")
                await asyncio.sleep(pause)
                pause = min(pause * 2, RESTART_SECONDS_MOST)
        self._restarting = None

    def _died_at_once(self, code: int) -> InterpreterUnusable:
        said = "\n".join(self._last_lines)
        return InterpreterUnusable(f"The worker's process ended with code {code} before it had loaded the app.\n{said}")

    def _kill(self, process: asyncio.subprocess.Process) -> None:
        try:
            process.kill()
        except ProcessLookupError:
            pass
