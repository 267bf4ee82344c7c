"""The journal is cleared of what has ended while a host works; nothing is started, raised, or taken from a queue."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from recovery import reconcile
from recovery.closing import close_what_has_ended, is_over
from recovery.journal import Entry, Journal, JournalOfAnotherHub
from recovery.observed import LOST
from recovery.passes import note
from recovery.reconcile import Reconciler
from recovery.records import DirectoryRecords
from taskhub.accounts import Write
from taskhub.accounts.embedded import open_embedded
from taskhub.client import TaskHubClient
from taskhub.clock import ManualClock
from taskhub.hub import TaskHub
from tests.recovery import cuts
from tests.recovery.cuts import hub_with

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BEGAN = cuts.NOW - 3 * HOUR


@pytest.fixture
def journal(tmp_path):
    return Journal(DirectoryRecords(tmp_path / "journal"), now=lambda: BEGAN)


def row(status="Completed", created=BEGAN, ended=BEGAN + HOUR, **more):
    return {"Name": "shop", "RuntimeStatus": status, "CreatedTime": created, "CompletedTime": ended, **more}


async def write(hub, instance_id, **columns):
    entity = {"PartitionKey": instance_id, "RowKey": "", **row(**columns)}
    await hub.account.tables.write(hub.names.instances, Write("upsert", entity))


def entry(kind="start", at=BEGAN):
    return Entry(kind, "a", "shop", None, at.isoformat(), 1)


@pytest.mark.parametrize(
    ("stored", "entries", "over"),
    [
        (row(), [entry()], True),
        (row("Failed"), [entry()], True),
        (row("Running"), [entry()], False),
        (None, [entry()], False),
        (row(), [], False),
        (row(ended=cuts.NOW - HOUR / 2), [entry()], False),  # a lag could still undo it
        (row(), [entry(), entry("event", cuts.NOW - HOUR / 2)], False),
        (row("Terminated", Output=LOST), [entry()], False),  # the journal is to start it
        (row(), [entry(), entry(at=BEGAN + 1.5 * HOUR)], False),  # the row is that of an earlier run
        (row(), [entry("event")], False),  # a child: its parent may begin it anew
        (row(created=BEGAN - 40 * DAY, ended=BEGAN - 39 * DAY), [entry("event", BEGAN - 39 * DAY)], True),
        ({"RuntimeStatus": "Completed"}, [entry()], False),
        (row(created="damaged"), [entry()], False),
    ],
)
def test_a_request_is_over_when_its_run_ended_longer_ago_than_any_lag(stored, entries, over):
    assert is_over(stored, entries, cuts.NOW) is over


async def test_what_has_ended_is_closed_and_nothing_else_is_touched(journal):
    for instance_id in ("ended", "running", "missing"):
        await journal.accept_start(instance_id, "shop", {"wait": 25})
        await journal.accept_event(instance_id, "Approval", 1)
    async with hub_with() as hub:
        await write(hub, "ended")
        await write(hub, "running", status="Running", ended=None)

        async def untouched(*arguments):
            raise AssertionError("a queue was asked")

        for name in ("get", "peek", "put", "delete", "count"):
            setattr(hub.account.queues, name, untouched)
        result = await close_what_has_ended(hub, journal, apply=False, is_live=True)
        assert (result.entries, result.closed, len(journal.entries("ended"))) == (6, 2, 2)
        assert list(journal.records.names("app/alive")) == []
        result = await close_what_has_ended(hub, journal, apply=True, is_live=True)
        assert (result.instances, result.closed_instances, result.closed) == (3, 1, 2)
        assert sorted(journal.instance_ids()) == ["missing", "running"]
        assert journal.last_sign() == cuts.NOW  # a host was seen at work


async def test_signals_are_closed_after_a_day_and_what_was_purged_after_thirty(journal):
    for age, instance_id in ((29 * DAY, "young"), (31 * DAY, "purged")):
        journal._now = lambda age=age: cuts.NOW - age
        await journal.accept_start(instance_id, "shop", None)
    await journal.accept_signal("@c@k", "add", 1)
    journal._now = lambda: cuts.NOW - HOUR
    await journal.accept_signal("@c@k", "add", 2)
    async with hub_with() as hub:
        await write(hub, "@c@k", status="Running", ended=None)
        assert (await close_what_has_ended(hub, journal, apply=True, is_live=False)).closed == 2
        assert sorted(journal.instance_ids()) == ["@c@k", "young"] and len(journal.entries("@c@k")) == 1


async def test_unconfirmed_starts_are_forgotten_after_a_day_and_short_records_after_thirty(journal):
    await journal.withdraw(await journal.accept_start("refused", "shop", None))
    await journal.accept_start("ended", "shop", None)
    async with hub_with() as hub:
        await write(hub, "ended")
        assert (await close_what_has_ended(hub, journal, apply=True, is_live=True)).forgotten == 0
        hub.clock.advance(32 * DAY)
        result = await close_what_has_ended(hub, journal, apply=True, is_live=True)
        assert (result.forgotten, result.pruned) == (1, 1)
        assert [name for name in journal.records.names() if "/alive" not in name] == ["app/journal.json"]


async def test_on_a_repaired_hub_that_was_not_compared_only_what_has_ended_is_closed(journal):
    journal._now = lambda: cuts.NOW - 40 * DAY
    await journal.accept_start("missing", "shop", None)
    await journal.accept_signal("@c@k", "add", 1)
    await journal.withdraw(await journal.accept_start("refused", "shop", None))
    await journal.accept_start("ended", "shop", None)
    async with hub_with() as hub:
        await write(hub, "ended", created=cuts.NOW - 40 * DAY)
        await note(hub, "repaired")
        result = await close_what_has_ended(hub, journal, apply=True, is_live=True)
        assert result.waits_for_comparison and (result.closed, result.forgotten) == (1, 0)
        assert sorted(journal.instance_ids()) == ["@c@k", "missing"]


async def test_the_journal_of_another_deployment_is_not_cleared(journal):
    journal.account = "stother"
    await journal.accept_start("ended", "shop", None)
    async with hub_with() as hub:
        with pytest.raises(JournalOfAnotherHub, match="stother, not to stshop"):
            await close_what_has_ended(hub, journal, apply=True, is_live=True, account="stshop")


async def test_a_start_that_follows_a_closed_run_of_its_id_is_started_when_it_was_lost(journal):
    await journal.accept_start("nightly", "shop", {"night": 1})
    async with hub_with() as hub:
        await write(hub, "nightly")
        await close_what_has_ended(hub, journal, apply=True, is_live=True)
        journal._now = lambda: cuts.NOW
        await journal.accept_start("nightly", "shop", {"night": 2})
        result = await Reconciler(hub, journal).run(apply=True)
        assert result.counts == {"started": 1}
        found = (await hub.read_row("nightly")).entity
        assert found["RuntimeStatus"] == "Pending" and "night" in found["Input"]
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {"there": 1}
        assert len(journal.entries("nightly")) == 1


async def test_the_command_clears_while_a_host_works_and_says_what_it_did(tmp_path, journal, capsys):
    for instance_id in ("ended", "running"):
        await journal.accept_start(instance_id, "shop", None)
    place, clock = str(tmp_path / "account.db"), ManualClock(cuts.NOW)
    account = open_embedded(place, clock)
    hub = TaskHub(account, cuts.settings(), clock)
    await hub.create()
    await write(hub, "ended")
    await TaskHubClient(hub).start("shop", "running", None)
    await account.blobs.put("goldenhub-leases", "ownership/goldenhub-control-00", b"{}")
    await account.blobs.acquire_lease("goldenhub-leases", "ownership/goldenhub-control-00", 60)
    await account.close()

    async def run(*more):
        given = ["--storage", place, "--journal", journal.records.description, "--close", *more]
        code = await reconcile.run(reconcile.parser("reconcile").parse_args(given), clock)
        return code, capsys.readouterr().out

    code, said = await run()
    assert code == 0 and "1 requests of 1 instances that have ended are to be closed" in said and "--apply" in said
    assert len(journal.entries("ended")) == 1
    code, said = await run("--apply", "--json")
    assert (code, json.loads(said)["closed"]) == (0, 1)
    assert list(journal.instance_ids()) == ["running"] and journal.last_sign() == cuts.NOW
    code, said = await run("--apply")
    assert code == 0 and "0 requests of 0 instances that have ended were closed" in said
