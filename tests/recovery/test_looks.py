"""What is concluded from messages that nobody can see, as on a real account, and what looking leaves behind."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from recovery import doctor, rules
from recovery.examination import Doctor
from recovery.journal import Journal
from recovery.looks import (
    HIDDEN_AT_MOST,
    NOTE_IS_GOOD,
    SENT_IS_THERE,
    START,
    Looks,
    looks_so_far,
    note_looks,
    timer_of,
    timers_sent,
)
from recovery.passes import container_of
from recovery.reconcile import Reconciler
from recovery.records import DirectoryRecords
from recovery.snapshot import Snapshot
from taskhub import messages as m
from taskhub.accounts import Write, open_account
from taskhub.client import TaskHubClient
from taskhub.clock import ManualClock
from taskhub.hub import TaskHub
from taskhub.messages import TaskMessage
from tests.recovery import cuts, standby

EARLY = datetime(2026, 11, 21, 9, 20, tzinfo=timezone.utc)  # the recorded timers fire at 9:39 and 9:49
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def only_visible_messages_are_seen(monkeypatch):
    """An embedded account as if it were a real one."""
    monkeypatch.setattr("recovery.sweep.direct_reader", lambda account, queue: None)


@asynccontextmanager
async def hub_with(*names, now=EARLY, place=":memory:"):
    clock = ManualClock(now)
    account = await open_account(str(place), clock)
    hub = TaskHub(account, cuts.settings(), clock)
    await hub.create()
    for name in names:
        cut = next(cut for cut in cuts.cuts() if cut.name == name)
        queued = tuple((queue, 1500 if delay else 0, envelope) for queue, delay, envelope in cut.queued)
        await cuts.pour(replace(cut, queued=queued), hub)
    try:
        yield hub
    finally:
        await account.close()


async def look(hub):
    found = await Doctor(hub).examine()
    return found, {line.instance_id: (line.kind, line.rule) for line in found.lines()}


async def sent(hub):
    return [timer async for timer in timers_sent(hub)]


async def settle(hub):
    """Lets as much time go by as a message may be in somebody's hand, since a first look."""
    await Doctor(hub).examine()
    hub.clock.advance(HIDDEN_AT_MOST)


async def test_what_may_hang_on_an_invisible_message_is_undecided_until_nobody_can_have_it_in_hand():
    async with hub_with("pendrow", "lostwork", "loststart") as hub:
        found, kinds = await look(hub)
        assert set(kinds.values()) == {("undecided", "not-all-seen"), ("undecided", "start-lost")}
        assert (found.undecided, found.is_clean, found.settled_at) == (2, False, EARLY + HIDDEN_AT_MOST)
        hub.clock.advance(HIDDEN_AT_MOST)
        found, kinds = await look(hub)
        assert (kinds["lostwork"], kinds["loststart"]) == (("stuck", "awaited-lost"), ("stuck", "start-lost"))
        assert (found.undecided, found.is_settled, found.settled_at) == (0, True, None)


async def test_a_lost_timer_is_not_hidden_by_another_invisible_message():
    async with hub_with("losttimer", "c16E") as hub:
        (event,) = await hub.account.queues.get(cuts.CONTROL, 1, timedelta(minutes=5))  # in somebody's hand
        found, kinds = await look(hub)
        assert kinds["losttimer"] == ("undecided", "not-all-seen") and not found.is_clean
        await Doctor(hub).repair(found)
        (timer,) = await sent(hub)
        assert (timer.instance_id, timer.queue) == ("losttimer", cuts.CONTROL)
        found, kinds = await look(hub)
        assert kinds["losttimer"] == ("waiting", "awaited-queued") and found.is_clean
        hub.clock.advance(timedelta(minutes=5))
        assert event.id in [message.id for message in await hub.account.queues.peek(cuts.CONTROL)]


async def test_an_event_that_may_be_invisible_is_not_raised_again_although_as_many_timers_must_be(tmp_path):
    now = datetime(2026, 11, 21, 9, 42, tzinfo=timezone.utc)
    async with hub_with("losttimer", "c16E", now=now) as hub:
        journal = Journal(DirectoryRecords(tmp_path), now=lambda: now - timedelta(minutes=1))
        (message,) = await hub.account.queues.get(cuts.CONTROL, 1, timedelta(minutes=5))
        event = m.parse_envelope(m.from_text(message.text)).event
        await journal.accept_event("c16E", event["Name"], event["Input"])
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {"uncertain": 1}
        await settle(hub)
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {"there": 1}


async def test_timers_of_an_earlier_generation_hide_nothing_for_longer_than_a_message_can_be_in_hand():
    async with hub_with("lostwork") as hub:
        for number in range(3):
            fired = m.event(m.TIMER_FIRED, EARLY, TimerId=number, FireAt=m.timestamp(EARLY + HOUR))
            await hub.send(TaskMessage(fired, "lostwork", "of an earlier generation"), HOUR)
        _, kinds = await look(hub)
        assert kinds["lostwork"] == ("undecided", "not-all-seen")
        hub.clock.advance(HIDDEN_AT_MOST)
        _, kinds = await look(hub)
        assert kinds["lostwork"] == ("stuck", "awaited-lost")


async def test_a_timer_that_was_sent_again_counts_as_there_for_an_hour_and_is_not_sent_twice():
    async with hub_with("pendrow", "losttimer2", now=EARLY) as hub:
        repaired = await Doctor(hub).repair((await look(hub))[0])
        assert repaired.is_clean and len(repaired.plans) == 2
        assert await hub.account.queues.count(cuts.CONTROL) == 3  # one of them twice: the engine ignores that
        assert list((await Doctor(hub).repair((await look(hub))[0])).plans) == []
        assert len(await sent(hub)) == 2
        hub.clock.advance(SENT_IS_THERE + timedelta(seconds=1))
        assert await sent(hub) == []


async def test_a_note_of_many_hours_ago_may_be_the_lost_regions_and_counts_as_none():
    async with hub_with("pendrow") as hub:
        await settle(hub)
        hub.clock.advance(NOTE_IS_GOOD)
        assert (await looks_so_far(hub, [])).quiet_since == hub.clock.now()


async def test_what_a_host_takes_during_a_look_is_counted_although_something_else_comes(monkeypatch):
    async with hub_with("c16E") as hub:
        peek = hub.account.queues.peek

        async def with_a_host_at_work(queue, count):
            if queue == cuts.CONTROL:
                await hub.account.queues.get(queue, 1, HOUR)
                await hub.account.queues.put(queue, "another message")
            return await peek(queue, count)

        monkeypatch.setattr(hub.account.queues, "peek", with_a_host_at_work)
        snapshot = await Snapshot.take(hub, "peek")
        assert (await snapshot.facts("c16E")).unseen["control"] == 1


async def test_what_was_sent_longer_ago_proves_nothing_any_more():
    async with hub_with() as hub:
        start = m.execution_started(EARLY, "later", "run", "shop", None)
        task = TaskMessage(start, "later", "run")
        assert timer_of(task, EARLY, hub) is None  # it is visible at once
        timer = timer_of(task, EARLY + 3 * HOUR, hub)
        assert timer is not None and (timer.number, timer.execution) == (START, "run")


async def test_a_delayed_start_that_cannot_be_seen_is_sent_again_once_and_then_waited_for():
    async with hub_with() as hub:
        await TaskHubClient(hub).start("shop", "later", None)
        row = await hub.account.tables.get(hub.names.instances, "later", "")
        due = {**row.entity, "ScheduledStartTime": EARLY + HOUR}
        await hub.account.tables.write(hub.names.instances, Write("upsert", due))
        await hub.account.queues.get(cuts.CONTROL, 1, HOUR)
        found, kinds = await look(hub)
        assert kinds["later"] == ("undecided", "start-not-seen")
        repaired = await Doctor(hub).repair(found)
        assert repaired.is_clean and await hub.account.queues.count(cuts.CONTROL) == 2
        _, kinds = await look(hub)
        assert kinds["later"] == ("waiting", "start-not-seen")


async def test_a_timer_in_doubt_is_sent_again_also_when_something_else_moves_the_instance():
    async with hub_with("losttimer", "pendrow") as hub:
        event = m.event(m.EVENT_RAISED, EARLY, Name="Approval", Input='"yes"')
        await hub.send(TaskMessage(event, "losttimer", None))
        snapshot = await Snapshot.take(hub)
        verdict = rules.judge(await snapshot.facts("losttimer"))
        assert (verdict.kind, [finding.name for finding in verdict.findings]) == ("goes-on", ["timer-not-seen"])
        assert verdict.needs_repair
        found, _ = await look(hub)
        assert (await Doctor(hub).repair(found)).is_clean
        assert {timer.instance_id for timer in await sent(hub)} == {"losttimer", "pendrow"}


async def test_with_no_invisible_message_at_all_a_timer_is_lost():
    async with hub_with("losttimer") as hub:
        assert (await look(hub))[1]["losttimer"] == ("stuck", "awaited-lost")


async def test_whoever_has_worked_since_begins_the_time_anew():
    lease = "ownership/goldenhub-control-00"
    async with hub_with("pendrow") as hub:
        await settle(hub)
        assert (await Snapshot.take(hub)).is_settled
        await hub.account.blobs.put(hub.names.leases, lease, b'{"owner": "a host that came and went"}')
        assert (await Snapshot.take(hub)).settled_at == hub.clock.now() + HIDDEN_AT_MOST
        await hub.account.blobs.acquire_lease(hub.names.leases, lease, 60)
        hub.clock.advance(timedelta(seconds=30))
        while_at_work = await Snapshot.take(hub, "peek")
        assert (while_at_work.is_settled, while_at_work.settled_at) == (False, None)


async def test_a_look_that_was_cut_short_with_messages_in_hand_begins_the_time_anew():
    async with hub_with("pendrow", "c9L") as hub:
        await settle(hub)
        killed = await Snapshot.take(hub, "receipts")  # and never released
        assert killed.is_settled
        assert not (await Snapshot.take(hub)).is_settled


@pytest.mark.parametrize("text", ["", "{", "[]", '{"quietSince": 5}', '{"quietSince": "2026-01-01T00:00:00"}'])
async def test_a_note_that_makes_no_sense_counts_as_none(text):
    async with hub_with("pendrow") as hub:
        await hub.account.blobs.create(container_of(hub))
        await hub.account.blobs.put(container_of(hub), "looks.json", text.encode())
        await hub.account.blobs.put(container_of(hub), "timers/x.json", text.encode())
        assert (await looks_so_far(hub, [])).quiet_since == EARLY
        assert await sent(hub) == []


async def test_a_look_to_read_only_leaves_no_note_and_one_by_peeking_counts_no_dequeue():
    async with hub_with("c9L") as hub:
        await (await Snapshot.take(hub, "peek")).release()
        assert container_of(hub) not in await hub.account.blobs.names()
        for _ in range(12):
            await Doctor(hub).examine()
        (message,) = await hub.account.queues.peek(cuts.CONTROL)
        assert message.dequeue_count == 0


async def test_where_a_peek_does_not_show_all_messages_are_received_and_given_back():
    async with hub_with() as hub:
        for number in range(40):
            event = m.event(m.EVENT_RAISED, EARLY, Name=f"e{number}", Input="1")
            await hub.send(TaskMessage(event, "shop-1", None))
        snapshot = await Snapshot.take(hub)
        assert len(snapshot.messages_of("shop-1")) == 40 and not snapshot.unseen
        await snapshot.release()
        assert {message.dequeue_count for message in await hub.account.queues.peek(cuts.CONTROL)} == {1}


async def test_what_the_doctor_has_received_to_look_at_it_does_not_make_it_poison():
    async with hub_with("c16E") as hub:
        for _ in range(12):
            await (await Snapshot.take(hub, "receipts")).release()
        snapshot = await Snapshot.take(hub)
        assert (await snapshot.facts("c16E")).poison == []
        for _ in range(10):
            (message,) = await hub.account.queues.get(cuts.CONTROL, 1, timedelta(minutes=1))
            await hub.account.queues.update(cuts.CONTROL, message, timedelta(0))
        assert len((await (await Snapshot.take(hub)).facts("c16E")).poison) == 1


def test_only_the_sweeps_since_a_message_came_have_received_it():
    looks = Looks(sweeps=(EARLY, EARLY + HOUR, EARLY + 2 * HOUR))
    assert [looks.received_since(EARLY + n * HOUR) for n in range(4)] == [3, 2, 1, 0]


async def test_where_no_note_can_be_written_every_look_is_the_first(monkeypatch):
    from taskhub.errors import AccountNotUsable

    async with hub_with("pendrow") as hub:

        async def forbidden(*args, **kwargs):
            raise AccountNotUsable("403 AuthorizationPermissionMismatch")

        monkeypatch.setattr(hub.account.blobs, "put", forbidden)
        await note_looks(hub, Looks(EARLY))
        await settle(hub)
        assert not (await Snapshot.take(hub)).is_settled


async def run(place, clock, *more, pause=None):
    options = doctor.parser("doctor").parse_args(["--storage", str(place), *more])

    async def wait(seconds):
        clock.advance(timedelta(seconds=seconds))

    return await doctor.run(options, clock, pause or wait)


@pytest.fixture
async def place(tmp_path):
    place = tmp_path / "account.db"
    async with hub_with("lostwork", "pendrow", place=place):
        pass
    return place


async def test_undecided_is_not_clean_and_is_named_in_text_json_and_page(place, tmp_path, capsys):
    clock = ManualClock(EARLY)
    page = tmp_path / "page.html"
    assert await run(place, clock, "--apply", "--html", str(page)) == 1
    shown = capsys.readouterr().out
    assert "lostwork: undecided (not-all-seen)" in shown and "could not be seen" in shown
    assert "A second look finds nothing else. 1 instance is undecided: after 09:30:00Z" in shown
    assert "1 instance is undecided" in page.read_text(encoding="utf-8")
    assert await run(place, clock, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["clean"], report["undecided"], report["needRepair"]) == (False, 1, 0)
    assert [item["instance"] for item in report["list"]] == ["lostwork"]


async def test_the_doctor_waits_for_what_may_be_in_hand_when_it_is_told_to(place, capsys):
    clock = ManualClock(EARLY)
    assert await run(place, clock, "--wait") == 1
    captured = capsys.readouterr()
    assert "Waiting until 09:30:00Z" in captured.err and clock.now() > EARLY + HIDDEN_AT_MOST
    assert "lostwork: stuck (awaited-lost)" in captured.out and "are invisible, and no host has worked" in captured.out
    clock.advance(timedelta(minutes=1))
    assert await run(place, clock, "--wait", "--apply", "--app", str(standby.GOLDEN)) == 0
    assert "A second look finds nothing." in capsys.readouterr().out
