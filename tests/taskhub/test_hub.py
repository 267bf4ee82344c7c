"""A hub's storage: what it creates, where messages go, and what guards a history."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from taskhub import messages
from taskhub.accounts import Account, Entity, Query, Where, Write
from taskhub.clock import ManualClock
from taskhub.errors import AccountUnreachable, Conflict, HubNameInvalid, NotFound, PreconditionFailed, Undecodable
from taskhub.history import History
from taskhub.hub import HubSettings, TaskHub
from taskhub.layout import SENTINEL, row_key
from taskhub.messages import Event, TaskMessage
from tests.taskhub import golden

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
QUEUE, WORK = "goldenhub-control-00", "goldenhub-workitems"


def event(kind: int, event_id: int = -1, **properties: Any) -> Event:
    return messages.event(kind, NOW, event_id, **properties)


def raised(data: str = "1") -> Event:
    return event(messages.EVENT_RAISED, Name="Go", Input=data, ParentTraceContext=None)


def started(input: str | None = None, execution_id: str = "e1") -> Event:
    return messages.execution_started(NOW, "order-1", execution_id, "Shop", input)


def episode(*events: Event) -> list[Event]:
    return [event(messages.ORCHESTRATOR_STARTED), *events, event(messages.ORCHESTRATOR_COMPLETED)]


def told(events: list[Event]) -> list[Event]:
    """Events without what is null: a row does not keep it."""
    return [{name: value for name, value in event.items() if value is not None} for event in events]


async def queued(hub: TaskHub, queue: str = QUEUE) -> list[TaskMessage]:
    return [await hub.read(message) for message in await hub.account.queues.peek(queue)]


async def rows(hub: TaskHub, instance_id: str = "order-1") -> list[Entity]:
    query = Query([Where("PartitionKey", "eq", instance_id)])
    return [row.entity async for row in hub.account.tables.rows(hub.names.history, query)]


# creation


async def test_a_new_hub_has_the_parts_of_the_recorded_one(account: Account, clock: ManualClock) -> None:
    dump = golden.recorded("01")
    await TaskHub(account, HubSettings("GoldenHub", 4), clock).create()
    assert await account.tables.names() == sorted(dump["tables"])
    assert await account.queues.names() == sorted(dump["queues"])
    assert await account.blobs.names() == sorted(dump["containers"])
    info = json.loads(await account.blobs.get("goldenhub-leases", "taskhub.json"))
    shown = {blob["name"]: blob for content in dump["containers"].values() for blob in content["blobs"]}
    assert list(info) == list(json.loads(shown["taskhub.json"]["text"]))
    assert (info["TaskHubName"], info["PartitionCount"]) == ("GoldenHub", 4)
    assert await account.blobs.get("goldenhub-applease", "goldenhub-appleaseinfo") == b"{}"


async def test_creating_a_hub_again_changes_nothing(hub: TaskHub, clock: ManualClock) -> None:
    await hub.send(TaskMessage(raised(), "order-1", None))
    await hub.account.blobs.put("goldenhub-applease", "goldenhub-appleaseinfo", b'{"OwnerId":"x"}')
    before = await hub.account.blobs.get("goldenhub-leases", "taskhub.json")
    clock.advance(timedelta(days=1))
    await hub.create()
    assert len(await queued(hub)) == 1
    assert await hub.account.blobs.get("goldenhub-leases", "taskhub.json") == before
    assert await hub.account.blobs.get("goldenhub-applease", "goldenhub-appleaseinfo") == b'{"OwnerId":"x"}'


async def test_a_hub_exists_from_its_creation_to_its_deletion(account: Account) -> None:
    hub = TaskHub(account, HubSettings("GoldenHub"))
    assert not await hub.exists()
    await hub.create()
    await hub.large.write("a/1", b"1")
    assert await hub.exists()
    await hub.delete()
    assert not await hub.exists()
    assert (await account.tables.names(), await account.queues.names(), await account.blobs.names()) == ([], [], [])


def test_a_hub_with_a_bad_name_is_refused(account: Account) -> None:
    with pytest.raises(HubNameInvalid):
        TaskHub(account, HubSettings("my-hub"))


# messages


async def test_work_items_and_other_messages_have_queues_of_their_own(hub: TaskHub) -> None:
    task = event(messages.TASK_SCHEDULED, 0, Name="work", Version="", Input="[1]", ParentTraceContext=None)
    await hub.send(TaskMessage(task, "order-1", "e1"))
    await hub.send(TaskMessage(raised(), "order-1", None))
    assert [message.kind for message in await queued(hub, WORK)] == [messages.TASK_SCHEDULED]
    assert [message.kind for message in await queued(hub)] == [messages.EVENT_RAISED]


async def test_a_message_arrives_as_it_was_sent(hub: TaskHub) -> None:
    sent = TaskMessage(raised(), "order-1", "e1", "parent", "e0", episode=3, with_context=True, activity_id="x-1")
    await hub.send(sent)
    assert await queued(hub) == [sent]


async def test_a_message_goes_to_the_queue_of_its_instance(account: Account, clock: ManualClock) -> None:
    hub = TaskHub(account, HubSettings("GoldenHub", 4), clock)
    await hub.create()
    for instance_id, index in (("order-1", 1), ("order-2", 0), ("order-10", 3)):
        await hub.send(TaskMessage(raised(), instance_id, None))
        assert [m.instance_id for m in await queued(hub, f"goldenhub-control-{index:02d}")] == [instance_id]


@pytest.mark.parametrize(("delay", "cut"), [(timedelta(seconds=90), 90), (timedelta(days=30), 7 * 86400)])
async def test_a_delay_is_cut_to_seven_days(hub: TaskHub, clock: ManualClock, delay: timedelta, cut: int) -> None:
    message = await hub.send(TaskMessage(raised(), "order-1", None), delay)
    assert message.next_visible == clock.now() + timedelta(seconds=cut)


async def test_a_queue_that_is_missing_is_created_when_it_is_needed(hub: TaskHub) -> None:
    await hub.account.queues.drop(QUEUE)
    await hub.send(TaskMessage(raised(), "order-1", None))
    assert len(await queued(hub)) == 1


async def test_a_large_message_waits_in_a_blob(hub: TaskHub) -> None:
    blob = (await hub.post(TaskMessage(raised("x" * 70_000), "a/b", None, activity_id="01d1e252-f1ca-4528"))).blob
    assert blob == "a^0b/message-01d1e252f1ca4528-EventRaised.json.gz"
    (message,) = await hub.account.queues.peek(QUEUE)
    assert messages.from_text(message.text) == messages.wrapper(blob)
    assert (await hub.read(message)).event["Input"] == "x" * 70_000


async def test_a_message_just_below_the_limit_stays_in_the_queue(hub: TaskHub) -> None:
    empty = len(messages.to_json(messages.envelope(TaskMessage(raised(""), "order-1", None, activity_id="x"))))
    for length, is_large in ((45 * 1024 - empty - 10, False), (45 * 1024 - empty + 1, True)):
        blob = (await hub.post(TaskMessage(raised("x" * length), "order-1", None, activity_id="x"))).blob
        assert (blob is not None) is is_large


async def test_a_message_whose_blob_is_missing_is_not_found(hub: TaskHub) -> None:
    blob = (await hub.post(TaskMessage(raised("x" * 70_000), "order-1", None))).blob
    assert blob is not None
    await hub.account.blobs.delete(hub.names.large_messages, blob)
    (message,) = await hub.account.queues.peek(QUEUE)
    with pytest.raises(NotFound):
        await hub.read(message)


async def test_what_is_no_message_is_undecodable(hub: TaskHub) -> None:
    await hub.account.queues.put(QUEUE, "bm9uc2Vuc2U=")
    (message,) = await hub.account.queues.peek(QUEUE)
    with pytest.raises(Undecodable):
        await hub.read(message)


async def test_a_recorded_large_message_is_read(account: Account) -> None:
    hub = TaskHub(account, await golden.load(account, "13"))
    wrapper = messages.wrapper("order-1/message-a79c671461f242a6b28c741ee578438c-EventRaised.json.gz")
    await account.queues.put(QUEUE, messages.to_text(messages.to_json(wrapper), "base64"))
    (message,) = await queued(hub)
    assert message.event["Input"] == '"' + "E" * 70_000 + '"'


# history


async def test_a_history_is_read_as_it_was_appended(hub: TaskHub, clock: ManualClock) -> None:
    history = await hub.read_history("order-1")
    assert (history.events, history.etag, history.execution_id) == ([], None, None)
    await hub.append_history(history, first := episode(started('{"a": 1}')), "e1", 0)
    await hub.append_history(history, second := episode(raised()), "e1", 3)
    again = await hub.read_history("order-1")
    assert history.events == [*first, *second]
    assert told(again.events) == told(history.events)
    assert (again.etag, again.execution_id, again.checkpoint_complete) == (history.etag, "e1", True)
    assert again.checkpoint_time == clock.now()


async def test_the_rows_of_a_first_episode_have_the_recorded_columns(hub: TaskHub) -> None:
    await hub.append_history(History("order-1"), episode(started('{"sku":1}')), "e1", 0)
    names_and_types = [{k: type(v) for k, v in row.items()} for row in await rows(hub)]
    assert names_and_types == [{k: type(v) for k, v in row.items()} for row in golden.rows_of("03", "History")[-4:]]


async def test_two_workers_cannot_both_begin_a_history(hub: TaskHub) -> None:
    mine, theirs = History("order-1"), History("order-1")
    await hub.append_history(theirs, episode(started()), "e1", 0)
    with pytest.raises(Conflict):
        await hub.append_history(mine, episode(started(execution_id="e2")), "e2", 0)
    assert (await hub.read_history("order-1")).execution_id == "e1"


async def test_two_workers_cannot_both_go_on_with_a_history(hub: TaskHub) -> None:
    await hub.append_history(History("order-1"), episode(started()), "e1", 0)
    mine, theirs = await asyncio.gather(hub.read_history("order-1"), hub.read_history("order-1"))
    await hub.append_history(theirs, episode(raised("1")), "e1", 3)
    with pytest.raises(PreconditionFailed):
        await hub.append_history(mine, episode(raised("2")), "e1", 3)
    assert [e["Input"] for e in (await hub.read_history("order-1")).events if e.get("Name") == "Go"] == ["1"]


async def test_a_missing_sentinel_does_no_harm(hub: TaskHub) -> None:
    await hub.append_history(History("order-1"), first := episode(started()), "e1", 0)
    sentinel: Entity = {"PartitionKey": "order-1", "RowKey": "sentinel"}
    await hub.account.tables.write(hub.names.history, Write("delete", sentinel))
    history = await hub.read_history("order-1")
    assert (told(history.events), history.etag, history.execution_id) == (told(first), None, "e1")
    await hub.append_history(history, episode(raised()), "e1", 3)
    assert len((await hub.read_history("order-1")).events) == 6


async def test_rows_of_an_older_execution_are_not_read(hub: TaskHub) -> None:
    history = History("order-1")
    await hub.append_history(history, episode(started(), *(raised() for _ in range(5))), "e1", 0)
    await hub.append_history(history, again := episode(started(execution_id="e2")), "e2", 0)
    assert history.events == again
    assert told((await hub.read_history("order-1")).events) == told(again)
    assert len(await rows(hub)) == 9


@pytest.mark.parametrize("count", [97, 98, 250])
async def test_a_long_episode_takes_several_transactions_and_ends_complete(hub: TaskHub, count: int) -> None:
    events = episode(*(raised(str(number)) for number in range(count)))
    await hub.append_history(history := History("order-1"), events, "e1", 0)
    again = await hub.read_history("order-1")
    assert told(again.events) == told(events)
    assert (again.etag, again.checkpoint_complete) == (history.etag, True)


async def test_an_episode_that_was_cut_between_transactions_is_seen_as_incomplete(hub: TaskHub) -> None:
    tables, calls = hub.account.tables, 0
    transact = tables.transact

    async def fails_at_the_second(table: str, writes: Any) -> list[str]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise NotFound("the host died here")
        return await transact(table, writes)

    tables.transact = fails_at_the_second  # type: ignore[method-assign]
    with pytest.raises(NotFound):
        await hub.append_history(History("order-1"), episode(*(raised() for _ in range(150))), "e1", 0)
    history = await hub.read_history("order-1")
    assert (len(history.events), history.checkpoint_complete, history.checkpoint_time) == (99, False, None)


async def test_large_texts_go_to_blobs_and_come_back(hub: TaskHub) -> None:
    large = '"' + "x" * 70_000 + '"'
    done = event(messages.EXECUTION_COMPLETED, OrchestrationStatus=1, Result=large)
    history = History("order-1")
    blobs = await hub.append_history(history, episode(started(large), done), "e1", 0)
    assert list(blobs) == ["Input", "Result"]
    again = await hub.read_history("order-1")
    assert [again.events[1]["Input"], again.events[2]["Result"]] == [large, large]
    assert again.blobs == history.blobs == list(blobs.values())


async def test_a_large_column_is_stored_as_in_the_recording(hub: TaskHub) -> None:
    await hub.append_history(History("order-1"), episode(started("x" * 70_000)), "e1", 0)
    ours = (await rows(hub))[1]
    theirs = golden.rows_of("13", "History")[1]
    assert ours.keys() == theirs.keys()
    assert (ours["Input"], theirs["Input"]) == ("", "")
    pattern = r"order-1/history-0000000000000001-ExecutionStarted-[0-9A-F]{8}-Input\.json\.gz"
    for row in (ours, theirs):
        assert re.fullmatch(pattern, str(row["InputBlobName"]))


async def test_a_history_whose_blob_is_missing_is_not_found(hub: TaskHub) -> None:
    blobs = await hub.append_history(History("order-1"), episode(started("x" * 70_000)), "e1", 0)
    await hub.account.blobs.delete(hub.names.large_messages, blobs["Input"])
    with pytest.raises(NotFound):
        await hub.read_history("order-1")


async def test_a_row_that_is_no_event_makes_the_history_undecodable(hub: TaskHub) -> None:
    await hub.append_history(History("order-1"), episode(started()), "e1", 0)
    broken: Entity = {"PartitionKey": "order-1", "RowKey": "0000000000000001", "EventType": "Nonsense"}
    await hub.account.tables.write(hub.names.history, Write("upsert", broken, mode="merge"))
    with pytest.raises(Undecodable):
        await hub.read_history("order-1")


@pytest.mark.parametrize("name", [name for name in golden.NAMES if name[:2] not in ("01", "19")])
async def test_a_recorded_history_is_read(account: Account, name: str) -> None:
    hub = TaskHub(account, await golden.load(account, name))
    history = await hub.read_history("order-1")
    recorded = [row for row in golden.rows_of(name, "History") if row["PartitionKey"] == "order-1"]
    assert len(history.events) == len(recorded) - 1
    assert history.is_terminal is (name[:2] in ("02", "14", "16", "17"))
    assert history.execution_id == recorded[-1]["ExecutionId"]


async def test_a_deleted_history_is_gone_and_others_stay(hub: TaskHub) -> None:
    await hub.append_history(History("order-1"), episode(*(raised() for _ in range(250))), "e1", 0)
    await hub.append_history(History("order-10"), episode(started()), "e1", 0)
    await hub.delete_history("order-1")
    assert (await rows(hub), len(await rows(hub, "order-10"))) == ([], 4)


async def test_what_a_deletion_that_was_cut_short_leaves_of_a_history_is_its_beginning(hub: TaskHub) -> None:
    await hub.append_history(History("order-1"), episode(started(), *(raised() for _ in range(250))), "e1", 0)
    whole, left = hub.account.tables, [1]

    class Lost:
        def __getattr__(self, name: str) -> object:
            return getattr(whole, name)

        async def transact(self, table: str, writes: list[Write]) -> list[str]:
            if not left:
                raise AccountUnreachable("the account is gone")
            left.pop()
            return await whole.transact(table, writes)

    hub.account.tables = Lost()  # type: ignore[assignment]
    with pytest.raises(AccountUnreachable):
        await hub.delete_history("order-1")
    hub.account.tables = whole
    history = await hub.read_history("order-1")
    assert [event["EventType"] for event in history.events[:2]] == [
        messages.ORCHESTRATOR_STARTED,
        messages.EXECUTION_STARTED,
    ]
    assert 100 < len(history.events) < 250


async def test_a_history_is_deleted_from_a_row_on_and_keeps_its_sentinel(hub: TaskHub) -> None:
    await hub.append_history(History("order-1"), episode(started(), *(raised() for _ in range(10))), "e1", 0)
    await hub.delete_history("order-1", 4)
    assert [str(row["RowKey"]) for row in await rows(hub)] == [row_key(0), row_key(1), row_key(2), row_key(3), SENTINEL]


# instances


async def test_columns_of_an_instance_are_merged(hub: TaskHub) -> None:
    await hub.merge_row("a/b", {"RuntimeStatus": "Running", "Name": "Shop"})
    await hub.merge_row("a/b", {"RuntimeStatus": "Completed"})
    row = await hub.read_row("a/b")
    assert row is not None
    assert row.entity == {"PartitionKey": "a^0b", "RowKey": "", "RuntimeStatus": "Completed", "Name": "Shop"}
    status = await hub.status_of(row)
    assert (status.instance_id, status.runtime_status, status.created) == ("a/b", "Completed", None)


async def test_a_row_that_lost_its_columns_has_an_unknown_status(hub: TaskHub) -> None:
    await hub.merge_row("order-1", {"ExecutionId": "e1"})
    row = await hub.read_row("order-1")
    assert row is not None and (await hub.status_of(row)).runtime_status == "Unknown"


async def test_a_recorded_large_output_is_fetched(account: Account) -> None:
    hub = TaskHub(account, await golden.load(account, "14"))
    row = await hub.read_row("order-1")
    assert row is not None
    status = await hub.status_of(row, show_input=False)
    assert status.input is None and status.output is not None and len(status.output) > 70_000


async def test_the_platforms_column_for_a_long_input_is_read_too(hub: TaskHub) -> None:
    await hub.large.write("order-1/history--Input-0000ABCD-Input.json.gz", b'"long"')
    blob = "order-1/history--Input-0000ABCD-Input.json.gz"
    await hub.merge_row("order-1", {"Input": "", "InputBlobName": blob})
    row = await hub.read_row("order-1")
    assert row is not None and (await hub.status_of(row)).input == '"long"'
