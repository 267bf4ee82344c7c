"""A hub read from its account says the same as the recorded state that was written into it."""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from recovery import rules
from recovery.errors import HubNotFound
from recovery.examination import Doctor
from recovery.fence import Fence, take_over
from recovery.findings import worst
from recovery.hubs import find_hub, live_leases
from recovery.journal import Journal
from recovery.looks import HIDDEN_AT_MOST
from recovery.records import RecordChanged, RecordsUnreachable, open_place
from recovery.replay import load_app
from recovery.snapshot import Snapshot
from taskhub import history as histories
from taskhub import messages as m
from taskhub.accounts import Write, open_account
from taskhub.client import TaskHubClient
from taskhub.clock import ManualClock
from taskhub.errors import AccountUnreachable
from taskhub.hub import HubSettings, TaskHub
from taskhub.layout import row_key
from taskhub.messages import TaskMessage, to_text
from tests.recovery import cuts, standby
from tests.taskhub.accounts import conftest as helpers


@asynccontextmanager
async def empty_hub(partitions=1, now=cuts.NOW):
    clock = ManualClock(now)
    account = await open_account(":memory:", clock)
    hub = TaskHub(account, HubSettings(cuts.HUB, partitions), clock)
    await hub.create()
    try:
        yield hub
    finally:
        await account.close()


@pytest.mark.parametrize("encoding", ["base64", "text"])
async def test_every_recorded_cut_read_from_an_account_gets_its_recorded_outcome(encoding):
    for cut in cuts.cuts():
        async with empty_hub() as hub:
            await cuts.pour(cut, hub, encoding)
            snapshot = await Snapshot.take(hub)
            read = {
                one.instance_id: rules.judge(await snapshot.facts(one.instance_id)) async for one in snapshot.glances()
            }
            direct = {name: rules.judge(facts) for name, facts in cuts.facts(cut).items()}
            assert {k: (v.rule, v.outcome) for k, v in read.items()} == {
                k: (v.rule, v.outcome) for k, v in direct.items()
            }, cut.name


async def test_many_instances_in_one_hub_are_each_judged_by_their_own_state():
    wanted = [cut for cut in cuts.cuts() if len(cut.ids) == 1 and cut.ids[0] == cut.name]
    async with empty_hub() as hub:
        for cut in wanted:
            await cuts.pour(cut, hub)
        found = await Doctor(hub).examine()
        outcomes = {line.instance_id: line.outcome for line in found.lines()}
        for cut in wanted:
            if cut.name not in ("lostevent", "wrongx"):
                assert worst([outcomes.get(cut.name, "fine")]) == cut.outcome, cut.name
        assert found.instances == len(wanted)


async def test_invisible_messages_of_an_embedded_account_are_read_too():
    cut = next(cut for cut in cuts.cuts() if cut.name == "pendrow")
    async with empty_hub() as hub:
        await cuts.pour(cut, hub)
        snapshot = await Snapshot.take(hub)
        (message,) = snapshot.messages_of("pendrow")
        assert message.next_visible == cuts.NOW + timedelta(seconds=600)
        assert message.dequeue_count == 0


async def test_a_sweep_by_receiving_gives_every_message_back_and_counts_what_it_could_not_see(monkeypatch):
    monkeypatch.setattr("recovery.sweep.direct_reader", lambda account, queue: None)
    async with empty_hub() as hub:
        for name in ("c9L", "pendrow"):
            await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == name), hub)
        snapshot = await Snapshot.take(hub, "receipts")
        assert [x.describe() for x in snapshot.messages_of("c9L")] == ["TaskCompleted#0", "TaskScheduled#0"]
        assert snapshot.unseen == {cuts.CONTROL: 1}
        assert await hub.account.queues.peek(cuts.CONTROL) == []
        await snapshot.release()
        (message,) = await hub.account.queues.peek(cuts.CONTROL)
        assert message.dequeue_count == 1
        verdict = rules.judge(await snapshot.facts("pendrow"))
        assert verdict.kind == "undecided"  # its timer may be the message that was not seen


async def test_a_look_at_a_live_hub_takes_no_message(monkeypatch):
    monkeypatch.setattr("recovery.sweep.direct_reader", lambda account, queue: None)
    async with empty_hub() as hub:
        await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == "c9L"), hub)
        snapshot = await Snapshot.take(hub, "peek")
        assert snapshot.messages_of("c9L")
        (message,) = await hub.account.queues.peek(cuts.CONTROL)
        assert message.dequeue_count == 0


async def test_an_unreadable_message_is_named_with_its_reason_and_the_others_are_read():
    async with empty_hub() as hub:
        await hub.account.queues.put(cuts.CONTROL, "not a message")
        await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == "c16E"), hub)
        found = await Doctor(hub).examine()
        assert [message.problem for message in found.unaddressed] != [""]
        assert found.instances == 1 and not found.is_clean
        repaired = await Doctor(hub).repair(found)
        assert repaired.is_clean
        assert await hub.account.queues.count(cuts.CONTROL) == 1


async def test_a_history_row_that_cannot_be_read_is_named_and_the_others_are_judged():
    async with empty_hub() as hub:
        await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == "c16E"), hub)
        row = {"PartitionKey": "broken", "RowKey": "0000000000000000", "EventType": "Nonsense", "ExecutionId": "x"}
        await hub.account.tables.write(hub.names.history, Write("upsert", row))
        found = await Doctor(hub).examine()
        (line,) = [line for line in found.lines() if line.instance_id == "broken"]
        assert line.rule == "unreadable-row" and "Nonsense" in line.because
        assert found.instances == 2


async def test_the_hub_of_an_account_is_found_by_itself_and_with_its_number_of_partitions():
    async with empty_hub(partitions=3) as hub:
        found = await find_hub(hub.account, None)
        assert (found.names.hub, found.names.partition_count) == (cuts.HUB, 3)
        assert (await find_hub(hub.account, "goldenhub")).names.hub == cuts.HUB
        await TaskHub(hub.account, HubSettings("Second")).create()
        with pytest.raises(HubNotFound, match="GoldenHub, Second"):
            await find_hub(hub.account, None)
        with pytest.raises(HubNotFound, match="no task hub 'Third'"):
            await find_hub(hub.account, "Third")


async def test_leases_in_blobs_and_in_the_partition_table_are_seen_while_they_last():
    async with empty_hub() as hub:
        assert await live_leases(hub) == []
        await hub.account.tables.create(f"{cuts.HUB}Partitions")
        row = {
            "PartitionKey": "", "RowKey": cuts.CONTROL, "CurrentOwner": "w1",
            "ExpiresAt": cuts.NOW + timedelta(seconds=30),
        }  # fmt: skip
        await hub.account.tables.write(f"{cuts.HUB}Partitions", Write("upsert", row))
        assert await live_leases(hub) == [f"{cuts.CONTROL} belongs to w1 until 10:30:30Z"]
        hub.clock.advance(timedelta(minutes=1))
        assert await live_leases(hub) == []


async def test_a_missing_blob_behind_a_history_is_an_error_loop_and_is_repaired():
    async with empty_hub() as hub:
        cut = next(cut for cut in cuts.cuts() if cut.name == "losttimer")
        await cuts.pour(cut, hub)
        row = {
            "PartitionKey": "losttimer", "RowKey": "0000000000000005", "Result": "",
            "ResultBlobName": "losttimer/history-0000000000000005-TaskCompleted-abcdef01-Result.json.gz",
        }  # fmt: skip
        await hub.account.tables.write(hub.names.history, Write("upsert", row, mode="merge"))
        found = await Doctor(hub).examine()
        (line,) = found.lines(True)
        assert (line.outcome, line.rule) == ("error-loop", "blob-of-history-missing")
        repaired = await Doctor(hub).repair(found)
        assert "give --app" in repaired.left["losttimer"]  # gone back to before the result, whose input only code knows


async def test_a_hub_on_azurite_is_judged_by_receiving_and_repaired(azurite):
    account = await open_account(azurite)
    try:
        hub = TaskHub(account, cuts.settings())
        for name in ("lostwork", "c9L", "c16L", "c2E", "losthist", "s3", "hole", "c17L", "c23", "m1b"):
            await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == name), hub)
        doctor = Doctor(hub, load_app(standby.GOLDEN).replay)
        found = await doctor.examine()
        outcomes = {line.instance_id: line.outcome for line in found.lines()}
        for name in ("lostwork", "c9L", "c16L", "c2E", "losthist", "s3", "hole", "c17L", "m1b"):
            assert outcomes[name] == next(cut for cut in cuts.cuts() if cut.name == name).outcome
        repaired = await doctor.repair(found)
        assert repaired.is_clean, repaired.left
        assert len(await account.queues.peek(cuts.CONTROL)) > 0  # what the sweep had taken is visible again
    finally:
        await account.close()


async def test_on_azurite_a_hidden_message_is_no_timer_and_a_look_changes_no_message(azurite):
    clock = ManualClock(datetime.now(timezone.utc))
    account = await open_account(azurite)
    hub = TaskHub(account, HubSettings("Hidden", 1), clock)
    try:
        await hub.create()
        control = hub.names.control_queues[0]
        for name in ("losttimer", "c16E", "lostwork"):
            cut = next(cut for cut in cuts.cuts() if cut.name == name)
            await cuts.pour(replace(cut, queued=()), hub)
            for _, _, envelope in cut.queued:
                await account.queues.put(control, to_text(m.to_json(envelope), "base64"))
        rows = [row.entity async for row in account.tables.rows(hub.names.history)]
        timer = next(row for row in rows if row.get("EventType") == "TimerCreated")
        later = {**timer, "FireAt": clock.now() + timedelta(hours=2)}
        await account.tables.write(hub.names.history, Write("upsert", later))
        await account.queues.put(control, "no message")
        (event,) = await account.queues.get(control, 1, timedelta(minutes=5))
        doctor = Doctor(hub, load_app(standby.GOLDEN).replay)
        found = await doctor.examine()
        (message,) = await account.queues.peek(control)
        assert message.dequeue_count == 0 and (found.unseen, found.undecided) == ({control: 1}, 1)
        repaired = await doctor.repair(found)
        assert {plan.instance_id for plan in repaired.plans} == {"losttimer"} and not repaired.is_clean
        assert not repaired.second_look.unaddressed  # what nobody can read was deleted by a receipt of its own
        clock.advance(HIDDEN_AT_MOST)
        assert {line.instance_id for line in (await doctor.examine()).lines(True)} == {"lostwork"}
        await account.queues.update(control, event, timedelta(0))
        assert len(await account.queues.peek(control)) == 1
    finally:
        await account.close()


async def test_the_journal_and_the_fence_keep_their_records_on_azurite(azurite):
    records = open_place(azurite)
    journal = Journal(records, "Shop")
    await journal.accept_start("order-1", "order", {"sku": "tea"})
    assert [entry.instance_id for entry in Journal(records, "Shop").entries("order-1")] == ["order-1"]
    assert journal.close("order-1", "Completed", journal.entries("order-1")) == 1 and journal.entries("order-1") == []
    version = records.put("Shop/x", b"1", only_new=True)
    for options in ({"only_new": True}, {"version": '"0x0"'}):
        with pytest.raises(RecordChanged):
            records.put("Shop/x", b"2", **options)
    records.put("Shop/x", b"2", version=version)
    assert records.get("Shop/x")[0] == b"2" and records.get("Shop/y") is None
    take_over(records, "westeurope", hub="Shop")
    assert not Fence(records, "northeurope", "Shop").permit().allowed


def test_a_journal_that_does_not_answer_is_noticed_within_seconds_and_named():
    port = helpers.free_ports()  # nobody listens there
    begin = time.monotonic()
    with pytest.raises(RecordsUnreachable, match="the journal in devstoreaccount1 .* does not answer"):
        open_place(helpers.connection_string(port)).put("x", b"")
    assert time.monotonic() - begin < 15


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("RowKey", "no number"), ("EventId", "four"), ("_Timestamp", "yesterday"), ("EventType", 5),
        ("FireAt", "soon"), ("TimerId", 2.5),
    ],
)  # fmt: skip
async def test_whatever_a_history_row_holds_the_instance_is_named_counted_and_left_and_the_others_are_repaired(
    column, value
):
    async with empty_hub() as hub:
        for name in ("losttimer", "c16L"):
            await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == name), hub)
        rows = [row.entity async for row in hub.account.tables.rows(hub.names.history)]
        timer = next(x for x in rows if x["PartitionKey"] == "losttimer" and x["EventType"] == "TimerCreated")
        await hub.account.tables.write(hub.names.history, Write("upsert", {**timer, column: value}))
        doctor = Doctor(hub)
        repaired = await doctor.repair(await doctor.examine())
        assert list(repaired.left) == ["losttimer"] and "a row that cannot be read" in repaired.left["losttimer"]
        assert {plan.instance_id for plan in repaired.plans} == {"c16L"}
        assert repaired.second_look.instances == 2


async def test_an_instance_of_which_nothing_makes_sense_is_named_and_the_others_are_judged():
    def replay(facts):
        raise ValueError("no sense") if facts.id == "losttimer" else LookupError("unknown")

    async with empty_hub() as hub:
        for name in ("losttimer", "c17E"):
            await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == name), hub)
        found = await Doctor(hub, replay).examine()
        (line,) = [line for line in found.lines() if line.instance_id == "losttimer"]
        assert line.rule == "unreadable-row" and "ValueError: no sense" in line.because
        assert found.instances == 2


async def test_a_message_that_names_no_text_as_its_instance_is_named_and_taken_away():
    async with empty_hub() as hub:
        cut = next(cut for cut in cuts.cuts() if cut.name == "c16E")
        await cuts.pour(cut, hub)
        envelope = json.dumps(cut.queued[0][2]).replace('"c16E"', '"\\ud800"')
        await hub.account.queues.put(cuts.CONTROL, to_text(envelope.encode(), "text"))
        found = await Doctor(hub).examine()
        assert [message.problem for message in found.unaddressed] == ["it names an instance that is no text"]
        assert (await Doctor(hub).repair(found)).is_clean


async def test_what_a_sweep_has_taken_is_given_back_when_the_account_fails_on_the_way(monkeypatch):
    monkeypatch.setattr("recovery.sweep.direct_reader", lambda account, queue: None)
    async with empty_hub() as hub:
        await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == "c9L"), hub)
        get = hub.account.queues.get

        async def failing(queue, count, visibility):
            if queue == cuts.CONTROL:
                raise AccountUnreachable("gone")
            return await get(queue, count, visibility)

        monkeypatch.setattr(hub.account.queues, "get", failing)
        with pytest.raises(AccountUnreachable):
            await Snapshot.take(hub, "receipts")
        assert len(await hub.account.queues.peek(cuts.WORK)) == 1


async def test_a_child_of_which_only_its_answer_is_here_is_told_and_needs_no_repair():
    async with empty_hub() as hub:
        cut = next(cut for cut in cuts.cuts() if cut.name == "s3")
        await cuts.pour(cut, hub)
        execution = str(cut.histories["s3"][0]["ExecutionId"])
        answer = m.event(m.SUB_COMPLETED, cuts.NOW, TaskScheduledId=0, Result="1")
        row = histories.to_entity(answer, "s3", row_key(len(cut.histories["s3"])), execution)
        await hub.account.tables.write(hub.names.history, Write("upsert", row))
        assert not [x for x in (await Doctor(hub).examine()).lines() if x.rule == "child-not-here"]
        await TaskHubClient(hub).purge("s3-kid")
        (line,) = [x for x in (await Doctor(hub).examine()).lines_for_a_person() if x.rule == "child-not-here"]
        assert (line.instance_id, line.needs_repair) == ("s3-kid", False) and "its parent s3 has" in line.because
        timer = m.event(m.TIMER_FIRED, cuts.NOW, TimerId=0, FireAt=m.timestamp(cuts.NOW))
        await hub.send(TaskMessage(timer, "s3-kid", "gone"))  # what is left in a queue says nothing of what it did
        lines = [x for x in (await Doctor(hub).examine()).lines() if x.instance_id == "s3-kid"]
        assert {x.rule for x in lines} == {"child-not-here", "orphan-messages"}
        start = m.execution_started(
            cuts.NOW,
            "s3-kid",
            "new",
            "child",
            None,
            "",
            None,
            {"InstanceId": "s3", "ExecutionId": execution, "TaskScheduleId": 0, "Name": "s"},
        )
        await hub.send(TaskMessage(start, "s3-kid", "new"))
        assert not [x for x in (await Doctor(hub).examine()).lines() if x.rule == "child-not-here"]


@pytest.mark.parametrize(("holder", "is_named"), [("s5rep", False), ("failrew", True), ("nobody", True)])
async def test_an_entity_that_is_locked_by_one_that_does_not_run_is_named_and_left_to_a_person(holder, is_named):
    async with empty_hub() as hub:
        for name in ("s5rep", "failrew"):
            await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == name), hub)
        rows = [row.entity async for row in hub.account.tables.rows(hub.names.history)]
        start = next(x for x in rows if x["PartitionKey"] == "@counter@ks5rep" and x["EventType"] == "ExecutionStarted")
        state = json.dumps({**json.loads(start["Input"]), "lockedBy": holder})
        await hub.account.tables.write(hub.names.history, Write("upsert", {**start, "Input": state}))
        doctor = Doctor(hub)
        found = await doctor.examine()
        named = [line for line in found.lines(True) if "locked-by-nobody" in line.findings]
        assert [line.instance_id for line in named] == (["@counter@ks5rep"] if is_named else [])
        if is_named:
            left = (await doctor.repair(found)).left
            assert f"locked by {holder}, which is not running" in left["@counter@ks5rep"]
