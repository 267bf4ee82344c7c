"""The worker in this process: for tests and simulations, where one thread and one loop do everything.

The app shares the interpreter with the host: its modules are imported anew for each worker, its settings are in the
environment as long as the worker lives, and its working directory is the app's root only while it is imported.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.errors import AppError
from lab.worker import (
    EpisodeCall,
    EpisodeResult,
    FunctionInfo,
    HttpRequest,
    HttpResponse,
    InvocationFailed,
    SessionLost,
    WorkerGone,
    wire,
)
from lab.worker.inside import app as inside
from lab.worker.inside import loading
from lab.worker.inside.failures import FunctionRaised, LoadFailed, NoSession


class LocalWorker:
    """Runs the functions of an app in this process.

    With `inline` sync functions run on the caller's thread, so that a virtual clock stays in control; otherwise in
    threads, as on the platform.
    """

    def __init__(self, root: Path, environment: Mapping[str, str] | None = None, inline: bool = True) -> None:
        """Loads the app at once. AppError: it cannot be loaded."""
        self._root = root.resolve()
        self._threads = None if inline else ThreadPoolExecutor(thread_name_prefix="function")
        self._restored = _set_environment(environment or {})
        self._closed = False
        try:
            with _at(self._root):
                self._app = inside.load(self._root, self._threads)
        except LoadFailed as error:
            raise AppError(error.text, error.details) from error
        self._functions = [wire.function_from(fields) for fields in self._app.describe()]

    @property
    def functions(self) -> list[FunctionInfo]:
        return self._functions

    async def http(self, function: str, request: HttpRequest, client_binding: str | None) -> HttpResponse:
        return wire.response_from(await self._call("http", function, wire.request_to(request), client_binding))

    async def activity(self, function: str, input: str | None, instance_id: str, client_binding: str | None) -> str:
        return str(await self._call("activity", function, input, client_binding))

    async def entity(self, function: str, batch: str) -> str:
        return str(await self._call("entity", function, batch, None))

    async def trigger(self, function: str, data: dict[str, Any], client_binding: str | None) -> dict[str, Any]:
        return dict(await self._call("trigger", function, data, client_binding))

    async def episode(self, call: EpisodeCall) -> EpisodeResult:
        self._must_live()
        try:
            return wire.result_from(self._app.episode(wire.call_to(call)))
        except NoSession as error:
            raise SessionLost(call.instance_id) from error
        except FunctionRaised as error:
            raise InvocationFailed(error.text, error.stack) from error

    def forget(self, instance_id: str) -> None:
        self._app.forget(instance_id)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._restored()
        await _close_sdk_session()

    async def _call(self, kind: str, function: str, value: Any, client: str | None) -> Any:
        self._must_live()
        try:
            return await self._app.call(kind, function, value, client)
        except FunctionRaised as error:
            raise InvocationFailed(error.text, error.stack) from error

    def _must_live(self) -> None:
        if self._closed:
            raise WorkerGone("the worker is closed")


@contextmanager
def _at(root: Path) -> Iterator[None]:
    """The app's root as working directory and first on the path, and no other app's modules imported."""
    directory, path = os.getcwd(), list(sys.path)
    for name in _apps_modules:
        sys.modules.pop(name, None)
    _apps_modules.clear()
    sys.modules.pop(Path(loading.script_name()).stem, None)
    before = set(sys.modules)
    os.chdir(root)
    loading.prepare_path(root)
    try:
        yield
    finally:
        os.chdir(directory)
        sys.path[:] = [str(root), *[entry for entry in path if entry != str(root)]]
        if root != _HOST:  # what an app in the repository's root imports may be the host's and the tests' too
            _apps_modules.update(name for name in set(sys.modules) - before if _is_below(sys.modules[name], root))


def _is_below(module: Any, root: Path) -> bool:
    locations = [getattr(module, "__file__", None), *getattr(module, "__path__", [])]
    return any(location and Path(location).is_relative_to(root) for location in locations)


_apps_modules: set[str] = set()  # by the name they were imported under
_HOST = Path(__file__).resolve().parents[2]


def _set_environment(values: Mapping[str, str]) -> Any:
    """Sets what the environment lacks; returns what undoes it."""
    added = [name for name in values if name not in os.environ]
    os.environ.update({name: values[name] for name in added})

    def undo() -> None:
        for name in added:
            os.environ.pop(name, None)

    return undo


async def _close_sdk_session() -> None:
    """Closes the SDK's one HTTP session, which belongs to the loop that ran the functions."""
    utilities = sys.modules.get("azure.durable_functions.models.utils.http_utils")
    session = getattr(utilities, "_client_session", None)
    if session is not None and not session.closed:
        await session.close()
        await asyncio.sleep(0)
    if utilities is not None:
        utilities._client_session = None  # type: ignore[attr-defined]
        utilities._session_lock = asyncio.Lock()  # type: ignore[attr-defined]
