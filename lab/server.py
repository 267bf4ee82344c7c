"""The port: turns sockets into requests, hands them to the gateway or the management API, stops gracefully."""

from __future__ import annotations

import asyncio
import errno
import logging
from dataclasses import replace
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, web
from multidict import CIMultiDict

from lab.client_binding import HOOK, LinkMaker
from lab.errors import PortTaken
from lab.function_index import FunctionIndex, client_input
from lab.gateway import UNAUTHORIZED, Gateway
from lab.incoming import Incoming
from lab.keys import Keys
from lab.management_api import ManagementApi, Sleep
from lab.settings import Settings
from lab.worker import FunctionInfo, HttpResponse, Worker
from taskhub.client import TaskHubClient
from taskhub.clock import Clock

RPC = "/durabletask"  # the SDK's way in: the same API, without keys, from this machine only
MAX_BODY = 210 * 1024 * 1024  # the Functions host's limit
LOOPBACK = ("127.0.0.1", "::1")
VERSIONS = (HttpVersion10, HttpVersion11)
GRACE_SECONDS = 5.0
HOME = b"<!DOCTYPE html><title>Functions</title><p>Your function app is up and running, on this machine.</p>"

log = logging.getLogger("lab.server")
# What is no HTTP is answered with 400, and a caller may hang up at any time: neither is a fault that a person must see.
client_faults = logging.getLogger("lab.server.clients")
client_faults.setLevel(logging.CRITICAL)


class Server:
    """Serves the HTTP functions of an app and the management API of its hub on one port."""

    def __init__(
        self,
        settings: Settings,
        worker: Worker,
        index: FunctionIndex,
        client: TaskHubClient,
        clock: Clock | None = None,
        keys: Keys | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`keys` are asked for when given; port 0 lets the system choose one (see `port` after the start)."""
        self._settings = settings
        self._worker = worker
        self._index = index
        self._client = client
        self._clock = clock
        self._keys = keys
        self._sleep = sleep
        self._runner: web.ServerRunner | None = None
        self.port = settings.port
        self._compose()

    @property
    def origin(self) -> str:
        """Scheme, host and port for callers on this machine."""
        return f"http://localhost:{self.port}"

    def client_binding(self, function: FunctionInfo) -> str | None:
        """What the durable client of a function is made of; None when it has none."""
        binding = client_input(function)
        if binding is None:
            return None
        hub, connection = str(binding.get("taskHub") or ""), str(binding.get("connectionName") or "")
        return self._links.binding(f"http://127.0.0.1:{self.port}{RPC}/", hub, connection)

    async def start(self) -> None:
        """Listens. PortTaken."""
        server = web.Server(
            self._handle, request_factory=_request_of_any_size, access_log=None, logger=client_faults,
            auto_decompress=False,  # bodies reach the functions as they were sent, as on Azure
        )  # fmt: skip
        runner = web.ServerRunner(server, shutdown_timeout=GRACE_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
        except OSError as error:
            await runner.cleanup()
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise PortTaken(self.port) from error
            raise
        self._runner = runner
        self.port = self.port or runner.addresses[0][1]
        self._compose()
        try:  # browsers may take localhost for ::1
            await web.TCPSite(runner, "::1", self.port).start()
        except OSError:
            pass

    async def stop(self) -> None:
        """Takes no more requests, and gives those in progress a few seconds."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _compose(self) -> None:
        durable = self._settings.durable
        system_key = self._keys.system if self._keys else ""
        self._links = LinkMaker(self.origin, durable.hub, durable.connection, system_key)
        prefix = self._settings.route_prefix
        self._gateway = Gateway(self._worker, self._index, self.client_binding, prefix, self._keys)
        self._api = ManagementApi(
            self._client, self._index, self._links, self._knows_connection, self._clock, self._sleep
        )

    def _knows_connection(self, name: str) -> bool:
        known = {"storage", "azurewebjobsstorage", self._settings.durable.connection.lower()}
        settings = {setting.lower().removesuffix("__accountname") for setting in self._settings.environment}
        return name.lower() in known or name.lower() in settings or f"azurewebjobs{name.lower()}" in settings

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if isinstance(request, _OtherVersion):
            return web.Response(status=400)
        cors = self._settings.cors
        if cors.is_preflight(request.method, request.headers):
            return _as_web(HttpResponse(204, cors.headers(request.method, request.headers), b""))
        answer = await self._handled(request)
        if cors.origins:
            for name, text in cors.headers(request.method, request.headers):
                if name == "Vary":
                    answer.headers.add(name, text)
                else:
                    answer.headers[name] = text  # the host's word counts, whatever the function said
        return answer

    async def _handled(self, request: web.BaseRequest) -> web.Response:
        try:
            body = await request.read()
        except web.RequestPayloadError:
            return web.Response(status=400)
        incoming = Incoming(
            method=request.method,
            scheme=request.scheme,
            host=request.headers.get("Host", f"localhost:{self.port}"),
            target=_target(request.raw_path),
            headers=list(request.headers.items()),
            body=body,
        )
        try:
            answer = await self._answer(incoming, _is_local(request))
        except Exception:
            log.exception("A request could not be answered: %s %s", incoming.method, incoming.raw_path)
            answer = HttpResponse(500, [], b"")
        return _as_web(answer)

    async def _answer(self, request: Incoming, is_local: bool) -> HttpResponse:
        path = request.path.lower()
        if _is_below(path, HOOK) and self._index.uses_durable:  # else the extension is not even loaded
            if self._keys is not None and not self._keys.allow_hook(request):
                return UNAUTHORIZED
            return await self._api.answer(request, HOOK, replace(self._links, origin=request.origin))
        if _is_below(path, RPC) and is_local:
            return await self._api.answer(request, RPC, self._links)
        if path == "/" and request.method in ("GET", "HEAD") and self._settings.route_prefix:
            return HttpResponse(200, [("Content-Type", "text/html; charset=utf-8")], HOME)
        return await self._gateway.answer(request)


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _target(raw: str) -> str:
    """Path and query of the request line, also when it names the whole URL as proxies do."""
    if raw.startswith("/"):
        return raw
    _, mark, rest = raw.partition("://")
    return "/" + rest.partition("/")[2] if mark else "/" + raw


def _is_local(request: web.BaseRequest) -> bool:
    return request.remote is None or request.remote in LOOPBACK


def _as_web(answer: HttpResponse) -> web.Response:
    headers = CIMultiDict(answer.headers)
    return web.Response(status=answer.status, headers=headers, body=answer.body or None)


def _request_of_any_size(
    message: Any, payload: Any, protocol: Any, writer: Any, task: asyncio.Task[None]
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    kind = web.BaseRequest
    if message.version not in VERSIONS:  # the answer speaks 1.1, as Kestrel's
        kind, message = _OtherVersion, message._replace(version=HttpVersion11, should_close=True)
    return kind(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)


class _OtherVersion(web.BaseRequest):
    """A request of an HTTP version that is not served."""
