"""One port serves the app's HTTP functions and the management API; waiting requests do not block it."""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from lab.errors import PortTaken
from lab.function_index import FunctionIndex
from lab.host_json import DurableSettings
from lab.keys import Keys
from lab.server import Server
from lab.settings import Settings
from lab.worker import FunctionInfo, FunctionTimedOut, HttpRequest, HttpResponse, WorkerGone
from lab.worker.local import LocalWorker
from tests.lab.fake_client import FakeClient

APPS = Path(__file__).parents[1] / "function_apps"
HOOK = "/runtime/webhooks/durabletask"
SETTINGS = Settings(app=APPS / "http", port=0, storage=":memory:", durable=DurableSettings(hub="Hub"))
ACTIVITY = FunctionInfo("work", "activityTrigger", [{"type": "activityTrigger"}], "work")  # what needs a task hub
KEYS = Keys("master", "function", "system")

pytestmark = [
    pytest.mark.filterwarnings("ignore:azure.functions"),
    pytest.mark.filterwarnings("ignore:enable_cleanup_closed"),  # the SDK's own session
]


class Caller:
    """Sends requests to a server's port."""

    def __init__(self, server: Server, session: aiohttp.ClientSession, client: FakeClient) -> None:
        self.server = server
        self.client = client
        self.base = f"http://127.0.0.1:{server.port}"
        self._session = session

    async def __call__(
        self, line: str, body: bytes | io.BytesIO | None = None, **headers: str
    ) -> tuple[int, aiohttp.typedefs.CIMultiDictProxy[str], bytes]:
        method, target = line.split(" ", 1)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        url = aiohttp.client.URL(self.base + target, encoded=True)
        async with self._session.request(method, url, data=body, headers=sent, allow_redirects=False) as answer:
            return answer.status, answer.headers, await answer.read()


@pytest.fixture(scope="module")
def worker() -> LocalWorker:
    return LocalWorker(APPS / "http", inline=False)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def serve(
    worker: LocalWorker, session: aiohttp.ClientSession, settings: Settings = SETTINGS, keys: Keys | None = None
) -> AsyncIterator[Caller]:
    client = FakeClient()
    server = Server(settings, worker, FunctionIndex([*worker.functions, ACTIVITY]), client, keys=keys)
    await server.start()
    yield Caller(server, session, client)
    await server.stop()


@pytest.fixture
async def call(worker: LocalWorker, session: aiohttp.ClientSession) -> AsyncIterator[Caller]:
    async for caller in serve(worker, session):
        yield caller


@pytest.fixture
async def call_with_keys(worker: LocalWorker, session: aiohttp.ClientSession) -> AsyncIterator[Caller]:
    async for caller in serve(worker, session, keys=KEYS):
        yield caller


async def test_a_request_reaches_its_function_and_the_answer_comes_back(call: Caller) -> None:
    status, headers, body = await call("POST /API/Echo/A%20b?q=1&q=2&empty=&p=x+y", b"\x00\xff", X_mixed_CASE="v")
    assert (status, headers["Content-Type"], headers["X-Seen"]) == (200, "application/json", "yes")
    assert json.loads(body) == {
        "method": "POST", "url": f"{call.base}/API/Echo/A%20b?q=1&q=2&empty=&p=x+y", "query": {"q": "1,2", "p": "x y"},
        "route": {"name": "A b"}, "header": "v", "body": "\x00\xff",
    }  # fmt: skip


async def test_an_optional_route_value_is_missing_when_it_is_not_given(call: Caller) -> None:
    assert json.loads((await call("GET /api/echo"))[2])["route"] == {}


async def test_large_bodies_pass(call: Caller) -> None:
    body = bytes(range(256)) * 16_000  # 4 MB, above what servers take by default
    assert (await call("POST /api/bytes", io.BytesIO(body)))[2] == body[::-1]


async def test_cookies_are_headers_of_their_own(call: Caller) -> None:
    status, headers, _ = await call("GET /api/cookies")
    assert (status, headers.getall("Set-Cookie")) == (201, ["a=1; Path=/", "b=2; HttpOnly"])


@pytest.mark.parametrize("line", ["PUT /api/echo", "GET /api/bytes", "GET /api/nothing", "GET /echo", "GET /api"])
async def test_what_no_function_takes_is_404_and_empty(call: Caller, line: str) -> None:
    status, headers, body = await call(line)
    assert (status, body, "Content-Type" in headers) == (404, b"", False)


@pytest.mark.parametrize("path", ["none", "dict", "raises", "exits"])
async def test_a_function_that_fails_is_a_bare_500(call: Caller, path: str) -> None:
    status, headers, body = await call(f"GET /api/{path}")
    assert (status, body, "Content-Type" in headers) == (500, b"", False)


async def test_literal_and_constrained_routes_come_before_parameters(call: Caller) -> None:
    answers = [(await call(f"GET /api/items/{path}"))[::2] for path in ("new", "7", "seven")]
    assert answers == [(200, b"new item"), (200, b"item 7"), (404, b"")]
    assert (await call("DELETE /api/items/7"))[2] == b"delete_item 36"


async def test_without_a_route_the_name_is_the_route(call: Caller) -> None:
    assert (await call("OPTIONS /api/left_by_name"))[2] == b"optional"


async def test_a_waiting_function_does_not_hold_up_others(call: Caller) -> None:
    slow = asyncio.create_task(call("GET /api/slow/400"))
    await asyncio.sleep(0)
    assert (await call("GET /api/text"))[0] == 200
    assert not slow.done()
    assert (await slow)[2].startswith(b"function")


async def test_the_management_api_is_served_at_the_hook_and_at_the_rpc_address(call: Caller) -> None:
    call.client.put("i", "Running")
    status, headers, _ = await call(f"GET {HOOK}/instances/i")
    assert (status, headers["Location"]) == (202, f"{call.base}{HOOK}/instances/i")
    assert (await call(f"GET {HOOK.upper()}/instances/i"))[0] == 202
    assert (await call("GET /durabletask/instances/i"))[0] == 202
    assert (await call("PATCH /durabletask/instances/i"))[0] == 404


async def test_an_app_without_durable_functions_has_no_management_api(
    worker: LocalWorker, session: aiohttp.ClientSession
) -> None:
    server = Server(SETTINGS, worker, FunctionIndex(worker.functions), FakeClient())
    await server.start()
    try:
        assert (await Caller(server, session, FakeClient())(f"GET {HOOK}/instances"))[0] == 404
    finally:
        await server.stop()


async def test_links_name_the_host_the_caller_used(call: Caller) -> None:
    worker = LocalWorker(APPS / "corpus")
    server = Server(SETTINGS, worker, FunctionIndex(worker.functions), call.client)
    await server.start()
    other = Caller(server, call._session, call.client)
    answer = json.loads((await other(f"POST {HOOK}/orchestrators/chain/i", Host="public.example"))[2])
    own = json.loads((await other("POST /durabletask/orchestrators/chain/j"))[2])
    await server.stop()
    assert answer["statusQueryGetUri"] == f"http://public.example{HOOK}/instances/i?taskHub=Hub&connection=Storage"
    assert own["statusQueryGetUri"].startswith(f"http://localhost:{server.port}{HOOK}/")


async def test_without_keys_nobody_is_asked(call: Caller) -> None:
    assert (await call("DELETE /api/items/7"))[0] == 200


@pytest.mark.parametrize(
    ("line", "key", "status"),
    [
        ("GET /api/text", "", 200), ("GET /api/echo", "", 401), ("GET /api/echo", "wrong", 401),
        ("GET /api/echo", "function", 200), ("GET /api/echo", "master", 200), ("DELETE /api/items/7", "function", 401),
        ("DELETE /api/items/7", "master", 200), (f"GET {HOOK}/instances", "", 401),
        (f"GET {HOOK}/instances", "function", 401), (f"GET {HOOK}/instances", "system", 200),
        ("GET /durabletask/instances", "", 200), ("GET /api/echo?code=function", "", 200),
    ],
)  # fmt: skip
async def test_with_keys_each_level_is_asked_for_its_own(
    call_with_keys: Caller, line: str, key: str, status: int
) -> None:
    answer = await call_with_keys(line, **({"x_functions_key": key} if key else {}))
    assert answer[0] == status
    if status == 401:
        assert answer[2] == b""


async def test_with_keys_the_links_carry_the_system_key(call_with_keys: Caller) -> None:
    function = FunctionIndex(LocalWorker(APPS / "http").functions).http[0]
    with_client = replace(function, bindings=[*function.bindings, {"name": "client", "type": "durableClient"}])
    binding = json.loads(call_with_keys.server.client_binding(with_client) or "")
    assert binding["managementUrls"]["statusQueryGetUri"].endswith("&code=system")
    assert binding["rpcBaseUrl"] == f"{call_with_keys.base}/durabletask/"
    assert call_with_keys.server.client_binding(function) is None


async def test_a_prefix_of_its_own_or_none(worker: LocalWorker, session: aiohttp.ClientSession) -> None:
    for prefix, path in (("", "/echo"), ("v1/x", "/v1/x/echo")):
        async for call in serve(worker, session, replace(SETTINGS, route_prefix=prefix)):
            assert (await call(f"GET {path}"))[0] == 200
            assert (await call("GET /api/echo"))[0] == 404


async def test_the_root_says_that_the_app_runs(call: Caller) -> None:
    assert b"up and running" in (await call("GET /"))[2]
    assert (await call("HEAD /"))[0] == 200


async def test_a_port_that_is_taken_is_told(worker: LocalWorker) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Server(replace(SETTINGS, port=port), worker, FunctionIndex(worker.functions), FakeClient())
        with pytest.raises(PortTaken, match=f"Port {port} is taken. .* --port"):
            await server.start()


async def test_a_request_in_progress_is_answered_before_the_server_stops(
    worker: LocalWorker, session: aiohttp.ClientSession
) -> None:
    async for call in serve(worker, session):
        slow = asyncio.create_task(call("GET /api/slow/300"))
        await asyncio.sleep(0.05)
    assert (await slow)[0] == 200


class OddWorker(LocalWorker):
    """Answers what no function should."""

    answer: HttpResponse | Exception = HttpResponse(200, [], b"")

    async def http(self, function: str, request: HttpRequest, client_binding: str | None) -> HttpResponse:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (HttpResponse(200, [("X", "a\r\nSet-Cookie: b")], b""), 500),
        (HttpResponse(200, [("bad name", "a")], b""), 500), (HttpResponse(7, [], b""), 500),
        (HttpResponse(200, [("Content-Length", "999")], b"ab"), 200),
        (HttpResponse(204, [], b"ignored"), 204), (WorkerGone("died"), 503), (ValueError("ours"), 500),
        (FunctionTimedOut("text", timedelta(minutes=10)), 500),
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_sent_harms_nobody(
    session: aiohttp.ClientSession, answer: HttpResponse | Exception, status: int
) -> None:
    worker = OddWorker(APPS / "http")
    worker.answer = answer
    async for call in serve(worker, session):
        assert (await call("GET /api/text"))[0] == status


@pytest.mark.parametrize("version", [b"", b" HTTP/2.0", b" HTTP/1.9", b" HTTP/0.9"])
async def test_other_versions_of_http_are_refused_in_1_1(call: Caller, version: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", call.server.port)
    writer.write(b"GET /api/text" + version + b"\r\nHost: h\r\n\r\n")
    answer = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    assert re.match(rb"HTTP/1\.[01] 400 ", answer)


@pytest.mark.parametrize(
    "raw",
    [
        b"GET http://elsewhere/api/text HTTP/1.1\r\nHost: h\r\n\r\n", b"GET //api/text HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /%00%ff%zz?%=&= HTTP/1.1\r\nHost: h\r\n\r\n", b"GET /api/text HTTP/1.0\r\n\r\n", b"NONSENSE\r\n\r\n",
        b"GET /api/echo HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
    ],
)  # fmt: skip
async def test_odd_request_lines_get_an_answer(call: Caller, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", call.server.port)
    writer.write(raw)
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    assert line.split()[1] in (b"200", b"400", b"404")
