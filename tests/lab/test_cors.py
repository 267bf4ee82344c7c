"""Origins named in the settings are told to browsers, on every route; without any, OPTIONS reaches the functions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from multidict import CIMultiDict

from lab import settings
from lab.cors import Cors
from lab.errors import SettingsError
from lab.settings import Flags, Settings
from lab.worker.local import LocalWorker
from tests.lab.test_server import APPS, HOOK, SETTINGS, serve

PAGE = "http://localhost:3000"
OTHER = "https://elsewhere.example"
pytestmark = pytest.mark.filterwarnings("ignore:azure.functions")


def asked(origin: str = PAGE, **more: str) -> CIMultiDict[str]:
    return CIMultiDict({"Origin": origin, **{name.replace("_", "-"): text for name, text in more.items()}})


def load(folder: Path, host: dict[str, object] | None, **flags: object) -> Settings:
    if host is not None:
        (folder / "local.settings.json").write_text(json.dumps({"Host": host}))
    return settings.load(Flags(app=folder, **flags), {})  # type: ignore[arg-type]


def test_one_origin_is_named_and_a_few_vary() -> None:
    assert Cors((PAGE,)).headers("GET", asked()) == [("Access-Control-Allow-Origin", PAGE)]
    assert Cors((PAGE, OTHER)).headers("GET", asked(OTHER)) == [
        ("Access-Control-Allow-Origin", OTHER), ("Vary", "Origin"),
    ]  # fmt: skip


def test_every_origin_is_a_star() -> None:
    assert Cors(("*",)).headers("GET", asked(OTHER)) == [("Access-Control-Allow-Origin", "*")]


def test_credentials_are_allowed_when_the_settings_say_so() -> None:
    assert ("Access-Control-Allow-Credentials", "true") in Cors((PAGE,), True).headers("GET", asked())


@pytest.mark.parametrize("origin", [OTHER, PAGE + "/", "http://LOCALHOST:3000", "null", ""])
def test_other_origins_are_told_nothing(origin: str) -> None:
    assert Cors((PAGE,)).headers("GET", asked(origin)) == []


def test_a_request_without_origin_is_told_nothing() -> None:
    assert Cors((PAGE,)).headers("GET", CIMultiDict()) == []


def test_a_preflight_is_told_the_method_and_headers_it_asks_for() -> None:
    question = asked(Access_Control_Request_Method="PUT", Access_Control_Request_Headers="content-type, x-own")
    assert Cors((PAGE,)).is_preflight("OPTIONS", question)
    assert Cors((PAGE,)).headers("OPTIONS", question)[1:] == [
        ("Access-Control-Allow-Headers", "content-type,x-own"), ("Access-Control-Allow-Methods", "PUT"),
    ]  # fmt: skip


def test_only_options_with_origin_and_method_is_a_preflight() -> None:
    cors = Cors((PAGE,))
    assert not cors.is_preflight("OPTIONS", asked())
    assert not cors.is_preflight("GET", asked(Access_Control_Request_Method="GET"))
    assert not cors.is_preflight("OPTIONS", CIMultiDict({"Access-Control-Request-Method": "GET"}))
    assert not Cors().is_preflight("OPTIONS", asked(Access_Control_Request_Method="GET"))


def test_origins_come_from_local_settings_or_the_flag(tmp_path: Path) -> None:
    assert load(tmp_path, None).cors == Cors()
    host = {"CORS": f"{PAGE}, HTTPS://Elsewhere.Example", "CORSCredentials": True}
    assert load(tmp_path, host).cors == Cors((PAGE, OTHER), True)
    assert load(tmp_path, {"cors": PAGE}, cors=OTHER, cors_credentials=True).cors == Cors((OTHER,), True)
    assert load(tmp_path, {"CORS": ""}).cors == Cors()


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ({"CORS": ["*"]}, "Host.CORS is"), ({"CORS": "*", "CORSCredentials": True}, "cannot go with credentials"),
        ({"CORS": "*", "CORSCredentials": "maybe"}, "true or false is expected"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_told(tmp_path: Path, host: dict[str, object], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        load(tmp_path, host)


def test_a_slash_at_an_origins_end_is_noted(tmp_path: Path) -> None:
    assert "allows nobody" in load(tmp_path, {"CORS": PAGE + "/"}).notes[0]


@pytest.fixture
async def worker() -> LocalWorker:
    return LocalWorker(APPS / "http", inline=False)


async def test_the_port_answers_preflights_and_marks_answers_on_every_route(worker: LocalWorker) -> None:
    async with aiohttp.ClientSession() as session:
        async for call in serve(worker, session, replace(SETTINGS, cors=Cors((PAGE,)))):
            preflight = {"Origin": PAGE, "Access_Control_Request_Method": "POST"}
            for path in ("/api/text", "/api/nothing/here", f"{HOOK}/instances"):
                status, headers, body = await call(f"OPTIONS {path}", **preflight)
                assert (status, headers["Access-Control-Allow-Origin"], body) == (204, PAGE, b"")
            status, headers, _ = await call("OPTIONS /api/text", **{**preflight, "Origin": OTHER})
            assert status == 204 and "Access-Control-Allow-Origin" not in headers
            for path, expected in (("/api/text", 200), ("/api/nothing/here", 404), (f"{HOOK}/instances", 200)):
                status, headers, _ = await call(f"GET {path}", Origin=PAGE)
                assert (status, headers["Access-Control-Allow-Origin"]) == (expected, PAGE)
            assert "Access-Control-Allow-Origin" not in (await call("GET /api/text"))[1]


async def test_without_origins_nothing_is_said(worker: LocalWorker) -> None:
    async with aiohttp.ClientSession() as session:
        async for call in serve(worker, session):
            status, headers, _ = await call("OPTIONS /api/text", Origin=PAGE, Access_Control_Request_Method="GET")
            assert status != 204 and "Access-Control-Allow-Origin" not in headers
