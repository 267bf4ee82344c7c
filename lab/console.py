"""What the host prints: the functions as Core Tools list them, a line for each execution, the app's own lines."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Iterable
from datetime import datetime, timezone
from typing import Any, TextIO, TypeVar

from lab.function_index import FunctionIndex
from lab.gateway import methods_of, route_of
from lab.worker import (
    EpisodeCall,
    EpisodeResult,
    FunctionInfo,
    HttpRequest,
    HttpResponse,
    InvocationFailed,
    SessionLost,
    Worker,
)

ALL_METHODS = "GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS"
CALLED = "This function was programmatically called via the host APIs."
LEVELS = {10: "debug", 30: "warning", 40: "error", 50: "critical"}
Result = TypeVar("Result")


class Console:
    """The host's terminal. Lines are written whole, from whatever thread."""

    def __init__(self, out: TextIO | None = None, verbose: bool = False, quiet: bool = False) -> None:
        """`quiet` leaves out the lines of executions; `verbose` adds the host's own details."""
        self._out = out or sys.stdout
        self._lock = threading.Lock()
        self._is_flushing = False
        self._loop_thread = 0
        self._second, self._second_text = 0, ""
        self.verbose = verbose
        self.quiet = quiet

    def say(self, text: str = "") -> None:
        """Prints lines as they are."""
        with self._lock:
            try:
                self._out.write(text + "\n")
                if not self._flush_later():
                    self._out.flush()
            except (UnicodeEncodeError, ValueError):  # a terminal without the letter, or already closed
                self._write_ascii(text)

    def _flush_later(self) -> bool:
        """Has the lines of one turn of the event loop leave together; False where there is no loop."""
        if self._is_flushing:
            return threading.get_ident() == self._loop_thread
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        self._is_flushing, self._loop_thread = True, threading.get_ident()
        loop.call_soon(self._flush)
        return True

    def _flush(self) -> None:
        with self._lock:
            self._is_flushing = False
            try:
                self._out.flush()
            except ValueError:  # already closed
                pass

    def log(self, text: str) -> None:
        """Prints a line with the time before it."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._second_text = f"{datetime.fromtimestamp(second, timezone.utc):%Y-%m-%dT%H:%M:%S}"
        self.say(f"[{self._second_text}.{int((now - second) * 1000):03d}Z] {text}")

    def detail(self, text: str) -> None:
        """A line for those who asked for details."""
        if self.verbose:
            self.log(text)

    def app_log(self, level: int, function: str, text: str) -> None:
        """A record of the app's logging."""
        name = LEVELS.get(level, "")
        self.log(f"{name}: {text}" if name and level != 20 else text)

    def app_output(self, line: str) -> None:
        """A line the app printed."""
        self.log(line)

    def worker_line(self, text: str) -> None:
        """What befell a worker process."""
        self.log(text)

    def functions(self, index: FunctionIndex, origin: str, prefix: str) -> None:
        """The block of functions: HTTP triggers with methods and URLs, then the others with their trigger."""
        self.say("\nFunctions:\n")
        for function in sorted(index.http, key=lambda info: info.name.lower()):
            methods = ",".join(methods_of(function)) or ALL_METHODS
            self.say(f"\t{function.name}: [{methods}] {origin}/{route_of(function, prefix)}\n")
        others = [function for function in index.functions if function.trigger != "httpTrigger"]
        for function in sorted(others, key=lambda info: info.name.lower()):
            self.say(f"\t{function.name}: {function.trigger}{_not_run(function, index)}\n")
        if not index.functions:
            self.say("\tNo functions found. Add some to the app object in function_app.py.\n")

    def notes(self, texts: Iterable[str]) -> None:
        """What the person at the terminal should know."""
        for text in texts:
            self.say(f"Note: {text}")

    def _write_ascii(self, text: str) -> None:
        try:
            self._out.write(text.encode("ascii", "backslashreplace").decode("ascii") + "\n")
            self._out.flush()
        except ValueError:
            pass


def _not_run(function: FunctionInfo, index: FunctionIndex) -> str:
    return " (not run here)" if function in index.not_run else ""


class LoggedWorker:
    """A worker whose executions are printed as `func start` prints them."""

    def __init__(self, worker: Worker, console: Console) -> None:
        self._worker = worker
        self._console = console

    @property
    def functions(self) -> list[FunctionInfo]:
        return self._worker.functions

    async def http(self, function: str, request: HttpRequest, client_binding: str | None) -> HttpResponse:
        return await self._logged(function, self._worker.http(function, request, client_binding), CALLED)

    async def activity(self, function: str, input: str | None, instance_id: str, client_binding: str | None) -> str:
        return await self._logged(function, self._worker.activity(function, input, instance_id, client_binding))

    async def entity(self, function: str, batch: str) -> str:
        return await self._logged(function, self._worker.entity(function, batch))

    async def episode(self, call: EpisodeCall) -> EpisodeResult:
        return await self._logged(call.function, self._worker.episode(call))

    async def trigger(self, function: str, data: dict[str, Any], client_binding: str | None) -> dict[str, Any]:
        return await self._logged(function, self._worker.trigger(function, data, client_binding))

    def forget(self, instance_id: str) -> None:
        self._worker.forget(instance_id)

    async def close(self) -> None:
        await self._worker.close()

    async def _logged(self, function: str, execution: Awaitable[Result], reason: str = "(null)") -> Result:
        if self._console.quiet:
            return await execution
        number, begin = uuid.uuid4(), time.monotonic()
        self._console.log(f"Executing 'Functions.{function}' (Reason='{reason}', Id={number})")
        outcome, failure = "Failed", ""
        try:
            result = await execution
            outcome, failure = _outcome(result)
            return result
        except SessionLost:
            outcome = "Repeated"  # it is run again with the whole history
            raise
        except InvocationFailed as error:
            failure = _failure(error.text, error.stack)
            raise
        finally:
            milliseconds = round((time.monotonic() - begin) * 1000)
            line = f"Executed 'Functions.{function}' ({outcome}, Id={number}, Duration={milliseconds}ms)"
            self._console.log(line + (f"\n{failure}" if failure else ""))


def _outcome(result: object) -> tuple[str, str]:
    if isinstance(result, EpisodeResult) and result.error is not None:
        return "Failed", _failure(result.error, result.stack)
    return "Succeeded", ""


def _failure(text: str, stack: str) -> str:
    return f"Result: Failure\nException: {text}\nStack: {stack}".rstrip()
