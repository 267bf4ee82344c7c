"""Tokens, retries and long operations of Azure Resource Manager."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from recovery import operator_errors as errors
from recovery.arm import Arm, AzureCredential, RequestsTransport, Response
from recovery.arm_fake import FakeClock

URL = "https://management.azure.com/subscriptions/s/x?api-version=1"


class Script:
    """Answers in the given order; a ConnectionError is raised."""

    def __init__(self, *answers: Response | Exception) -> None:
        self.answers = list(answers)
        self.tokens: list[str] = []

    def send(self, method: str, url: str, body: Any, headers: dict[str, str]) -> Response:
        self.tokens.append(headers["Authorization"])
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Tokens:
    """Counts how often a new token was asked for."""

    def __init__(self) -> None:
        self.renewed = 0

    def token(self, renew: bool = False) -> str:
        self.renewed += renew
        return f"t{self.renewed}"


def arm(*answers: Response | Exception) -> tuple[Arm, Script, FakeClock]:
    script, clock = Script(*answers), FakeClock()
    return Arm(script, Tokens(), clock, "s"), script, clock


def failed(status: int, code: str) -> Response:
    return Response(status, {}, {"error": {"code": code, "message": "why"}})


def test_an_expired_token_is_renewed_and_the_request_repeated() -> None:
    client, script, _ = arm(Response(401), Response(200, {}, "answer"))
    assert client.get(URL) == "answer"
    assert script.tokens == ["Bearer t0", "Bearer t1"]


def test_a_token_that_is_refused_twice_means_signing_in_again() -> None:
    client, _, _ = arm(Response(401), Response(401))
    with pytest.raises(errors.NotLoggedIn, match="azd auth login"):
        client.get(URL)


def test_retry_after_is_honoured() -> None:
    client, _, clock = arm(Response(429, {"retry-after": "37"}), Response(200, {}, "answer"))
    began = clock.now()
    assert client.get(URL) == "answer"
    assert clock.now() - began == timedelta(seconds=37)


def test_silence_is_tried_again_and_then_said_with_the_next_step() -> None:
    client, _, _ = arm(*[ConnectionError("nobody")] * 5)
    with pytest.raises(errors.ArmUnavailable, match="run the command again"):
        client.get(URL)


def test_an_error_carries_azures_code_and_words() -> None:
    client, _, _ = arm(failed(409, "FailoverInProgress"))
    with pytest.raises(errors.ArmError, match="409 FailoverInProgress: why"):
        client.request("POST", URL)


def test_a_long_operation_has_ended_when_it_no_longer_answers_202() -> None:
    client, _, _ = arm(Response(202, {"retry-after": "17"}), Response(204))
    assert client.finished(URL) == (False, 17)
    assert client.finished(URL)[0]


def test_an_async_operation_document_is_understood() -> None:
    client, _, _ = arm(Response(200, {}, {"status": "InProgress"}), Response(200, {}, {"status": "Succeeded"}))
    assert not client.finished(URL)[0]
    assert client.finished(URL)[0]


def test_an_operation_that_failed_is_an_error() -> None:
    body = {"status": "Failed", "error": {"code": "Broken", "message": "why"}}
    client, _, _ = arm(Response(200, {}, body))
    with pytest.raises(errors.ArmError, match="Broken"):
        client.finished(URL)


def test_a_404_of_an_operation_means_that_it_still_runs() -> None:
    client, _, _ = arm(failed(404, "NotFound"))
    assert not client.finished(URL)[0]


def test_waiting_tells_the_time_and_gives_up_after_the_limit() -> None:
    client, _, _ = arm()
    said: list[str] = []
    with pytest.raises(errors.ArmUnavailable, match="has not ended after 2 minutes"):
        client.wait_until(lambda: (False, 50), "the move", timedelta(minutes=2), said.append)
    assert said == ["the move: 0 min 00 s", "the move: 0 min 50 s", "the move: 1 min 40 s"]


class SignIn:
    """Gives tokens that expire, or nobody is signed in."""

    def __init__(self, lifetime: float, signed_in: bool = True) -> None:
        self.given, self._lifetime, self._signed_in = 0, lifetime, signed_in

    def get_token(self, *scopes: str) -> AccessToken:
        if not self._signed_in:
            raise ClientAuthenticationError("no credential")
        self.given += 1
        return AccessToken(f"t{self.given}", int(time.time() + self._lifetime))


def test_a_token_is_kept_until_shortly_before_it_expires() -> None:
    lasting, expiring = AzureCredential(SignIn(3600)), AzureCredential(SignIn(200))
    assert [lasting.token(), lasting.token(), lasting.token(renew=True)] == ["t1", "t1", "t2"]
    assert [expiring.token(), expiring.token()] == ["t1", "t2"]


def test_nobody_signed_in_is_told_how_to_sign_in() -> None:
    with pytest.raises(errors.NotLoggedIn, match="azd auth login"):
        AzureCredential(SignIn(0, signed_in=False)).token()


def test_a_refused_right_is_told_where_the_rights_are_listed() -> None:
    client, _, _ = arm(failed(403, "AuthorizationFailed"))
    with pytest.raises(errors.ArmError, match="docs/operations.md"):
        client.get(URL)


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = json.dumps(
                {"got": json.loads(self.rfile.read(length)), "as": self.headers["Authorization"]}
            ).encode()
            self.send_response(202)
            self.send_header("Location", "https://elsewhere.example/op")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    listener = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listener.server_port}"
    listener.shutdown()
    listener.server_close()


def test_the_real_transport_sends_json_and_returns_headers_in_lower_case(server: str) -> None:
    answer = RequestsTransport().send("POST", server, {"a": 1}, {"Authorization": "Bearer t"})
    assert answer.status == 202
    assert answer.headers["location"] == "https://elsewhere.example/op"
    assert answer.body == {"got": {"a": 1}, "as": "Bearer t"}


def test_the_real_transport_turns_silence_into_a_connection_error() -> None:
    with pytest.raises(ConnectionError):
        RequestsTransport(timeout_seconds=1).send("GET", "http://127.0.0.1:1/", None, {})
