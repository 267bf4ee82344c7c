"""HTTP calls of orchestrators, against a real server on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from lab.http_calls import HttpCallFailed, read_call, run_http_call


class Target:
    """A server that answers as its paths say and remembers what it was asked."""

    def __init__(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/status/{status}", self._status)
        app.router.add_route("*", "/echo", self._echo)
        app.router.add_get("/repeated", self._repeated)
        app.router.add_get("/bytes", self._bytes)
        app.router.add_get("/moved/{times}", self._moved)
        app.router.add_get("/never", self._never)
        app.router.add_get("/hang-up", self._hang_up)
        app.router.add_get("/half", self._half)
        self.server = TestServer(app)
        self.requests: list[web.Request] = []
        self.content = (b"", "")

    def url(self, path: str) -> str:
        return str(self.server.make_url(path))

    async def _status(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        status = int(request.match_info["status"])
        headers = {"X-Target": "yes", "Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT", "Content-Language": "en"}
        if status == 202:
            headers |= {"Location": str(request.url), "Retry-After": "1"}
        return web.Response(status=status, text="" if status == 204 else f"status {status}", headers=headers)

    async def _echo(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        return web.json_response({"method": request.method, "body": body, "headers": dict(request.headers)})

    async def _repeated(self, request: web.Request) -> web.Response:
        response = web.Response()
        response.headers.add("Set-Cookie", "a=1")
        response.headers.add("X-One", "1")
        response.headers.add("set-cookie", "b=2")
        return response

    async def _bytes(self, request: web.Request) -> web.Response:
        data, content_type = self.content
        return web.Response(body=data, headers={"Content-Type": content_type})

    async def _moved(self, request: web.Request) -> web.Response:
        times = int(request.match_info["times"])
        raise web.HTTPFound(f"/moved/{times - 1}" if times else "/status/200")

    async def _never(self, request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def _hang_up(self, request: web.Request) -> web.Response:
        cast(asyncio.Transport, request.transport).abort()
        return web.Response()

    async def _half(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        cast(asyncio.Transport, request.transport).close()
        return response


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    served = Target()
    await served.server.start_server()
    yield served
    await served.server.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def call(session: aiohttp.ClientSession, uri: Any, **request: Any) -> dict[str, Any]:
    text = await run_http_call(session, json.dumps([{"method": "GET", "uri": uri, **request}]))
    return cast("dict[str, Any]", json.loads(text))


async def echoed(session: aiohttp.ClientSession, target: Target, **request: Any) -> dict[str, Any]:
    answer = await call(session, target.url("/echo"), **{"method": "POST", **request})
    return cast("dict[str, Any]", json.loads(answer["content"]))


async def failure(session: aiohttp.ClientSession, uri: Any, **request: Any) -> str:
    with pytest.raises(HttpCallFailed) as caught:
        await call(session, uri, **request)
    return str(caught.value)


# answers


@pytest.mark.parametrize("status", [200, 201, 204, 400, 404, 500, 503])
async def test_every_status_is_a_result(session: aiohttp.ClientSession, target: Target, status: int) -> None:
    answer = await call(session, target.url(f"/status/{status}"))
    assert list(answer) == ["statusCode", "headers", "content"]
    assert answer["statusCode"] == status and answer["content"] == ("" if status == 204 else f"status {status}")


async def test_a_202_is_not_asked_again(session: aiohttp.ClientSession, target: Target) -> None:
    answer = await call(session, target.url("/status/202"))
    assert answer["statusCode"] == 202 and answer["headers"]["Location"] == target.url("/status/202")
    assert len(target.requests) == 1


async def test_headers_of_the_content_are_not_recorded(session: aiohttp.ClientSession, target: Target) -> None:
    answer = await call(session, target.url("/status/200"))
    assert sorted(answer["headers"]) == ["Date", "Server", "X-Target"] and answer["headers"]["X-Target"] == "yes"


async def test_a_repeated_header_has_a_list_of_values(session: aiohttp.ClientSession, target: Target) -> None:
    headers = (await call(session, target.url("/repeated")))["headers"]
    assert headers["Set-Cookie"] == ["a=1", "b=2"] and headers["X-One"] == "1" and "set-cookie" not in headers


@pytest.mark.parametrize(
    ("data", "content_type", "expected"),
    [
        ("grün".encode(), "text/plain", "grün"),
        ("grün".encode("latin-1"), "text/plain; charset=iso-8859-1", "grün"),
        ("grün".encode(), 'text/plain; charset="UTF-8"', "grün"),
        (b"\xef\xbb\xbfok", "application/json", "ok"),
        (b"a\xff", "application/octet-stream", "a\ufffd"),
        (b"", "text/plain", ""),
    ],
)
async def test_content_is_read_as_text_in_its_character_set(
    session: aiohttp.ClientSession, target: Target, data: bytes, content_type: str, expected: str
) -> None:
    target.content = (data, content_type)
    assert (await call(session, target.url("/bytes")))["content"] == expected


async def test_an_unknown_character_set_fails(session: aiohttp.ClientSession, target: Target) -> None:
    target.content = (b"x", "text/plain; charset=klingon")
    assert "The character set provided in ContentType is invalid" in await failure(session, target.url("/bytes"))


async def test_redirections_are_followed(session: aiohttp.ClientSession, target: Target) -> None:
    assert (await call(session, target.url("/moved/20")))["content"] == "status 200"


async def test_endless_redirections_fail(session: aiohttp.ClientSession, target: Target) -> None:
    assert await failure(session, target.url("/moved/51")) == "There were more than 50 redirections."


# requests


async def test_a_text_goes_as_plain_text_unless_told_otherwise(session: aiohttp.ClientSession, target: Target) -> None:
    seen = await echoed(session, target, content='{"a": "ü"}')
    assert seen["body"] == '{"a": "ü"}' and seen["headers"]["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("application/json", "application/json"),
        ("application/json; charset=utf-8", "application/json; charset=utf-8"),
        ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8"),
    ],
)
async def test_a_content_type_that_is_given_is_sent(
    session: aiohttp.ClientSession, target: Target, given: str, sent: str
) -> None:
    seen = await echoed(session, target, content="x", headers={"content-type": given, "X-A": "b"})
    assert seen["headers"]["Content-Type"] == sent and seen["headers"]["X-A"] == "b"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "POST"])
async def test_without_content_there_is_no_content_type(
    session: aiohttp.ClientSession, target: Target, method: str
) -> None:
    seen = await echoed(session, target, method=method, headers={"Content-Type": "application/json"})
    assert seen["method"] == method and seen["body"] == "" and "Content-Type" not in seen["headers"]


async def test_nothing_is_sent_that_was_not_asked_for(session: aiohttp.ClientSession, target: Target) -> None:
    assert set((await echoed(session, target, method="GET"))["headers"]) == {"Host"}


async def test_an_unknown_method_is_for_the_server_to_refuse(session: aiohttp.ClientSession, target: Target) -> None:
    assert (await call(session, target.url("/status/200"), method="FLY"))["statusCode"] == 400


def test_a_method_that_is_missing_is_get() -> None:
    assert read_call('{"uri": "http://a/"}').method == "GET"


def test_a_header_may_have_several_values_and_numbers() -> None:
    headers = read_call('[{"uri": "http://a/", "headers": {"X-A": ["1", "2"], "X-B": 3, "X-C": null}}]').headers
    assert headers.getall("X-A") == ["1", "2"] and headers["X-B"] == "3" and headers["X-C"] == ""


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"headers": {"Content-Language": "de"}}, "Misused header name, 'Content-Language'."),
        ({"headers": {"Content-Type": "multipart/mixed"}}, "Multipart content is not supported with CallHttpAsync."),
        ({"headers": {"X A": "b"}}, "The header name 'X A' has an invalid format."),
        ({"headers": {"X-A": "b\r\nX-B: c"}}, "The value of header 'X-A' has more than one line."),
        ({"headers": ["X-A"]}, 'The headers of an HTTP call are an object of names and values, not ["X-A"].'),
        ({"method": "BE GONE"}, "The format of the HTTP method is invalid."),
        ({"uri": "/api/target"}, "An invalid request URI was provided. Either the request URI must be an absolute"),
        ({"uri": None}, "An invalid request URI was provided."),
        ({"uri": ""}, "An invalid request URI was provided."),
        ({"uri": 7}, "Invalid URI: "),
        ({"uri": "http://a:99999/"}, "Invalid URI: "),
        ({"uri": "http:///path"}, "Invalid URI: "),
        ({"uri": "ftp://a/b"}, "The 'ftp' scheme is not supported."),
    ],
)
async def test_a_request_that_cannot_be_sent_fails_with_its_reason(
    session: aiohttp.ClientSession, request_: dict[str, Any], reason: str
) -> None:
    request = {"uri": "http://localhost:1/", **request_}
    assert (await failure(session, request.pop("uri"), **request)).startswith(reason)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '["x"]'])
async def test_an_input_that_is_no_request_fails(session: aiohttp.ClientSession, text: str) -> None:
    with pytest.raises(HttpCallFailed, match="The input of BuiltIn::HttpActivity is no"):
        await run_http_call(session, text)


async def test_a_call_that_needs_a_managed_identity_fails_and_sends_nothing(
    session: aiohttp.ClientSession, target: Target
) -> None:
    source = {"resource": "https://management.core.windows.net/", "kind": "AzureManagedIdentity"}
    reason = await failure(session, target.url("/status/200"), tokenSource=source)
    assert "has no managed identity" in reason and target.url("/status/200") in reason and target.requests == []


# no answer


async def test_a_refused_connection_fails_as_on_the_platform(session: aiohttp.ClientSession) -> None:
    port = unused_port()
    assert await failure(session, f"http://127.0.0.1:{port}/x") == f"Connection refused (127.0.0.1:{port})"


async def test_an_unknown_host_fails_with_its_name(session: aiohttp.ClientSession) -> None:
    reason = await failure(session, "http://nobody.invalid/x")
    assert reason == "Name or service not known (nobody.invalid:80)"


async def test_a_server_that_never_answers_fails_after_the_time_limit(
    session: aiohttp.ClientSession, target: Target
) -> None:
    request = json.dumps({"method": "GET", "uri": target.url("/never")})
    with pytest.raises(HttpCallFailed) as caught:
        await run_http_call(session, request, timeout_seconds=0.05)
    text = "The request was canceled due to the configured HttpClient.Timeout of 0.05 seconds elapsing."
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/hang-up", "An error occurred while sending the request. The response ended prematurely."),
        ("/half", "Error while copying content to a stream."),
    ],
)
async def test_a_connection_that_breaks_fails(
    session: aiohttp.ClientSession, target: Target, path: str, reason: str
) -> None:
    assert await failure(session, target.url(path)) == reason


async def test_a_server_that_does_not_speak_tls_fails(session: aiohttp.ClientSession, target: Target) -> None:
    reason = await failure(session, target.url("/status/200").replace("http:", "https:"))
    assert reason.startswith("The SSL connection could not be established, see inner exception.")


async def test_a_server_that_does_not_speak_http_fails(session: aiohttp.ClientSession) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reason = await failure(session, f"http://127.0.0.1:{port}/")
    assert reason.startswith("An error occurred while sending the request.")


async def test_a_call_that_is_cancelled_ends_at_once(session: aiohttp.ClientSession, target: Target) -> None:
    running = asyncio.create_task(call(session, target.url("/never")))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
