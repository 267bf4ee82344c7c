"""Hostile HTTP at a real socket: every request is answered, none with an error of the host's own, and the host lives.

The extension itself answers some requests with 500 (a suspend in the wrong state, a continuation token that is none);
those are documents that name a .NET exception. Any other 500 would be a fault of the host's.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lab import newtonsoft
from lab.drills.region import Region
from tests.journeys.hosts import HOOK, started
from tests.lab.test_robustness import APP, begin, wait_for

EXAMPLES, HEAVY_EXAMPLES = 250, 5_000
PATIENCE = 20.0  # seconds until an answer that has not come counts as a hang
KNOWN_EXCEPTION = re.compile(r"^(System|Newtonsoft|DurableTask\.Core)\.")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    """A host with instances in several states."""
    folder = tmp_path_factory.mktemp("fuzz")
    region = Region("Fuzz", "fuzz", Path(":memory:"), folder, APP)
    started(region)
    try:
        begin(region, "plain", "completed", {"a": 1})
        begin(region, "collect", "failed", "many")
        wait_for(region, "completed", "Completed")
        wait_for(region, "failed", "Failed")
        renew(region)
        yield region
    finally:
        region.kill()


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> int:
    return HEAVY_EXAMPLES if request.config.getoption("--heavy") else EXAMPLES


def renew(host: Region) -> None:
    """A waiting instance under its name, whatever requests did to the one before."""
    exchange(host, request_of("POST", f"{HOOK}/orchestrators/wait/waiting", {}, b"1"))


def exchange(host: Region, sent: bytes, hang_up: bool = False) -> bytes:
    """Sends bytes and returns what came back until the other side closed. A hang is a TimeoutError.

    `hang_up`: sends no more than that, so that what is cut short does not wait for its rest.
    """
    with socket.create_connection(("127.0.0.1", host.port), PATIENCE) as connection:
        try:
            connection.sendall(sent)
            if hang_up:
                connection.shutdown(socket.SHUT_WR)
        except (ConnectionError, BrokenPipeError):
            pass  # refused before it was read to its end
        received = bytearray()
        while True:
            try:
                part = connection.recv(1 << 16)
            except ConnectionError:
                return bytes(received)
            if not part:
                return bytes(received)
            received += part


def request_of(method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
    """A well-formed request, whatever is in its parts."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


def check(sent: bytes, answer: bytes, refusable: bool = False) -> None:
    """The answer is a response, and no 500 but those that the extension gives too."""
    if refusable and not answer:
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    match = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
    assert match, (sent[:500], answer[:500])
    if int(match.group(1)) >= 500:
        assert KNOWN_EXCEPTION.match(_exception_of(body)), (sent[:500], answer[:1500])


def _exception_of(body: bytes) -> str:
    try:
        return str(json.loads(body)["ExceptionType"])
    except (ValueError, KeyError, TypeError):
        return ""


def lives(host: Region) -> None:
    """The host has found no fault with itself, and still works."""
    host.check()
    told = host.log.read_text(errors="replace")
    assert "could not be answered" not in told and "Traceback" not in told, told[-4000:]
    begin(host, "greet", "healthy")
    wait_for(host, "healthy", "Completed")
    exchange(host, request_of("DELETE", f"{HOOK}/instances/healthy", {}, b""))


# requests that are HTTP, and hostile in what they ask for

ODD_TEXTS = [
    "", ".", "..", "%", "%2", "%zz", "%00", "%2f", "%252e", "%ff%fe", "@", "@@", "@a@b", "$", "a/b", "a b", "a+b", "ü",
    "a" * 300, "a" * 4_000, "\u202e", "null", "-1", "0", "1e999", "nan", "NaN", "9" * 30, "true", "'", '"', "\\", "{}",
    "[]", "*", "?", "#", "&", "=", ";", "<script>", "' or 1=1 --", "${jndi:x}", "2026-13-45T99:99:99Z", "0001-01-01",
    "9999-12-31T23:59:59Z", "2026-01-01T00:00:00+99:99", "Unknown", "Running,Running", "\ufffe", "\U0001f600",
]  # fmt: skip
odd = st.sampled_from(ODD_TEXTS) | st.text(max_size=20)
ids = st.sampled_from(["waiting", "completed", "failed", "missing", "@counter@key"]) | odd
segments = st.sampled_from(
    ["instances", "Instances", "orchestrators", "entities", "raiseEvent", "terminate", "suspend", "resume", "rewind",
     "restart", "makeprimary", "plain", "wait", "collect", "waiting", "completed", "failed", "news"]
) | odd  # fmt: skip
paths = st.one_of(
    st.tuples(st.just("instances"), ids),
    st.tuples(st.just("instances"), ids, st.sampled_from(["terminate", "suspend", "resume", "rewind", "restart"])),
    st.tuples(st.just("instances"), ids, st.just("raiseEvent"), odd),
    st.tuples(st.just("orchestrators"), st.sampled_from(["plain", "wait"]) | odd, ids),
    st.tuples(st.just("entities"), odd, odd),
    st.lists(segments, max_size=6).map(tuple),
)
# Honest waits end by themselves: these two may be odd but not long.
briefly = st.sampled_from(["", "0", "-1", "0.01", "x", "nan", "1e999", "0x1", "-0"])
anything = st.sampled_from(
    ["taskHub", "connection", "code", "showHistory", "showHistoryOutput", "showInput",
     "returnInternalServerErrorOnFailure", "top", "runtimeStatus", "createdTimeFrom", "createdTimeTo",
     "instanceIdPrefix", "reason", "op", "fetchState",
     "restartWithNewInstanceId", "lastOperationTimeFrom", "version"]
) | odd  # fmt: skip
queries = st.lists(
    st.tuples(anything, odd | st.sampled_from(["true", "false", "Running"]))
    | st.tuples(st.sampled_from(["timeout", "pollingInterval"]), briefly),
    max_size=4,
)
bodies = st.one_of(
    st.binary(max_size=60),
    st.text(alphabet="{}[]\"',:0123456789.eE+-truefalsn \\u/*\n", max_size=60).map(str.encode),
    st.sampled_from(
        [b"", b"null", b"{}", b"[" * 5_000, b'{"a":' * 3_000, b'"' + b"x" * 100_000 + b'"', b"\xef\xbb\xbf1",
         b"\xff\xfe", b'"\\ud800"', b"1e400", b"9" * 5_000, b'{"$type":"x"}', b"/*", b"NaN"]
    ),
)  # fmt: skip
plain_header = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
headers = st.dictionaries(
    st.sampled_from(
        ["Content-Type", "Accept", "x-ms-continuation-token", "X-Forwarded-Host", "Authorization", "x-functions-key",
         "Content-Encoding", "Range", "If-Match", "Cookie", "Origin", "Upgrade"]
    ),
    plain_header | st.sampled_from(["application/json", "text/plain", "multipart/form-data", "gzip", "br", "a;b"]),
    max_size=3,
)  # fmt: skip
methods = st.sampled_from(["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "PURGE"])
escaping = st.sampled_from(["", "/%", "/"])


@st.composite
def targets(draw: st.DrawFn, prefix: str) -> str:
    """A path and query below a prefix; texts may hold escapes of their own, right or wrong."""
    safe = draw(escaping)

    def shown(text: str) -> str:
        return quote(text.encode("utf-8", "surrogatepass"), safe=safe)

    path = "/".join(shown(part) for part in draw(paths))
    query = "&".join(f"{shown(name)}={shown(value)}" for name, value in draw(queries))
    return f"{prefix}/{path}" + (f"?{query}" if query else "")


def fuzz(examples: int) -> Any:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("prefix", [HOOK, "/durabletask"])
def test_the_management_api_answers_whatever_it_is_asked(host: Region, examples: int, prefix: str) -> None:
    @fuzz(examples)
    @given(methods, targets(prefix), headers, bodies)
    def ask(method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        sent = request_of(method, target, headers, body)
        check(sent, exchange(host, sent))

    ask()
    renew(host)
    lives(host)


def test_starters_and_functions_answer_whatever_they_are_asked(host: Region, examples: int) -> None:
    @fuzz(examples)
    @given(
        methods, st.sampled_from(["/api/start", "/api/start/plain", "/api/mirror", "/api", "/", ""]), st.data(),
        headers, bodies,
    )  # fmt: skip
    def ask(method: str, prefix: str, data: st.DataObject, headers: dict[str, str], body: bytes) -> None:
        sent = request_of(method, data.draw(targets(prefix)), headers, body)
        check(sent, exchange(host, sent))

    ask()
    lives(host)


# what is hardly HTTP

BROKEN = [
    b"", b"\r\n", b"\0" * 100, b"GET", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 200,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5_000)) + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", b"GET / HTTP/1.1\r\nHo st: x\r\n\r\n",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nshort",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nshort",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nContent-Encoding: deflate\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nContent-Length: 4\r\n\r\nabcd",
    b"GET /api/mirror/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://example.com/api/mirror/x HTTP/1.1\r\nHost: x\r\n\r\n", b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET //// HTTP/1.1\r\nHost: x\r\n\r\n", b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /api/mirror/x HTTP/1.1\r\nHost: [::1\r\n\r\n", b"GET /api/mirror/x HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
    b"GET /api/mirror/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /api/mirror/x HTTP/1.0\r\n\r\n",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data\r\nContent-Length: 2\r\n\r\n--",
    b"POST /api/mirror/x HTTP/1.1\r\nHost: x\r\nContent-Type: a/b; charset=zzz\r\nContent-Length: 2\r\n\r\n{}",
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_what_is_hardly_http_is_refused_or_answered(host: Region, number: int) -> None:
    sent = BROKEN[number]
    check(sent, exchange(host, sent, hang_up=True), refusable=True)


def test_broken_requests_leave_the_host_well(host: Region, examples: int) -> None:
    whole = request_of("POST", f"{HOOK}/orchestrators/plain/x", {"Content-Type": "application/json"}, b'{"a": 1}')

    @fuzz(examples)
    @given(st.integers(0, len(whole)), st.integers(0, 40), st.binary(max_size=40))
    def ask(at: int, cut: int, inserted: bytes) -> None:
        sent = whole[:at] + inserted + whole[at + cut :]
        check(sent, exchange(host, sent, hang_up=True), refusable=True)

    ask()
    lives(host)


# reading JSON fast and reading it as the extension does

values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts),
    max_leaves=20,
).map(json.dumps)
texts = st.text(alphabet="{}[]\",:'\\ \n\t0123456789.eE+-truefalsnNIyu/*\ud83d\ude00é", max_size=40)


@fuzz(500)
@given(values | texts, st.booleans())
@example('{"a":1,"a":2}', True)
@example("[" * 200 + "]" * 200, True)
@example("9" * 4_100, True)
def test_the_fast_way_of_reading_json_agrees_with_the_extensions(text: str, only: bool) -> None:
    fast = [_read(newtonsoft.read_document, text), _read(newtonsoft.read_token, text, only)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newtonsoft, "_plain", lambda _: newtonsoft.ODD)
        assert fast == [_read(newtonsoft.read_document, text), _read(newtonsoft.read_token, text, only)]


def _read(reader: Any, *arguments: Any) -> str:
    try:
        return repr(reader(*arguments))
    except newtonsoft.NotJsonText as error:
        return f"{error.kind}: {error}"
