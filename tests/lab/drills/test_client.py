"""Clients keep the URLs that they were given and change nothing in them but the host."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from lab.drills.client import Clients
from lab.drills.mix import Call
from lab.drills.region import free_port

WEST = "http://west.example:7071/runtime/webhooks/durabletask/instances/A"
LINKS = {
    "id": "A",
    "statusQueryGetUri": f"{WEST}?code=k",
    "sendEventPostUri": f"{WEST}/raiseEvent/{{eventName}}?code=k",
}


class North:
    """A host that answers every start with West Europe's links and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.origin = f"http://localhost:{free_port()}"

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path_qs, await request.json() if request.can_read_body else None))
        return web.json_response(LINKS, status=202)


@pytest.fixture
async def north() -> AsyncIterator[North]:
    north = North()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", north.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "localhost", int(north.origin.rsplit(":", 1)[1])).start()
    yield north
    await runner.cleanup()


@pytest.fixture
async def clients(north: North) -> AsyncIterator[Clients]:
    clients = Clients()
    clients.origin = north.origin
    yield clients
    await clients.close()


async def test_a_start_keeps_the_links_of_its_answer(clients: Clients, north: North) -> None:
    assert (await clients.start("A", {"n": 1})).is_accepted
    assert clients.kept == {"A": LINKS}
    assert north.asked == [("POST", "/api/orchestrators/external_event?id=A", {"n": 1})]


async def test_a_kept_url_is_asked_on_the_host_of_now(clients: Clients, north: North) -> None:
    clients.kept["A"] = LINKS
    await clients.raise_event("A", {"n": 2}, "kept URL")
    await clients.status("A")
    hook = "/runtime/webhooks/durabletask/instances/A"
    assert north.asked == [("POST", f"{hook}/raiseEvent/event?code=k", {"n": 2}), ("GET", f"{hook}?code=k", None)]


async def test_the_apps_own_endpoint_needs_no_kept_url(clients: Clients, north: North) -> None:
    await clients.raise_event("A", 3, "SendExternalEvent")
    assert north.asked == [("POST", "/api/SendExternalEvent", {"instanceId": "A", "eventName": "event", "data": 3})]


async def test_a_host_that_is_gone_answers_nothing_and_accepts_nothing(clients: Clients) -> None:
    clients.origin = f"http://localhost:{free_port()}"
    answer = await clients.start("A", None)
    assert answer.status == 0 and not answer.is_accepted
    assert await clients.is_healthy() is False


async def test_a_start_of_any_workflow_keeps_its_links_and_later_requests_go_to_the_app(
    clients: Clients, north: North
) -> None:
    assert (await clients.begin("B", Call("start", "/api/orders?id=B", '{"lines": []}'))).is_accepted
    await clients.send(Call("event", "/api/monitors/B/stop"))
    assert clients.kept["B"] == LINKS
    assert north.asked == [("POST", "/api/orders?id=B", {"lines": []}), ("POST", "/api/monitors/B/stop", None)]
