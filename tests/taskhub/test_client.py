"""What a client does to a hub is what the real extension did in the recordings."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from taskhub import messages
from taskhub.accounts import Account, Entity
from taskhub.client import StatusQuery, TaskHubClient
from taskhub.clock import ManualClock
from taskhub.errors import AccountUnreachable, InstanceExists, InstanceNotFound, InvalidOperation, NotFound
from taskhub.history import History, to_entity
from taskhub.hub import TaskHub
from taskhub.instances import ALL_STATES, RUNNING_STATES, TERMINAL_STATES
from taskhub.messages import TaskMessage
from tests.taskhub import golden, normal

QUEUE = "goldenhub-control-00"


async def open_recorded(account: Account, name: str, clock: ManualClock) -> TaskHubClient:
    return TaskHubClient(TaskHub(account, await golden.load(account, name), clock))


async def envelopes(hub: TaskHub, queue: str = QUEUE) -> list[dict[str, Any]]:
    return [messages.from_text(message.text) for message in await hub.account.queues.peek(queue)]


async def queued(hub: TaskHub) -> list[TaskMessage]:
    return [await hub.read(message) for message in await hub.account.queues.peek(QUEUE)]


async def row_of(hub: TaskHub, instance_id: str) -> Entity:
    row = await hub.read_row(instance_id)
    assert row is not None
    return row.entity


async def instance(hub: TaskHub, instance_id: str, status: str, **columns: Any) -> None:
    """An instance as its row tells of it."""
    moment = hub.clock.now()
    await hub.merge_row(
        instance_id,
        {"RuntimeStatus": status, "Name": "Shop", "CreatedTime": moment, "LastUpdatedTime": moment, **columns},
    )


class Broken:
    """A service of which one operation fails, as when the account is lost at that moment."""

    def __init__(self, service: Any, operation: str) -> None:
        self._service = service
        self._operation = operation

    def __getattr__(self, name: str) -> Any:
        if name == self._operation:
            return self._fail
        return getattr(self._service, name)

    async def _fail(self, *_arguments: Any) -> Any:
        raise AccountUnreachable("the account is gone")


# start


def recorded_start() -> tuple[dict[str, Any], Entity]:
    log = golden.writes()
    message = next(write["message"] for write in log if write.get("event") == "ExecutionStartedEvent")
    row = next(write["changed"][0] for write in log if write.get("table") == "GoldenHubInstances")
    times = {name: "Edm.DateTime" for name in ("CreatedTime", "LastUpdatedTime")}
    return message, golden.entity_of({**row, **{f"{name}@odata.type": kind for name, kind in times.items()}})


async def test_a_start_leaves_the_recorded_message_and_row(hub: TaskHub, client: TaskHubClient) -> None:
    message, row = recorded_start()
    assert await client.start("shop", "cut-0000", '{"wait":25}') == "cut-0000"
    (sent,) = await envelopes(hub)
    assert normal.envelope(sent) == normal.envelope(message)
    assert normal.row(await row_of(hub, "cut-0000")) == normal.row(row)


async def test_a_start_without_input_has_no_input_column(hub: TaskHub, client: TaskHubClient) -> None:
    await client.start("shop", "a", None)
    assert "Input" not in await row_of(hub, "a")
    (sent,) = await queued(hub)
    assert sent.event["Input"] is None


async def test_message_and_row_name_the_same_execution_and_time(hub: TaskHub, client: TaskHubClient) -> None:
    await client.start("shop", "a", None)
    (sent,) = await queued(hub)
    row = await row_of(hub, "a")
    assert row["ExecutionId"] == sent.execution_id == sent.event["OrchestrationInstance"]["ExecutionId"]
    assert row["CreatedTime"] == messages.parse_timestamp(sent.event["Timestamp"]) == hub.clock.now()


@pytest.mark.parametrize("instance_id", [None, ""])
async def test_an_id_is_made_of_32_hex_digits(client: TaskHubClient, instance_id: str | None) -> None:
    made = await client.start("shop", instance_id, None)
    assert normal.text(made) == "<hex32>"
    assert await client.status(made) is not None


async def test_an_account_lost_before_the_message_leaves_nothing(hub: TaskHub, client: TaskHubClient) -> None:
    hub.account.queues = Broken(hub.account.queues, "put")
    with pytest.raises(AccountUnreachable):
        await client.start("shop", "a", None)
    assert (await hub.read_row("a"), await queued(hub)) == (None, [])


async def test_an_account_lost_between_message_and_row_leaves_the_message(hub: TaskHub, client: TaskHubClient) -> None:
    hub.account.tables = Broken(hub.account.tables, "write")
    with pytest.raises(AccountUnreachable):
        await client.start("shop", "a", None)
    assert await hub.read_row("a") is None
    assert [message.kind for message in await queued(hub)] == [messages.EXECUTION_STARTED]


async def test_a_start_in_a_hub_that_is_missing_sends_nothing(hub: TaskHub, client: TaskHubClient) -> None:
    await hub.account.tables.drop(hub.names.instances)
    with pytest.raises(NotFound):
        await client.start("shop", "a", None)
    assert await queued(hub) == []


async def test_a_scheduled_start_is_delayed_by_whole_seconds(
    hub: TaskHub, client: TaskHubClient, clock: ManualClock
) -> None:
    moment = clock.now() + timedelta(seconds=90, microseconds=700_000)
    await client.start("shop", "a", None, scheduled_start=moment)
    assert (await row_of(hub, "a"))["ScheduledStartTime"] == moment
    clock.advance(timedelta(seconds=89))
    assert await queued(hub) == []
    clock.advance(timedelta(seconds=1))
    (sent,) = await queued(hub)
    assert sent.event["ScheduledStartTime"] == messages.timestamp(moment)


async def test_a_start_scheduled_in_the_past_is_not_delayed(hub: TaskHub, client: TaskHubClient) -> None:
    await client.start("shop", "a", None, scheduled_start=datetime(2020, 1, 1, tzinfo=timezone.utc))
    assert len(await queued(hub)) == 1


async def test_a_large_input_waits_in_the_blob_of_the_start_message(hub: TaskHub, client: TaskHubClient) -> None:
    large = '{"pad":"' + "P" * 70_000 + '"}'
    await client.start("big", "order-1", large)
    (wrapper,) = await envelopes(hub)
    blob = wrapper["CompressedBlobName"]
    assert (await row_of(hub, "order-1"))["Input"] == hub.large.url(blob)
    status = await client.status("order-1")
    assert status is not None and status.input == large
    theirs = next(text for name, text in golden.blob_texts(golden.recorded("13")) if name.endswith("Started.json.gz"))
    ours = gzip.decompress(await hub.account.blobs.get(hub.names.large_messages, blob)).decode()
    assert normal.envelope(json.loads(ours)) == normal.envelope(json.loads(theirs))


async def test_an_input_too_long_for_a_column_but_not_for_a_message_is_shown_too(
    hub: TaskHub, client: TaskHubClient
) -> None:
    await client.start("big", "order-1", text := '"' + "x" * 40_000 + '"')
    (sent,) = await envelopes(hub)
    assert sent["CompressedBlobName"] is None
    assert str((await row_of(hub, "order-1"))["Input"]).startswith("http")
    status = await client.status("order-1")
    assert status is not None and status.input == text


@pytest.mark.parametrize("status", sorted(RUNNING_STATES))
async def test_an_unfinished_instance_is_not_replaced(hub: TaskHub, client: TaskHubClient, status: str) -> None:
    await instance(hub, "a", status)
    with pytest.raises(InstanceExists, match=f"^An Orchestration instance with the status {status} already exists.$"):
        await client.start("shop", "a", None)
    assert await queued(hub) == []


@pytest.mark.parametrize("status", sorted(TERMINAL_STATES))
async def test_a_finished_instance_is_replaced(hub: TaskHub, client: TaskHubClient, status: str) -> None:
    await instance(hub, "a", status, Generation=4, Output='"old"', CustomStatus="null", CompletedTime=hub.clock.now())
    await client.start("shop", "a", "1")
    row = await row_of(hub, "a")
    assert (row["RuntimeStatus"], row["Generation"], row["Input"]) == ("Pending", 5, "1")
    assert row.keys().isdisjoint({"Output", "CustomStatus", "CompletedTime"})
    (sent,) = await queued(hub)
    assert sent.event["Generation"] == 5


async def test_what_replaces_a_row_without_generation_has_none_either(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "child", "Completed")
    await client.start("shop", "child", None)
    assert "Generation" not in await row_of(hub, "child")


@pytest.mark.parametrize("status", sorted(ALL_STATES))
async def test_any_state_is_replaced_when_the_hub_says_so(hub: TaskHub, status: str) -> None:
    await instance(hub, "a", status, ExecutionId="old")
    await TaskHubClient(hub, "AnyState").start("shop", "a", None)
    row = await row_of(hub, "a")
    assert row["RuntimeStatus"] == "Pending" and row["ExecutionId"] != "old"


async def test_of_two_clients_that_start_one_id_both_succeed_and_one_execution_has_the_row(
    hub: TaskHub, client: TaskHubClient
) -> None:
    ids = await asyncio.gather(client.start("shop", "a", "1"), client.start("shop", "a", "2"))
    assert list(ids) == ["a", "a"]
    sent = {message.execution_id: message.event["Input"] for message in await queued(hub)}
    row = await row_of(hub, "a")
    assert len(sent) == 2 and sent[str(row["ExecutionId"])] == row["Input"]


async def test_of_two_clients_that_replace_one_instance_one_has_the_row(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", "Completed", ExecutionId="old", Generation=0)
    await asyncio.gather(client.start("shop", "a", "1"), client.start("shop", "a", "2"))
    row = await row_of(hub, "a")
    assert (len(await queued(hub)), row["Generation"], row["RuntimeStatus"]) == (2, 1, "Pending")


class Meanwhile:
    """A queue service behind whose back something happens while a message is put."""

    def __init__(self, service: Any, happening: Any) -> None:
        self._service = service
        self._happening = happening

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    async def put(self, *arguments: Any) -> Any:
        await self._happening()
        return await self._service.put(*arguments)


async def test_a_last_checkpoint_of_the_old_execution_does_not_lose_the_start(
    hub: TaskHub, client: TaskHubClient
) -> None:
    await instance(hub, "a", "Completed", ExecutionId="old")

    async def checkpoint() -> None:
        await hub.merge_row("a", {"ExecutionId": "old", "CustomStatus": "null"})

    hub.account.queues = Meanwhile(hub.account.queues, checkpoint)
    await client.start("shop", "a", None)
    assert (await row_of(hub, "a"))["RuntimeStatus"] == "Pending"


async def test_an_instance_purged_during_its_restart_is_started(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", "Completed", ExecutionId="old")
    hub.account.queues = Meanwhile(hub.account.queues, lambda: client.purge("a"))
    await client.start("shop", "a", None)
    assert (await row_of(hub, "a"))["RuntimeStatus"] == "Pending"


# events, terminate, suspend, resume


async def test_an_event_is_the_recorded_message(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "03", clock)
    await client.raise_event("order-1", "Approval", '{"by":"zoë","ok":true}')
    (sent,) = await envelopes(client.hub)
    (recorded,) = golden.messages_of("04")
    assert normal.envelope(sent) == normal.envelope(recorded)


async def test_a_large_event_is_the_recorded_blob(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "03", clock)
    await client.raise_event("order-1", "Other", '"' + "E" * 70_000 + '"')
    (wrapper,) = await envelopes(client.hub)
    ours = gzip.decompress(await account.blobs.get("goldenhub-largemessages", wrapper["CompressedBlobName"])).decode()
    theirs = next(text for name, text in golden.blob_texts(golden.recorded("13")) if "-EventRaised.json" in name)
    theirs = theirs.replace(json.loads(theirs)["TaskMessage"]["Event"]["Name"], "Other")
    assert normal.envelope(json.loads(ours)) == normal.envelope(json.loads(theirs))


@pytest.mark.parametrize(
    ("operation", "name", "kind"), [("suspend", "15", "ExecutionSuspended"), ("terminate", "16", "ExecutionTerminated")]
)
async def test_the_message_of_an_operation_becomes_the_recorded_row(
    account: Account, clock: ManualClock, operation: str, name: str, kind: str
) -> None:
    client = await open_recorded(account, "03", clock)
    await getattr(client, operation)("order-1", "audit")
    (sent,) = await queued(client.hub)
    assert (sent.execution_id, sent.sender_instance, sent.episode) == (None, "", None)
    recorded = next(row for row in golden.rows_of(name, "History") if row["EventType"] == kind)
    ours = to_entity(sent.event, "order-1", str(recorded["RowKey"]), str(recorded["ExecutionId"]))
    assert normal.row({**ours, "IsPlayed": recorded["IsPlayed"]}) == normal.row(recorded)


@pytest.mark.parametrize("reason", [None, "", "a & b % ü"])
@pytest.mark.parametrize(
    ("operation", "status", "part"),
    [("terminate", "Running", "Input"), ("suspend", "Running", "Reason"), ("resume", "Suspended", "Reason")],
)
async def test_a_reason_is_sent_as_it_is(
    hub: TaskHub, client: TaskHubClient, operation: str, status: str, part: str, reason: str | None
) -> None:
    await instance(hub, "a", status)
    await getattr(client, operation)("a", reason)
    (sent,) = await queued(hub)
    assert (sent.event[part], sent.instance_id) == (reason, "a")


ALLOWED = {
    "terminate": RUNNING_STATES,
    "suspend": RUNNING_STATES - {"Suspended"},
    "resume": {"Suspended"},
    "rewind": {"Failed"},
}


@pytest.mark.parametrize("operation", ALLOWED)
@pytest.mark.parametrize("status", sorted(ALL_STATES))
async def test_an_operation_is_allowed_in_some_states(
    hub: TaskHub, client: TaskHubClient, operation: str, status: str
) -> None:
    await instance(hub, "a", status)
    await hub.append_history(
        History("a"), [messages.execution_started(hub.clock.now(), "a", "e", "Shop", None)], "e", 0
    )
    if status in ALLOWED[operation]:
        await getattr(client, operation)("a", "why")
        return
    text = f"Cannot {operation} the orchestration instance a because instance is in the {status} state."
    if operation == "rewind":
        text = "The rewind operation is only supported on failed orchestration instances."
    with pytest.raises(InvalidOperation) as refused:
        await getattr(client, operation)("a", "why")
    assert str(refused.value) == text
    assert await queued(hub) == []


@pytest.mark.parametrize("operation", ["terminate", "suspend", "resume", "rewind"])
async def test_an_operation_on_no_instance_is_refused(hub: TaskHub, client: TaskHubClient, operation: str) -> None:
    with pytest.raises(InstanceNotFound, match="'a'"):
        await getattr(client, operation)("a", None)
    assert await queued(hub) == []


async def test_an_operation_on_a_row_without_a_status_is_refused(hub: TaskHub, client: TaskHubClient) -> None:
    await hub.merge_row("a", {"ExecutionId": "e"})
    with pytest.raises(InvalidOperation, match="in the Unknown state"):
        await client.terminate("a", None)


# restart


async def test_a_restart_keeps_name_and_input(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", "Running", Input='"{\\"a\\": 1}"', Version="2")
    new_id = await client.restart("a")
    assert normal.text(new_id) == "<hex32>"
    row = await row_of(hub, new_id)
    assert (row["Name"], row["Input"], row["Version"], row["Generation"]) == ("Shop", '"{\\"a\\": 1}"', "2", 0)


async def test_a_restart_under_the_same_id_replaces_a_finished_instance(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", "Completed", Input="1", Generation=0)
    assert await client.restart("a", with_new_id=False) == "a"
    assert (await row_of(hub, "a"))["Generation"] == 1


async def test_a_restart_under_the_same_id_leaves_a_running_instance_alone(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", "Running")
    with pytest.raises(InstanceExists, match="with the status Running already exists"):
        await client.restart("a", with_new_id=False)


async def test_a_restart_takes_a_large_input_along(hub: TaskHub, client: TaskHubClient) -> None:
    await client.start("big", "a", large := '"' + "x" * 70_000 + '"')
    status = await client.status(await client.restart("a"))
    assert status is not None and status.input == large


@pytest.mark.parametrize("with_new_id", [True, False])
async def test_a_restart_of_no_instance_is_refused(client: TaskHubClient, with_new_id: bool) -> None:
    with pytest.raises(InstanceNotFound, match="^An orchestrastion with the instanceId a was not found.$"):
        await client.restart("a", with_new_id)


async def test_a_restart_of_a_row_without_a_name_is_refused(hub: TaskHub, client: TaskHubClient) -> None:
    await hub.merge_row("a", {"ExecutionId": "e"})
    with pytest.raises(InvalidOperation, match="which function"):
        await client.restart("a")


# purge


async def test_a_purge_leaves_what_was_recorded(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "02", clock)
    assert await client.purge("order-1") == 1
    after = golden.recorded("19")
    for table, rows in after["tables"].items():
        assert [row async for row in account.tables.rows(table)] == rows == []
    assert await client.purge("order-1") == 0


async def test_a_purge_deletes_its_own_blobs_and_nobody_elses(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "14", clock)
    await client.start("big", "order-10", '"' + "x" * 70_000 + '"')
    await client.purge("order-1")
    names = [blob.name async for blob in account.blobs.list("goldenhub-largemessages")]
    assert len(names) == 1 and names[0].startswith("order-10/")
    assert await client.status("order-10") is not None


@pytest.mark.parametrize("status", sorted(ALL_STATES))
async def test_a_purge_by_id_asks_for_no_state(hub: TaskHub, client: TaskHubClient, status: str) -> None:
    await instance(hub, "a", status)
    assert await client.purge("a") == 1


async def test_a_purge_leaves_messages_in_their_queue(hub: TaskHub, client: TaskHubClient) -> None:
    await client.start("shop", "a", None)
    await client.purge("a")
    assert len(await queued(hub)) == 1


async def test_an_instance_with_a_missing_blob_can_be_purged(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", "Running", Input=hub.large.url("a/gone.json.gz"))
    assert await client.purge("a") == 1


async def test_a_purge_that_was_cut_short_can_be_repeated(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", "Completed")
    tables, hub.account.tables = hub.account.tables, Broken(hub.account.tables, "write")
    with pytest.raises(AccountUnreachable):
        await client.purge("a")
    hub.account.tables = tables
    assert await client.purge("a") == 1


@pytest.mark.parametrize(
    ("statuses", "left"),
    [
        (["Completed"], "bcd"),
        (["Completed", "Failed"], "cd"),
        (["Completed", "Running"], "bcd"),
        (["Running"], ""),
        ([], ""),
    ],
)
async def test_a_purge_by_filter_counts_terminal_states_only(
    hub: TaskHub, client: TaskHubClient, statuses: list[str], left: str
) -> None:
    for instance_id, status in zip("abcd", ["Completed", "Failed", "Running", "Suspended"], strict=True):
        await instance(hub, instance_id, status)
    assert await client.purge_by(StatusQuery(statuses=statuses)) == 4 - len(left)
    rest, _ = await client.list(StatusQuery())
    assert [status.instance_id for status in rest] == list(left)


async def test_a_purge_by_time_takes_what_was_created_then(
    hub: TaskHub, client: TaskHubClient, clock: ManualClock
) -> None:
    begin = clock.now()
    for number in range(40):
        await instance(hub, f"i{number:02d}", "Completed")
        clock.advance(timedelta(minutes=1))
    query = StatusQuery(created_from=begin + timedelta(minutes=5), created_to=begin + timedelta(minutes=34))
    assert await client.purge_by(query) == 30
    assert await client.purge_by(query) == 0
    rest, _ = await client.list(StatusQuery())
    assert [status.instance_id for status in rest] == [f"i{n:02d}" for n in (*range(5), *range(35, 40))]


# status and list


async def test_the_status_of_no_instance_is_none(client: TaskHubClient) -> None:
    assert await client.status("nobody") is None
    assert await client.history("nobody") == []


async def test_an_input_is_left_out_when_nobody_asks(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", "Running", Input=hub.large.url("a/gone.json.gz"))
    status = await client.status("a", show_input=False)
    assert status is not None and status.input is None


async def test_a_status_without_its_blob_is_not_found_and_a_list_shows_the_address(
    hub: TaskHub, client: TaskHubClient
) -> None:
    await instance(hub, "a", "Running", Input=(url := hub.large.url("a/gone.json.gz")))
    await instance(hub, "b", "Completed", Output="1")
    with pytest.raises(NotFound):
        await client.status("a")
    found, _ = await client.list(StatusQuery())
    assert [(status.instance_id, status.input, status.output) for status in found] == [
        ("a", url, None),
        ("b", None, "1"),
    ]


async def test_a_reason_that_looks_like_an_address_is_shown_as_it_is(hub: TaskHub, client: TaskHubClient) -> None:
    await instance(hub, "a", "Terminated", Output="http://[see the ticket")
    status = await client.status("a")
    assert status is not None and status.output == "http://[see the ticket"


async def test_a_pending_instance_has_no_history_to_show(hub: TaskHub, client: TaskHubClient) -> None:
    await client.start("shop", "a", None)
    assert await client.history("a") == []


async def test_a_rewound_instance_that_still_waits_has_no_history_to_show(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "18", clock)
    assert await client.history("order-1") == []


async def test_the_history_of_a_recorded_instance_is_shown(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "02", clock)
    shown = await client.history("order-1", show_output=True)
    kinds = ["ExecutionStarted", *["TaskCompleted"] * 3, "ExecutionCompleted"]
    assert [event["EventType"] for event in shown] == kinds
    status = golden.recorded("02")["status"]["statusBody"]
    assert shown[-1]["Result"] == status["output"]


async def every_page(client: TaskHubClient, query: StatusQuery, top: int) -> list[list[str]]:
    pages, token = [], None
    while True:
        found, token = await client.list(query, top, token)
        pages.append([status.instance_id for status in found])
        if token is None:
            return pages


async def test_pages_hold_every_instance_once_in_the_order_of_ids(hub: TaskHub, client: TaskHubClient) -> None:
    ids = ["B", "a", "a/b", "ab", "b", "é", "@c@k"]
    for instance_id in ids:
        await instance(hub, instance_id, "Running")
    pages = await every_page(client, StatusQuery(), 2)
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert [instance_id for page in pages for instance_id in page] == ["@c@k", "B", "a", "a/b", "ab", "b", "é"]


@pytest.mark.parametrize(("top", "pages"), [(3, [["a", "b", "c"]]), (2, [["a", "b"], ["c"]]), (100, [["a", "b", "c"]])])
async def test_the_last_page_has_no_token(
    hub: TaskHub, client: TaskHubClient, top: int, pages: list[list[str]]
) -> None:
    for instance_id in "abc":
        await instance(hub, instance_id, "Running")
    await instance(hub, "d", "Completed")
    assert await every_page(client, StatusQuery(statuses=["Running"]), top) == pages


async def test_a_page_may_be_larger_than_the_services(hub: TaskHub, client: TaskHubClient) -> None:
    for number in range(1100):
        await hub.merge_row(f"{number:04d}", {"RuntimeStatus": "Running"})
    found, token = await client.list(StatusQuery(), top=1050)
    assert (len(found), found[-1].instance_id) == (1050, "1049")
    rest, token = await client.list(StatusQuery(), top=1050, token=token)
    assert (len(rest), token) == (50, None)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (StatusQuery(), ["a1", "a2", "b1"]),
        (StatusQuery(prefix="a"), ["a1", "a2"]),
        (StatusQuery(prefix="A"), []),
        (StatusQuery(prefix="a", statuses=["Completed"]), ["a2"]),
        (StatusQuery(statuses=["Completed", "Running"]), ["a1", "a2", "b1"]),
        (StatusQuery(created_from=datetime(2026, 1, 2, 3, 5, 5, tzinfo=timezone.utc)), ["a2", "b1"]),
        (StatusQuery(created_to=datetime(2026, 1, 2, 3, 5, 5, tzinfo=timezone.utc)), ["a1", "a2"]),
    ],
)
async def test_conditions_hold_together_and_times_are_inclusive(
    hub: TaskHub, client: TaskHubClient, clock: ManualClock, query: StatusQuery, ids: list[str]
) -> None:
    for instance_id, status in (("a1", "Running"), ("a2", "Completed"), ("b1", "Completed")):
        await instance(hub, instance_id, status)
        clock.advance(timedelta(minutes=1))
    found, _ = await client.list(query)
    assert [status.instance_id for status in found] == ids


@pytest.mark.parametrize("token", ["nonsense", "bm9uc2Vuc2U=", "e30=", "eyJuZXh0IjogMX0=", "W10=", "é"])
async def test_a_token_that_is_not_ours_is_refused(client: TaskHubClient, token: str) -> None:
    with pytest.raises(ValueError, match="continuation token"):
        await client.list(StatusQuery(), token=token)


async def test_a_token_around_nonsense_is_refused(client: TaskHubClient) -> None:
    token = base64.b64encode(b'{"next": "nonsense"}').decode()
    with pytest.raises(ValueError, match="continuation token"):
        await client.list(StatusQuery(), token=token)


@pytest.mark.parametrize("top", [0, -1])
async def test_a_page_of_nothing_is_refused(client: TaskHubClient, top: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        await client.list(StatusQuery(), top)


# entities


async def test_a_signal_is_the_recorded_message(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "12", clock)
    await account.queues.clear(QUEUE)
    await client.signal_entity("@counter@k1", "add", "7")
    (sent,) = await envelopes(client.hub)
    (recorded,) = golden.messages_of("12")
    assert normal.envelope(sent) == normal.envelope(recorded)


async def test_the_state_of_the_recorded_entity_is_read(account: Account, clock: ManualClock) -> None:
    client = await open_recorded(account, "12", clock)
    assert await client.entity_state("@counter@k1") == golden.recorded("12")["entityState"][1] == "1"
    assert await client.entity_state("@counter@nobody") is None
    found, token = await client.list_entities(None, None, None, fetch_state=True)
    assert ([(e.name, e.key, e.state) for e in found], token) == ([("counter", "k1", "1")], None)


async def entity(hub: TaskHub, instance_id: str, state: str | None, exists: bool = True) -> None:
    scheduler = {"exists": exists, **({} if state is None else {"state": state})}
    custom = json.dumps({"entityExists": True} if exists else {})
    await instance(hub, instance_id, "Running", Input=json.dumps(scheduler), CustomStatus=custom)


async def test_entities_are_listed_by_name_and_page(hub: TaskHub, client: TaskHubClient) -> None:
    for key in "abc":
        await entity(hub, f"@counter@{key}", "1")
    await entity(hub, "@countertop@a", "2")
    await instance(hub, "A", "Running")
    found, token = await client.list_entities("Counter", None, None, fetch_state=False, top=2)
    assert [(e.name, e.key, e.state, e.last_operation) for e in found] == [
        ("counter", key, None, hub.clock.now()) for key in "ab"
    ]
    found, token = await client.list_entities("Counter", None, None, fetch_state=False, top=2, token=token)
    assert ([e.key for e in found], token) == (["c"], None)
    found, _ = await client.list_entities(None, None, None, fetch_state=True)
    assert [(e.name, e.key, e.state) for e in found][-1] == ("countertop", "a", "2")


async def test_a_deleted_entity_is_listed_only_with_its_state(hub: TaskHub, client: TaskHubClient) -> None:
    await entity(hub, "@counter@gone", "null", exists=False)
    await entity(hub, "@counter@never", None, exists=False)
    await entity(hub, "@counter@there", "5")
    assert [await client.entity_state(f"@counter@{key}") for key in ("gone", "never", "there")] == ["null", None, "5"]
    with_state, _ = await client.list_entities("counter", None, None, fetch_state=True)
    assert [(e.key, e.state) for e in with_state] == [("gone", "null"), ("there", "5")]
    without, _ = await client.list_entities("counter", None, None, fetch_state=False, top=1)
    assert [(e.key, e.state) for e in without] == [("there", None)]


async def test_entities_are_listed_by_the_time_of_their_last_operation(
    hub: TaskHub, client: TaskHubClient, clock: ManualClock
) -> None:
    await entity(hub, "@c@a", "1")
    begin = clock.now()
    clock.advance(timedelta(hours=1))
    await entity(hub, "@c@b", "1")
    early, _ = await client.list_entities(None, None, begin, fetch_state=False)
    late, _ = await client.list_entities(None, clock.now(), None, fetch_state=False)
    assert ([e.key for e in early], [e.key for e in late]) == (["a"], ["b"])
