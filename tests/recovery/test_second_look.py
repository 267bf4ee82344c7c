"""On a hub at work only what looks wrong twice, with nothing changed in between, is called wrong."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from recovery import doctor
from recovery.examination import Doctor
from recovery.second_look import SECONDS
from taskhub import messages as m
from taskhub.accounts import Query, Where, Write, open_account
from taskhub.hub import TaskHub
from taskhub.layout import SENTINEL
from taskhub.messages import TaskMessage
from tests.recovery import cuts, standby
from tests.recovery.cuts import hub_with


async def twice(hub, meanwhile, *only):
    """The verdicts of both looks, with what happens between them; and how long the pauses were."""
    pauses = []

    async def pause(seconds):
        pauses.append(seconds)
        await meanwhile()

    found = await Doctor(hub, pause=pause, only=only).examine()
    return found, {line.instance_id: line for line in found.lines()}, pauses


async def nothing():
    pass


async def test_what_is_stuck_on_a_hub_at_work_is_found_and_the_pause_comes_once_for_all():
    async with hub_with("lostwork", "loststart", "losthist", "hole", "c9L", "failrew") as hub:
        found, lines, pauses = await twice(hub, nothing)
        kinds = {name: line.kind for name, line in lines.items()}
        assert kinds == {
            "lostwork": "stuck", "loststart": "stuck", "losthist": "lost", "hole": "damaged", "c9L": "repeats",
        }  # fmt: skip
        assert pauses == [SECONDS] and found.instances == 6


async def test_an_instance_whose_history_has_grown_meanwhile_moves():
    async with hub_with("lostwork") as hub:

        async def meanwhile():
            event = m.event(m.EVENT_RAISED, cuts.NOW, Name="news", Input="1")
            history = await hub.read_history("lostwork")
            await hub.append_history(history, [event], str(history.execution_id), len(history.events))

        found, lines, _ = await twice(hub, meanwhile)
        line = lines["lostwork"]
        assert (line.kind, line.rule, line.needs_repair) == ("goes-on", "moves", False)
        assert line.because == "it moves: its history had 4 rows and has 5 now"
        assert found.is_clean and found.counts == {"goes-on": 1}


async def test_an_instance_whose_last_checkpoint_is_another_one_moves():
    async with hub_with("lostwork") as hub:

        async def meanwhile():
            key = {"PartitionKey": "lostwork", "RowKey": SENTINEL}
            change = {**key, "CheckpointCompletedTimestamp": cuts.NOW}
            await hub.account.tables.write(hub.names.history, Write("update", change, mode="merge"))

        _, lines, _ = await twice(hub, meanwhile)
        assert lines["lostwork"].because == "it moves: it was written to meanwhile"


async def test_a_result_whose_work_item_is_deleted_a_moment_later_is_no_repetition():
    async with hub_with("c9L") as hub:

        async def meanwhile():
            await hub.account.queues.clear(cuts.WORK)

        found, lines, _ = await twice(hub, meanwhile)
        assert (lines["c9L"].kind, lines["c9L"].rule) == ("goes-on", "awaited-queued") and found.is_clean


async def test_another_message_that_is_too_much_the_second_time_is_no_repetition_yet():
    async with hub_with("c16L") as hub:

        async def meanwhile():
            (old,) = await hub.account.queues.peek(cuts.CONTROL)
            await hub.account.queues.clear(cuts.CONTROL)
            await hub.account.queues.put(cuts.CONTROL, old.text)

        _, lines, _ = await twice(hub, meanwhile)
        assert lines["c16L"].because == "it moves: what is queued for it has changed meanwhile"


async def test_a_request_that_is_just_being_made_is_not_called_lost():
    """The client has put the start and not yet the row; the same for an id that was asked for and comes meanwhile."""
    async with hub_with("c2E") as hub:
        rows = cuts.facts(next(cut for cut in cuts.cuts() if cut.name == "c2E"))["c2E"]
        start = rows.starts[0].task

        async def meanwhile():
            row = {
                "PartitionKey": "c2E", "RowKey": "", "RuntimeStatus": "Pending", "Name": "s",
                "ExecutionId": start.execution_id, "CreatedTime": cuts.NOW,
            }  # fmt: skip
            await hub.account.tables.write(hub.names.instances, Write("insert", row))
            begun = m.execution_started(cuts.NOW, "new", "run", "s", None)
            await hub.account.tables.write(
                hub.names.instances, Write("insert", {**row, "PartitionKey": "new", "ExecutionId": "run"})
            )
            await hub.send(TaskMessage(begun, "new", "run"))

        found, lines, _ = await twice(hub, meanwhile, "c2E", "new")
        assert {name: line.kind for name, line in lines.items()} == {"c2E": "goes-on", "new": "goes-on"}
        assert found.unknown == [] and found.instances == 2


async def test_a_message_that_cannot_be_read_counts_when_it_is_still_there():
    async with hub_with() as hub:
        for text in ("no message", "neither"):
            await hub.account.queues.put(cuts.CONTROL, text)

        async def meanwhile():
            first = (await hub.account.queues.get(cuts.CONTROL, 1, timedelta(minutes=1)))[0]
            await hub.account.queues.delete(cuts.CONTROL, first)

        found, _, _ = await twice(hub, meanwhile)
        assert len(found.unaddressed) == 1


async def test_a_child_that_was_begun_during_the_look_is_not_called_gone():
    async with hub_with("s3") as hub:
        cut = next(cut for cut in cuts.cuts() if cut.name == "s3")
        execution = str(cut.histories["s3"][0]["ExecutionId"])
        history = await hub.read_history("s3")
        answer = m.event(m.SUB_COMPLETED, cuts.NOW, TaskScheduledId=0, Result="1")
        await hub.append_history(history, [answer], execution, len(history.events))
        rows = hub.account.tables.rows(hub.names.history, Query(where=[Where("PartitionKey", "eq", "s3-kid")]))
        kid = [row.entity async for row in rows]
        await hub.delete_instance("s3-kid")
        assert [x.rule for x in (await twice(hub, nothing))[0].lines() if x.instance_id == "s3-kid"] == [
            "child-not-here"
        ]

        async def meanwhile():
            for row in kid:
                await hub.account.tables.write(hub.names.history, Write("upsert", row))

        found, _, _ = await twice(hub, meanwhile)
        assert not [x for x in found.lines() if x.rule == "child-not-here"]


async def test_when_nothing_seems_wrong_there_is_no_second_look():
    async with hub_with("failrew", "startev") as hub:
        assert (await twice(hub, nothing))[2] == []


async def test_beside_a_host_a_timer_that_cannot_be_seen_is_undecided_and_nothing_to_repair(monkeypatch):
    monkeypatch.setattr("recovery.sweep.direct_reader", lambda account, queue: None)
    async with hub_with("losttimer", "loststart") as hub:
        rows = [row.entity async for row in hub.account.tables.rows(hub.names.history)]
        timer = next(row for row in rows if row.get("EventType") == "TimerCreated")
        due = {**timer, "FireAt": cuts.NOW + timedelta(hours=1)}
        await hub.account.tables.write(hub.names.history, Write("upsert", due))
        row = await hub.account.tables.get(hub.names.instances, "loststart", "")
        later = {**row.entity, "ScheduledStartTime": cuts.NOW + timedelta(hours=1)}
        await hub.account.tables.write(hub.names.instances, Write("upsert", later))
        await hub.account.queues.put(cuts.CONTROL, "in somebody's hand", timedelta(minutes=1))
        found, lines, _ = await twice(hub, nothing)
        assert {line.kind for line in lines.values()} == {"undecided"}
        assert (found.broken, found.undecided, found.is_clean) == (0, 2, False)


@pytest.fixture
async def at_work(tmp_path):
    """A hub that a host works on, with one stuck instance."""
    place = str(tmp_path / "account.db")
    account = await open_account(place)
    hub = TaskHub(account, cuts.settings())
    for name in ("lostwork", "c9L"):
        await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == name), hub)
    await account.blobs.put("goldenhub-leases", "ownership/goldenhub-control-00", b"{}")
    await account.blobs.acquire_lease("goldenhub-leases", "ownership/goldenhub-control-00", 60)
    await account.close()
    return place


async def test_beside_a_host_no_plan_is_shown_and_it_is_said_to_stop_the_host_first(at_work, capsys):
    async def meanwhile(seconds):
        account = await open_account(at_work)
        await account.queues.clear(cuts.WORK)
        await account.close()

    options = ["--storage", at_work, "--app", str(standby.GOLDEN)]
    assert await doctor.run(doctor.parser("doctor").parse_args(options), pause=meanwhile) == 1
    shown = capsys.readouterr().out
    assert "lostwork: stuck (awaited-lost)" in shown and "c9L" not in shown and "→" not in shown
    assert "stop it, wait until its leases end (a minute), then the same command with --apply." in shown
    options += ["--only", "lostwork", "--read-only", "--json"]
    assert await doctor.run(doctor.parser("doctor").parse_args(options), pause=meanwhile) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["live"], report["list"][0]["plan"]) == (True, None)
