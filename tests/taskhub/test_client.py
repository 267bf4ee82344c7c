"""What a client does to a hub is what the real extension did in the recordings."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from taskhub import messages
from taskhub.accounts import Account, Entity
from taskhub.client import TaskHubClient
from taskhub.clock import ManualClock
from taskhub.errors import AccountUnreachable, InstanceExists, InstanceNotFound, InvalidOperation, NotFound
from taskhub.history import History, to_entity
from taskhub.hub import TaskHub
from taskhub.instances import ALL_STATES, RUNNING_STATES, TERMINAL_STATES
from tests.taskhub import golden, normal
from tests.taskhub.hubs import Broken, Meanwhile, envelopes, instance, open_recorded, queued, row_of

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
