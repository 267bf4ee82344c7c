"""The runner notices every answer that differs: it plays against a small server that answers as each test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.conformance import runner
from tests.conformance.runner import Outcome, Scenario, Step


class Server:
    """Gives the answers that it was told, the last one again and again, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answers: list[tuple[int, Any]] = [(200, {})]
        self.headers: dict[str, str] = {}
        self.base = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((f"{request.method} {request.raw_path}", await request.text()))
        status, value = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.json_response(value, status=status, headers=self.headers)

    async def play(self, *steps: Step, **more: Any) -> Outcome:
        (outcome,) = await runner.play_all(self.base, [Scenario("topic", "name", steps, **more)])
        return outcome


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    told, app = Server(), web.Application()
    app.router.add_route("*", "/{path:.*}", told.handle)
    async with TestServer(app) as listening:
        told.base = str(listening.make_url("")).rstrip("/")
        yield told


ASK = {"request": "GET /x"}


@pytest.mark.parametrize(
    "expected",
    [
        {"status": 201, "json": {"a": 1}},
        {"status": 200, "json": {"a": 2}},
        {"status": 200},
        {"status": 200, "text": ""},
    ],
)
async def test_another_status_or_body_differs(server: Server, expected: dict[str, Any]) -> None:
    server.answers = [(200, {"a": 1})]
    outcome = await server.play({**ASK, "expect": expected})
    assert outcome.differing() == {1: {"status": 200, "json": {"a": 1}}}
    assert "step 1: GET /x" in outcome.differences()


async def test_the_recorded_answer_does_not_differ_whatever_its_keys_order(server: Server) -> None:
    server.answers = [(200, {"a": 1, "b": 2})]
    assert not (await server.play({**ASK, "expect": {"json": {"b": 2, "a": 1}, "status": 200}})).differences()


async def test_headers_that_matter_are_compared(server: Server) -> None:
    server.headers = {"Location": f"{server.base}/y", "Retry-After": "5", "X-Other": "1"}
    expected = {"status": 200, "headers": {"location": "{base}/y", "retry-after": "5"}, "json": {}}
    assert not (await server.play({**ASK, "expect": expected})).differences()


async def test_the_content_type_is_compared_for_the_management_api(server: Server) -> None:
    outcome = await server.play({"request": "GET {hook}/instances", "expect": {"status": 200, "json": {}}})
    assert outcome.seen[0]["headers"] == {"content-type": "application/json; charset=utf-8"}


async def test_a_step_is_asked_until_the_awaited_value_comes(server: Server) -> None:
    server.answers = [(202, {"runtimeStatus": "Running"}), (200, {"runtimeStatus": "Completed"})]
    outcome = await server.play({"wait": "{run}", "skip": ["json", "headers"], "expect": {"status": 200}})
    assert not outcome.differences()
    assert len(server.asked) == 2


async def test_a_value_that_never_comes_differs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "UNTIL_SECONDS", 0.05)
    outcome = await server.play({**ASK, "until": {"body.a": 1}, "expect": {"status": 200, "json": {}}})
    assert "did not come" in outcome.seen[0]["error"]


async def test_placeholders_and_saved_parts_are_filled_in(server: Server) -> None:
    server.answers = [(200, {"id": "i-7"})]
    await server.play(
        {**ASK, "save": {"saved_id": "body.id"}},
        {"request": "POST /{saved_id}?at={now-60}", "json": {"to": "{base}", "kept": "{other}"}},
    )
    asked, body = server.asked[1]
    assert asked.startswith("POST /i-7?at=20")
    assert body == f'{{"to":"{server.base}","kept":"{{other}}"}}'


async def test_a_part_that_was_not_saved_differs(server: Server) -> None:
    outcome = await server.play({"request": "GET /{saved_id}", "expect": {"status": 200}})
    assert "saved_id" in outcome.seen[0]["error"]


async def test_a_repeated_step_counts_and_must_be_answered_alike(server: Server) -> None:
    step = {"request": "GET /{n}", "repeat": 3, "expect": {"status": 200, "json": {}}}
    assert not (await server.play(step)).differences()
    assert [asked for asked, _ in server.asked] == ["GET /0", "GET /1", "GET /2"]
    server.answers = [(200, {}), (500, {}), (500, {})] * 2
    assert "[200, 500]" in (await server.play(step)).seen[0]["error"]


async def test_only_the_items_of_the_scenario_are_compared(server: Server) -> None:
    server.answers = [(200, ["another's"])]
    assert (await server.play({**ASK, "mine": True, "expect": {}})).seen[0]["json"] == []


async def test_a_scenario_that_came_too_late_is_played_again(server: Server) -> None:
    server.answers = [(404, {}), (200, {})]
    outcome = await server.play({**ASK, "expect": {"status": 200, "json": {}}})
    assert not outcome.differences()
    assert "404" in outcome.earlier


async def test_scenarios_that_need_the_hub_alone_come_last_and_once(server: Server) -> None:
    steps = [{"request": "GET /{n}", "expect": {}}]
    alone = Scenario("topic", "alone", [{"request": "GET /alone", "expect": {}}], alone=True)
    await runner.play_all(server.base, [alone, Scenario("topic", "beside others", steps)])
    assert [asked for asked, _ in server.asked] == ["GET /{n}", "GET /{n}", "GET /alone"]


async def test_a_host_that_is_not_there_differs() -> None:
    (outcome,) = await runner.play_all("http://127.0.0.1:9", [Scenario("topic", "name", [{**ASK, "expect": {}}])])
    assert "error" in outcome.seen[0]
