"""The management API answers as extension 2.13.7 was recorded: statuses, headers, bodies, texts."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.client_binding import HOOK, LinkMaker
from lab.function_index import FunctionIndex
from lab.incoming import Incoming
from lab.management_api import ManagementApi
from lab.management_queries import read_time
from lab.worker import FunctionInfo, HttpResponse
from taskhub.clock import ManualClock
from tests.lab.fake_client import FakeClient

LINKS = LinkMaker("http://h", "Hub")
INDEX = FunctionIndex([
    FunctionInfo("chain", "orchestrationTrigger", [], "chain"),
    FunctionInfo("counter", "entityTrigger", [], "Counter"),
])  # fmt: skip
BAD_ARGUMENT = "One or more of the arguments submitted is incorrect"
WENT_WRONG = "Something went wrong while processing your request"


class Caller:
    """Sends requests to an API on a fake hub; waiting moves the clock."""

    def __init__(self) -> None:
        self.client = FakeClient()
        self.clock = ManualClock()
        self.after_waiting: dict[str, str] = {}  # instance -> the state it has once somebody waited
        self._api = ManagementApi(self.client, INDEX, LINKS, lambda name: name == "Storage", self.clock, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        for instance_id, state in self.after_waiting.items():
            self.client.put(instance_id, state, output='"done"')

    async def __call__(self, line: str, body: str | bytes = b"", **headers: str) -> HttpResponse:
        method, target = line.split(" ", 1)
        sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
        raw = body.encode() if isinstance(body, str) else body
        return await self._api.answer(Incoming(method, "http", "h", f"{HOOK}/{target}", sent, raw), HOOK, LINKS)


@pytest.fixture
def call() -> Caller:
    return Caller()


def body_of(answer: HttpResponse) -> Any:
    return json.loads(answer.body) if answer.body else None


def headers_of(answer: HttpResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers}


def error(text: str, exception: str, kind: str) -> dict[str, str]:
    return {"Message": text, "ExceptionMessage": exception, "ExceptionType": kind}


def error_of(answer: HttpResponse) -> dict[str, str]:
    found = body_of(answer)
    assert list(found) == ["Message", "ExceptionMessage", "ExceptionType", "StackTrace"]
    assert headers_of(answer)["content-type"] == "application/json; charset=utf-8"
    return {name: found[name] for name in found if name != "StackTrace"}


# -- routes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "GET ", "GET /", "GET nothing", "GET instances/i/history", "POST instances/i/explode",
        "GET orchestrators", "POST instances/i/terminate/now", "GET orchestrators/chain/i", "PUT orchestrators/chain/i",
        "POST orchestrators",
        "POST instances", "PUT instances", "PATCH instances/i", "GET instances/i/terminate", "PUT instances/i/suspend",
        "DELETE instances/i/restart", "PUT entities/counter/k", "PATCH entities/counter/k", "GET instances//i",
        "POST instances/i/raiseEvent", "POST instances/i/raiseEvent/", "POST instances/i/raiseEvent/a/b",
        "GET instances/i/raiseEvent/Go", "POST orchestrators/chain/a/b", "POST orchestrators//i",
    ],
)  # fmt: skip
async def test_what_is_no_route_is_404_and_empty(call: Caller, line: str) -> None:
    call.client.put("i")
    answer = await call(line, '{"a": 1}', content_type="application/json")
    assert (answer.status, answer.headers, answer.body) == (404, [], b"")
    assert call.client.asked == []


@pytest.mark.parametrize("line", ["INSTANCES/i", "instances/i/", "instances/i//", "/instances/i"])
async def test_letters_and_outer_slashes_do_not_matter(call: Caller, line: str) -> None:
    call.client.put("i", "Completed")
    assert (await call(f"GET {line}")).status == 200


async def test_another_task_hub_knows_nothing(call: Caller) -> None:
    call.client.put("i", "Completed")
    assert (await call("GET instances/i?taskHub=otherhub")).status == 404
    assert (await call("GET instances/i?taskHub=HUB")).status == 200
    assert (await call("GET instances/i?taskHub=&connection=")).status == 200
    listed = await call("GET instances?taskHub=otherhub")
    assert (listed.status, body_of(listed), headers_of(listed)["x-ms-continuation-token"]) == (200, [], "")
    assert (await call("POST orchestrators/chain?taskHub=otherhub")).status == 400


async def test_an_unknown_connection_is_500(call: Caller) -> None:
    assert (await call("GET instances/i?connection=NoSuchSetting")).status == 500
    assert error_of(await call("GET instances/i?connection=NoSuchSetting")) == error(
        WENT_WRONG,
        "Unable to resolve the Azure Storage connection named 'NoSuchSetting'.",
        "System.InvalidOperationException",
    )


# -- start ------------------------------------------------------------------------------------------------------------


async def test_a_start_answers_202_with_links(call: Caller) -> None:
    answer = await call("POST orchestrators/chain/i", '{"a": 1, "b": [true, null]}')
    assert answer.status == 202
    assert body_of(answer) == LINKS.of_instance("i")
    assert headers_of(answer) == {
        "content-type": "application/json; charset=utf-8",
        "location": "http://h/runtime/webhooks/durabletask/instances/i?taskHub=Hub&connection=Storage",
        "retry-after": "10",
    }
    assert call.client.asked == [("start", "chain", "i", '{"a":1,"b":[true,null]}', "")]


@pytest.mark.parametrize("path", ["chain", "chain/", "CHAIN"])
async def test_without_an_id_one_of_32_hex_digits_is_made(call: Caller, path: str) -> None:
    instance_id = body_of(await call(f"POST orchestrators/{path}"))["id"]
    assert len(instance_id) == 32 and set(instance_id) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        ("", None), ("  ", None), ("null", None), ("{'a': 1 /* one */}", '{"a":1}'),
        ('"{\\"a\\": 1}"', '"{\\"a\\": 1}"'), ('{ "a" : 1 , "a" : 2 }', '{"a":2}'), ('"Zürich 😀"', '"Zürich 😀"'),
        ("0", "0"), ('""', '""'), ("1e3", "1000.0"),
    ],
)  # fmt: skip
async def test_any_body_that_newtonsoft_reads_is_the_input(call: Caller, body: str, stored: str | None) -> None:
    assert (await call("POST orchestrators/chain/i", body, content_type="text/plain")).status == 202
    assert call.client.asked[0][3] == stored


async def test_a_body_that_is_no_json_is_refused_and_nothing_started(call: Caller) -> None:
    answer = await call("POST orchestrators/chain/i", "not json")
    text = "Unexpected character encountered while parsing value: n. Path '', line 0, position 0."
    assert (answer.status, error_of(answer)) == (
        400, error("Invalid JSON content", text, "Newtonsoft.Json.JsonReaderException"),
    )  # fmt: skip
    cut_off = await call("POST orchestrators/chain/i", '{"a": ')
    text = "Unexpected end when deserializing object. Path 'a', line 1, position 6."
    assert (cut_off.status, error_of(cut_off)) == (
        500, error(WENT_WRONG, text, "Newtonsoft.Json.JsonSerializationException"),
    )  # fmt: skip
    assert call.client.asked == []


async def test_an_unknown_function_is_refused_with_those_known(call: Caller) -> None:
    answer = await call("POST orchestrators/nope/i")
    assert (answer.status, error_of(answer)) == (
        400, error(BAD_ARGUMENT, INDEX.no_orchestrator("nope"), "System.ArgumentException"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("@i", "instanceId (Parameter 'Orchestration instance ids must not start with @.')"),
        *[
            (f"a{code}b", "instanceId (Parameter 'Orchestration instance ids must not contain /, \\, #, ?, or control "
             "characters.')") for code in ("%5C", "%23", "%3F", "%01", "%7F")
        ],
        ("x" * 257, "Instance ID lengths must not exceed 256 characters."),
    ],
)  # fmt: skip
async def test_an_id_that_breaks_the_rules_is_refused(call: Caller, path: str, text: str) -> None:
    answer = await call(f"POST orchestrators/chain/{path}")
    assert (answer.status, error_of(answer)) == (400, error(BAD_ARGUMENT, text, "System.ArgumentException"))
    assert call.client.instances == {}


@pytest.mark.parametrize(
    ("path", "instance_id"),
    [("a%2Fb", "a%2Fb"), ("a%20b+c%25", "a b+c%"), ("Z%C3%BCrich", "Zürich"), ("x/../b", "b"), ("x" * 256, "x" * 256)],
)
async def test_ids_are_read_from_the_path_as_kestrel_reads_it(call: Caller, path: str, instance_id: str) -> None:
    assert body_of(await call(f"POST orchestrators/chain/{path}"))["id"] == instance_id


@pytest.mark.parametrize("state", ["Pending", "Running", "Suspended", "ContinuedAsNew"])
async def test_an_unfinished_instance_is_not_replaced(call: Caller, state: str) -> None:
    call.client.put("i", state)
    answer = await call("POST orchestrators/chain/i")
    assert (answer.status, error_of(answer)) == (
        500,
        error(
            WENT_WRONG,
            f"An Orchestration instance with the status {state} already exists.",
            "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException",
        ),
    )


@pytest.mark.parametrize("state", ["Completed", "Failed", "Terminated"])
async def test_a_finished_instance_is_replaced(call: Caller, state: str) -> None:
    call.client.put("i", state)
    assert (await call("POST orchestrators/chain/i")).status == 202


async def test_a_start_may_wait_for_the_output(call: Caller) -> None:
    call.after_waiting = {"i": "Completed"}
    answer = await call("POST orchestrators/chain/i?timeout=20&pollingInterval=0.2")
    assert (answer.status, body_of(answer), headers_of(answer)) == (
        200, "done", {"content-type": "application/json; charset=utf-8"},
    )  # fmt: skip


async def test_waiting_for_what_fails_gives_its_status(call: Caller) -> None:
    call.after_waiting = {"i": "Failed"}
    line = "POST orchestrators/chain/i?timeout=20&pollingInterval=0.2&returnInternalServerErrorOnFailure=true"
    answer = await call(line)
    assert (answer.status, body_of(answer)["runtimeStatus"]) == (200, "Failed")


async def test_waiting_ends_with_the_links_when_time_is_over(call: Caller) -> None:
    begin = call.clock.now()
    answer = await call("POST orchestrators/chain/i?timeout=3&pollingInterval=2")
    assert (answer.status, body_of(answer)) == (202, LINKS.of_instance("i"))
    assert call.clock.now() - begin == timedelta(seconds=3)


@pytest.mark.parametrize("query", ["timeout=20", "pollingInterval=1", "timeout=soon&pollingInterval=1",
                                   "timeout=-1&pollingInterval=-2", "timeout=1e400&pollingInterval=1"])  # fmt: skip
async def test_without_two_numbers_nobody_waits(call: Caller, query: str) -> None:
    begin = call.clock.now()
    assert (await call(f"POST orchestrators/chain/i?{query}")).status == 202
    assert call.clock.now() == begin


async def test_an_interval_above_the_timeout_is_refused_after_the_start(call: Caller) -> None:
    answer = await call("POST orchestrators/chain/i?timeout=1&pollingInterval=5.5")
    text = "Total timeout 1 should be bigger than retry timeout 5.5"
    assert (answer.status, error_of(answer)) == (400, error(BAD_ARGUMENT, text, "System.ArgumentException"))
    assert "i" in call.client.instances


# -- status -----------------------------------------------------------------------------------------------------------


async def test_a_missing_instance_is_404_and_empty(call: Caller) -> None:
    answer = await call("GET instances/none")
    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize("state", ["Pending", "Running", "ContinuedAsNew", "Suspended"])
async def test_an_unfinished_instance_is_202_and_says_where_to_come_back(call: Caller, state: str) -> None:
    call.client.put("i", state)
    answer = await call("GET instances/i?showInput=false&x=1")
    assert answer.status == 202
    assert headers_of(answer)["location"] == "http://h/runtime/webhooks/durabletask/instances/i?showInput=false&x=1"
    assert headers_of(answer)["retry-after"] == "5"


async def test_the_status_document_has_the_extensions_keys_in_its_order(call: Caller) -> None:
    texts = {"input": '"{\\"a\\": 1}"', "output": '["Zürich",null]', "custom_status": '{"at":1}'}
    call.client.put("i", "Completed", **texts)
    answer = await call("GET instances/i")
    assert list(body_of(answer).items()) == [
        ("name", "chain"), ("instanceId", "i"), ("runtimeStatus", "Completed"), ("input", '{"a": 1}'),
        ("customStatus", {"at": 1}), ("output", ["Zürich", None]), ("createdTime", "2026-01-02T03:04:05Z"),
        ("lastUpdatedTime", "2026-01-02T03:04:05Z"),
    ]  # fmt: skip
    assert headers_of(answer) == {"content-type": "application/json; charset=utf-8"}
    assert "Zürich".encode() in answer.body


async def test_a_failed_instance_is_500_only_when_asked_for(call: Caller) -> None:
    call.client.put("i", "Failed", output="Orchestrator function 'chain' failed: no")
    name = "returnInternalServerErrorOnFailure"
    statuses = [(await call(f"GET instances/i?{name}={value}")).status for value in ("", "false", "1", "TRUE", "true")]
    assert statuses == [200, 200, 200, 500, 500]
    assert body_of(await call("GET instances/i"))["output"] == "Orchestrator function 'chain' failed: no"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", 1), ("showInput=false", None), ("showInput=False", None), ("SHOWINPUT=false", None), ("showInput=no", 1),
        ("showInput=0", 1), ("showInput=", 1), ("showInput=false&showInput=true", 1),
    ],
)  # fmt: skip
async def test_the_input_is_shown_unless_a_boolean_says_no(call: Caller, query: str, shown: int | None) -> None:
    call.client.put("i", "Completed", input="1")
    assert body_of(await call(f"GET instances/i?{query}"))["input"] == shown


async def test_the_history_comes_last_and_only_when_asked_for(call: Caller) -> None:
    call.client.put("i", "Completed")
    document = body_of(await call("GET instances/i?showHistory=true&showHistoryOutput=true&showInput=false"))
    assert list(document)[-1] == "historyEvents"
    assert document["historyEvents"][0]["shown"] == [False, True]
    assert "historyEvents" not in body_of(await call("GET instances/i?showHistoryOutput=true"))


# -- management -------------------------------------------------------------------------------------------------------

FINISHED = ["Completed", "Failed", "Terminated", "Canceled"]


@pytest.mark.parametrize("operation", ["terminate", "suspend", "resume", "rewind", "raiseEvent/Go"])
async def test_nothing_can_be_asked_of_a_missing_instance(call: Caller, operation: str) -> None:
    assert (await call(f"POST instances/i/{operation}", "1", content_type="application/json")).status == 404


@pytest.mark.parametrize("operation", ["terminate", "suspend", "resume", "raiseEvent/Go"])
@pytest.mark.parametrize("state", FINISHED)
async def test_a_finished_instance_is_gone(call: Caller, operation: str, state: str) -> None:
    call.client.put("i", state)
    answer = await call(f"POST instances/i/{operation}", "x")  # the state is looked at before the content type
    assert (answer.status, answer.body, call.client.asked) == (410, b"", [])


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", None), ("?reason=", ""), ("?reason=a%26b%25c+d%20Z%C3%BC", "a&b%c d Zü"),
        ("?reason=one&reason=two", "one,two"), ("?reason=123", "123"),
    ],
)  # fmt: skip
async def test_a_reason_is_passed_on(call: Caller, query: str, reason: str | None) -> None:
    call.client.put("i")
    answer = await call(f"POST instances/i/TerMinate{query}", "from the body", content_type="text/plain")
    assert (answer.status, answer.headers, answer.body) == (202, [], b"")
    assert call.client.asked == [("terminate", "i", reason)]


async def test_suspending_twice_and_resuming_what_runs_is_500(call: Caller) -> None:
    call.client.put("i", "Suspended")
    text = "Cannot suspend the orchestration instance i because instance is in the Suspended state."
    answer = await call("POST instances/i/suspend")
    assert (answer.status, error_of(answer)) == (500, error(WENT_WRONG, text, "System.InvalidOperationException"))
    assert (await call("POST instances/i/resume?reason=r")).status == 202
    call.client.put("i", "Running")
    answer = await call("POST instances/i/resume")
    text = "Cannot resume the orchestration instance i because instance is in the Running state."
    assert (answer.status, error_of(answer)) == (500, error(WENT_WRONG, text, "System.InvalidOperationException"))
    assert call.client.asked == [("resume", "i", "r")]


@pytest.mark.parametrize(
    ("state", "status"),
    [("Failed", 202), ("Completed", 410), ("Terminated", 410), ("Running", 500), ("Suspended", 500)],
)
async def test_only_what_failed_can_be_rewound(call: Caller, state: str, status: int) -> None:
    call.client.put("i", state)
    answer = await call("POST instances/i/rewind?reason=again")
    assert answer.status == status
    if status == 500:
        text = "The rewind operation is only supported on failed orchestration instances."
        assert error_of(answer) == error(WENT_WRONG, text, "System.InvalidOperationException")
    assert call.client.asked == ([("rewind", "i", "again")] if status == 202 else [])


async def test_a_restart_makes_a_new_id_unless_told_not_to(call: Caller) -> None:
    call.client.put("i", "Completed")
    for query in ("", "?restartWithNewInstanceId=true", "?restartWithNewInstanceId=maybe"):
        answer = await call(f"POST instances/i/restart{query}", "not json")
        assert answer.status == 202 and len(body_of(answer)["id"]) == 32
    assert body_of(await call("POST instances/i/restart?restartWithNewInstanceId=false"))["id"] == "i"


async def test_a_restart_of_a_missing_instance_is_400(call: Caller) -> None:
    answer = await call("POST instances/i/restart")
    text, exception = (
        "InstanceId does not match a valid orchestration instance.",
        ("An orchestrastion with the instanceId i was not found."),
    )
    assert (answer.status, error_of(answer)) == (400, error(text, exception, "System.ArgumentException"))


async def test_a_running_instance_cannot_be_restarted_under_its_id(call: Caller) -> None:
    call.client.put("i", "Running")
    answer = await call("POST instances/i/restart?restartWithNewInstanceId=false")
    assert (answer.status, error_of(answer)["ExceptionType"]) == (
        500, "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException",
    )  # fmt: skip


async def test_a_purge_counts(call: Caller) -> None:
    call.client.put("i", "Running")
    answer = await call("DELETE instances/i")
    assert (answer.status, body_of(answer)) == (200, {"instancesDeleted": 1})
    assert (await call("DELETE instances/i")).status == 404


# -- events -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "stored"),
    [('{"a": 1}', '{"a":1}'), ("{'a': 1}", '{"a":1}'), ("1 2", "1"), ("null", "null"), ('""', '""'), ("2.5", "2.5"),
     ('"2024-05-01T12:00:00+02:00"', '"2024-05-01T12:00:00+02:00"')],
)  # fmt: skip
async def test_an_event_carries_the_first_value_of_its_body(call: Caller, body: str, stored: str) -> None:
    call.client.put("i")
    answer = await call("POST instances/i/RAISEEVENT/Go%20On", body, content_type="Application/JSON; charset=utf-8")
    assert (answer.status, answer.body) == (202, b"")
    assert call.client.asked == [("raise_event", "i", "Go On", stored)]


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/problem+json", "multipart/form-data"])
async def test_an_event_must_be_json_by_its_content_type(call: Caller, media_type: str) -> None:
    call.client.put("i")
    answer = await call("POST instances/i/raiseEvent/Go", "1", content_type=media_type)
    assert (answer.status, body_of(answer)) == (400, {"Message": "Only application/json request content is supported"})


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "Error reading JToken from JsonReader. Path '', line 0, position 0."),
        ("hello", "Unexpected character encountered while parsing value: h. Path '', line 0, position 0."),
    ],
)
async def test_an_event_that_is_no_json_is_refused(call: Caller, body: str, text: str) -> None:
    call.client.put("i")
    answer = await call("POST instances/i/raiseEvent/Go", body, content_type="application/json")
    assert (answer.status, error_of(answer)) == (
        400, error("Invalid JSON content", text, "Newtonsoft.Json.JsonReaderException"),
    )  # fmt: skip


# -- lists ------------------------------------------------------------------------------------------------------------


async def test_a_list_pages_with_the_continuation_token(call: Caller) -> None:
    for name in "abc":
        call.client.put(name, "Completed")
    first = await call("GET instances?top=2")
    token = headers_of(first)["x-ms-continuation-token"]
    second = await call("GET instances/?top=2", x_ms_continuation_token=token)
    assert [one["instanceId"] for one in body_of(first) + body_of(second)] == ["a", "b", "c"]
    assert token and headers_of(second)["x-ms-continuation-token"] == ""


async def test_a_token_that_is_nonsense_is_500(call: Caller) -> None:
    answer = await call("GET instances", x_ms_continuation_token="nonsense")
    assert (answer.status, error_of(answer)["ExceptionType"]) == (500, "Newtonsoft.Json.JsonReaderException")


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("Completed,Failed", ["Completed", "Failed"]), ("Completed,%20Failed", ["Completed", "Failed"]),
        ("0", ["Running"]), ("completed", []), ("Sleeping,Failed", ["Failed"]), ("", []), ("77", ["77"]),
        ("Pending&runtimeStatus=7", ["Pending", "Suspended"]),
    ],
)  # fmt: skip
async def test_states_are_read_by_name_and_number(call: Caller, text: str, statuses: list[str]) -> None:
    await call(f"GET instances?runtimeStatus={text}&instanceIdPrefix=p")
    query = call.client.asked[0][1]
    assert (list(query.statuses), query.prefix) == (statuses, "p")


async def test_the_state_unknown_is_refused(call: Caller) -> None:
    for value in ("Unknown", "-1"):
        answer = await call(f"GET instances?runtimeStatus={value}")
        assert (answer.status, error_of(answer)["ExceptionMessage"]) == (
            400, "Requested value 'Unknown' was not found.",
        )  # fmt: skip


@pytest.mark.parametrize(("top", "size"), [("", 100), ("many", 100), ("1.5", 100), ("7", 7), ("99999999999", 100)])
async def test_top_is_a_number_or_the_default(call: Caller, top: str, size: int) -> None:
    await call(f"GET instances?top={top}")
    assert call.client.asked[0][2] == size


@pytest.mark.parametrize(
    ("top", "text", "kind"),
    [
        ("0", "Take count must be positive and greater than 0.", "System.ArgumentException"),
        ("-1", "Non-negative number required. (Parameter 'capacity')", "System.ArgumentOutOfRangeException"),
    ],
)
async def test_top_of_zero_or_below_is_refused(call: Caller, top: str, text: str, kind: str) -> None:
    answer = await call(f"GET instances?top={top}")
    assert (answer.status, error_of(answer)) == (400, error(BAD_ARGUMENT, text, kind))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-01-01", datetime(2020, 1, 1)), ("2020-01-01T10:20:30Z", datetime(2020, 1, 1, 10, 20, 30)),
        ("2020-01-01T00:00:00+02:00", datetime(2019, 12, 31, 22)), ("01/31/2020", datetime(2020, 1, 31)),
        ("2020-01-01T00:00:00 02:00", datetime(2019, 12, 31, 22)), ("yesterday", None), ("13/13/2020", None),
        ("2020-01-01T00:00:00.1234567Z", datetime(2020, 1, 1, 0, 0, 0, 123456)), ("2020-13-01", None), ("", None),
        ("0001-01-01T00:00:00+10:00", None),
    ],
)  # fmt: skip
def test_times_are_read_or_ignored(text: str, moment: datetime | None) -> None:
    assert read_time(text) == (moment and moment.replace(tzinfo=timezone.utc))


async def test_a_purge_by_filter_needs_a_beginning(call: Caller) -> None:
    for query in ("", "?runtimeStatus=Completed", "?createdTimeFrom=yesterday", "/?createdTimeTo=2020-01-01"):
        answer = await call(f"DELETE instances{query}")
        assert (answer.status, body_of(answer)) == (400, "Please provide value for 'createdTimeFrom' parameter.")


async def test_a_purge_by_filter_ends_now_unless_told_otherwise(call: Caller) -> None:
    assert (await call("DELETE instances?createdTimeFrom=2020-01-01")).status == 404
    call.client.put("i")
    answer = await call("DELETE instances?createdTimeFrom=2020-01-01&runtimeStatus=Completed,Running")
    assert (answer.status, body_of(answer)) == (200, {"instancesDeleted": 1})
    query = call.client.asked[-1][1]
    assert (query.created_to, list(query.statuses)) == (call.clock.now(), ["Completed", "Running"])


# -- entities ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "media_type", "stored"),
    [
        ("5", "", '"5"'), ("5", "application/json", "5"), ('"5"', "application/json", '"5"'),
        ("", "application/json", None), ("{bad", "text/plain", '"{bad"'),
        ("{'a': 1}", "application/json; charset=utf-8", '{"a":1}'),
    ],
)  # fmt: skip
async def test_a_signal_carries_json_or_text(call: Caller, body: str, media_type: str, stored: str | None) -> None:
    answer = await call("POST entities/COUNTER/a%20b@c?op=add", body, content_type=media_type)
    assert (answer.status, answer.body) == (202, b"")
    assert call.client.asked == [("signal_entity", "@counter@a b@c", "add", stored)]


async def test_a_signal_that_is_no_json_is_refused(call: Caller) -> None:
    answer = await call("POST entities/counter/k?op=add", "{bad", content_type="application/json")
    text = "Unexpected end while parsing unquoted property name. Path '', line 1, position 4."
    assert (answer.status, body_of(answer)) == (400, {"Message": f"Could not parse JSON content: {text}"})


@pytest.mark.parametrize("line", ["POST entities/nosuch/k?op=add", "DELETE entities/nosuch/k", "POST entities/nosuch"])
async def test_a_signal_to_an_unknown_entity_is_refused(call: Caller, line: str) -> None:
    answer = await call(line)
    assert (answer.status, body_of(answer)) == (400, {"Message": INDEX.no_entity("nosuch")})


async def test_odd_entity_paths_do_what_was_recorded(call: Caller) -> None:
    text = "Invalid entity id: entity name must not be a null or empty string. (Parameter 'entityName')"
    assert body_of(await call("POST entities?op=add")) == {"Message": text}
    for line in ("POST entities/counter?op=a", "POST entities/counter/", "POST entities/counter/$?op=a",
                 "DELETE entities/counter/k"):  # fmt: skip
        assert (await call(line)).status == 202
    assert [asked[1:3] for asked in call.client.asked] == [
        ("@counter@", "a"), ("@counter@", ""), ("@counter@$", "a"), ("@counter@k", "delete"),
    ]  # fmt: skip


async def test_a_state_is_the_body_itself(call: Caller) -> None:
    call.client.entities = {"@counter@k": '{"a":1}', "@counter@": "7", "@counter@gone": "null"}
    for path, state in (("Counter/k", {"a": 1}), ("counter/$", 7), ("counter/gone", None)):
        answer = await call(f"GET entities/{path}")
        assert (answer.status, json.loads(answer.body)) == (200, state)
    assert (await call("GET entities/counter/K")).status == 404


async def test_entities_are_listed_with_their_state_on_request(call: Caller) -> None:
    call.client.entities = {"@counter@k": "5"}
    shown = {"entityId": {"name": "counter", "key": "k"}, "lastOperationTime": "2026-01-02T03:04:05.6789010Z"}
    assert body_of(await call("GET entities")) == [{**shown, "state": None}]
    answer = await call("GET entities/Counter?fetchState=true&lastOperationTimeFrom=never")
    assert (body_of(answer), headers_of(answer)["x-ms-continuation-token"]) == ([{**shown, "state": 5}], "")
    assert body_of(await call("GET entities/nosuch")) == []


# -- anything ---------------------------------------------------------------------------------------------------------


@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    parts=st.lists(
        st.sampled_from(["instances", "orchestrators", "entities", "i", "chain", "Counter", "raiseEvent", "$"])
        | st.text(st.characters(codec="ascii", exclude_characters="\r\n "), max_size=8),
        max_size=5,
    ),
    query=st.text(st.characters(codec="ascii", exclude_characters="#\r\n "), max_size=30),
    body=st.binary(max_size=40),
    media_type=st.sampled_from(["", "application/json", "text/plain; charset=utf-16"]),
)
async def test_no_request_gets_a_500_that_is_not_the_extensions(
    method: str, parts: list[str], query: str, body: bytes, media_type: str
) -> None:
    call = Caller()
    call.client.put("i")
    answer = await call(f"{method} {'/'.join(parts)}?{query}", body, content_type=media_type)
    assert answer.status in (200, 202, 400, 404, 410, 500)
    if answer.status == 500:
        assert error_of(answer)["ExceptionType"].startswith(("Newtonsoft.", "System.", "DurableTask."))
