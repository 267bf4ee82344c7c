"""The worker's process: connects back to the host, loads the app in its working directory, answers calls till the end.

To the worker   [id, "http" | "activity" | "entity" | "trigger", function, value, client binding]
                [id, "episode", call]    [0, "forget", instance id]    [0, "stop"]
From the worker [id, "ok", value]  [id, "failed", [text, stack]]  [id, "lost", null]
                [0, "hello", token]  [0, "ready", functions]  [0, "refused", [text, traceback]]
                [0, "log", [level, function, text]]
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import loading
from .failures import FunctionRaised, LoadFailed, NoSession
from .frames import FrameProtocol

if TYPE_CHECKING:
    from .app import App


def main() -> None:
    """Runs the worker: `bootstrap.py PORT|@NAME TOKEN`, with the app's root as working directory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the host says when to stop
    threading.Thread(target=_end_with_the_host, daemon=True).start()
    asyncio.run(Worker(Path.cwd()).run(sys.argv[1], sys.argv[2]))


def _end_with_the_host() -> None:
    """Ends the process when its standard input, a pipe of the host's, is closed: the host is gone."""
    while os.read(0, 1024):
        pass
    leave(1)


def leave(code: int) -> None:
    """Ends the process now, whatever the app's threads are doing."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(code)


class Worker:
    """One connection to the host, one app."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._frames = FrameProtocol(self._take, lambda: leave(0))
        self._app: App | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()

    async def run(self, address: str, token: str) -> None:
        """Connects, loads the app, and serves until the host says stop or goes away."""
        loop = asyncio.get_running_loop()
        if address.startswith("@"):
            await loop.create_unix_connection(lambda: self._frames, "\0" + address[1:])
        else:
            await loop.create_connection(lambda: self._frames, "127.0.0.1", int(address))
        self._frames.send([0, "hello", token])
        _log_to(self._frames, loop)
        try:
            self._app = self._load()
        except LoadFailed as error:
            self._frames.send([0, "refused", [error.text, error.details]])
        else:
            self._frames.send([0, "ready", self._app.describe()])
        await self._ended.wait()
        leave(0)

    def _load(self) -> App:
        loading.prepare_path(self._root)
        try:
            from .app import load
        except ImportError as error:
            raise LoadFailed(
                f"The app's interpreter ({sys.executable}) cannot import azure-functions: {error}. "
                "Install the app's requirements there, or name another interpreter with --python."
            ) from error
        count = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT", "")
        threads = ThreadPoolExecutor(int(count) if count.isdigit() and int(count) else None, "function")
        return load(self._root, threads)

    def _take(self, frame: list[Any]) -> None:
        number, kind, *rest = frame
        if kind == "episode":
            self._frames.send(self._episode(number, rest[0]))
        elif kind == "forget" and self._app is not None:
            self._app.forget(rest[0])
        elif kind == "stop":
            self._ended.set()
        else:
            task = asyncio.get_running_loop().create_task(self._call(number, kind, *rest))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _episode(self, number: int, call: dict[str, Any]) -> list[Any]:
        assert self._app is not None  # no calls arrive before "ready"
        try:
            return [number, "ok", self._app.episode(call)]
        except NoSession:
            return [number, "lost", None]
        except FunctionRaised as error:
            return [number, "failed", [error.text, error.stack]]

    async def _call(self, number: int, kind: str, function: str, value: Any, client: str | None) -> None:
        assert self._app is not None
        try:
            answer = [number, "ok", await self._app.call(kind, function, value, client)]
        except FunctionRaised as error:
            answer = [number, "failed", [error.text, error.stack]]
        except BaseException as error:  # a fault of ours must not leave the caller waiting
            answer = [number, "failed", [f"{type(error).__name__}: {error}", ""]]
        try:
            self._frames.send(answer)
        except (TypeError, ValueError) as error:
            self._frames.send([number, "failed", [f"{type(error).__name__}: {error}", ""]])


class _LogFrames(logging.Handler):
    """Sends the app's log records to the host, from whatever thread."""

    def __init__(self, frames: FrameProtocol, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._frames = frames
        self._loop = loop
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            frame = [0, "log", [record.levelno, _current_function(), self.format(record)]]
            if threading.get_ident() == self._thread:
                self._frames.send(frame)
            else:
                self._loop.call_soon_threadsafe(self._frames.send, frame)
        except Exception:
            self.handleError(record)


def _current_function() -> str:
    invocations = sys.modules.get(f"{__package__}.invocations")
    return "" if invocations is None else str(invocations.current_invocation.get()[0])


def _log_to(frames: FrameProtocol, loop: asyncio.AbstractEventLoop) -> None:
    """Logging as in the Python worker: everything from INFO on (DEBUG when asked for) goes to the host."""
    is_debug = os.environ.get("PYTHON_ENABLE_DEBUG_LOGGING", "").lower() in ("1", "true", "t", "y", "yes")
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if is_debug else logging.INFO)
    root.addHandler(_LogFrames(frames, loop))
