"""What the journal accepted and the hub lost is started and raised, once, however often the reconciler runs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from recovery import doctor, reconcile
from recovery.__main__ import main
from recovery.examination import Doctor
from recovery.hub_command import account_of
from recovery.journal import Journal, JournalOfAnotherHub, as_sent
from recovery.matching import canonical
from recovery.observed import LOST
from recovery.reconcile import Reconciler
from recovery.records import DirectoryRecords, open_place
from recovery.replay import load_app
from taskhub import messages as m
from taskhub.accounts import Account, Write, open_account
from taskhub.errors import AccountUnreachable
from taskhub.hub import TaskHub
from taskhub.messages import TaskMessage, parse_timestamp
from tests.recovery import cuts, standby
from tests.recovery.cuts import hub_with

BEFORE = cuts.NOW - timedelta(minutes=50, seconds=4)  # when the recorded runs began


@pytest.fixture
def journal(tmp_path):
    return Journal(DirectoryRecords(tmp_path / "journal"), now=lambda: BEFORE)


@pytest.fixture(scope="module")
def app():
    return load_app(standby.GOLDEN)


async def events_of(hub, instance_id):
    found = []
    for message in await hub.account.queues.peek(cuts.CONTROL):
        task = await hub.read(message)
        if task.instance_id == instance_id and task.kind == 15:
            found.append(canonical(task.event["Input"]))
    return found


async def test_a_start_of_which_the_hub_holds_nothing_is_started_with_its_id_and_input(journal):
    await journal.accept_start("shop-9", "shop", {"wait": 25})
    async with hub_with() as hub:
        result = await Reconciler(hub, journal).run(apply=True)
        assert result.counts["started"] == 1 and result.is_clean
        row = (await hub.read_row("shop-9")).entity
        assert (row["Name"], row["Input"], row["RuntimeStatus"]) == ("shop", as_sent({"wait": 25}), "Pending")
        again = await Reconciler(hub, journal).run(apply=True)
        assert again.counts == {"there": 1}


async def test_without_apply_nothing_is_changed_and_the_missing_is_named(journal):
    await journal.accept_start("shop-9", "shop", {"wait": 25})
    async with hub_with() as hub:
        result = await Reconciler(hub, journal).run(apply=False)
        assert not result.is_clean and next(result.lines()).why == "the hub holds nothing of shop-9"
        assert await hub.read_row("shop-9") is None


@pytest.mark.parametrize("name", ["lostwork", "loststart", "c2E", "losthist", "c6Enorow", "headcut", "c17E", "startev"])
async def test_an_instance_of_which_the_hub_holds_anything_is_not_started_again(journal, name):
    await journal.accept_start(name, "shop", {"wait": 25})
    async with hub_with(name) as hub:
        await Reconciler(hub, journal).run(apply=True)
        messages = [await hub.read(x) for x in await hub.account.queues.peek(cuts.CONTROL)]
        assert [x.kind for x in messages].count(0) <= 1
        assert (await Reconciler(hub, journal).run(apply=True)).counts["started"] == 0


async def test_a_start_that_is_queued_without_its_row_gets_the_row(journal):
    await journal.accept_start("c2E", "shop", {"wait": 600})
    async with hub_with("c2E") as hub:
        result = await Reconciler(hub, journal).run(apply=True)
        assert next(result.lines()).why == "its start is queued without its row"
        assert (await hub.read_row("c2E")).entity["RuntimeStatus"] == "Pending"
        assert await hub.account.queues.count(cuts.CONTROL) == 1


async def test_a_lost_event_is_raised_and_one_that_is_queued_or_applied_is_not(journal):
    for name in ("lostevent", "c16E", "c16L"):
        await journal.accept_event(name, "Approval", "one")
    async with hub_with("lostevent", "c16E", "c16L") as hub:
        result = await Reconciler(hub, journal).run(apply=True)
        assert result.counts == {"raised": 1, "there": 2}
        assert await events_of(hub, "lostevent") == ['"one"']
        assert await events_of(hub, "c16E") == ['"one"']
        again = await Reconciler(hub, journal).run(apply=True)
        assert again.counts == {"there": 3}


async def test_of_equal_events_as_many_are_raised_as_are_missing(journal):
    for _ in range(3):
        await journal.accept_event("c16E", "Approval", "one")
    async with hub_with("c16E") as hub:
        result = await Reconciler(hub, journal).run(apply=True)
        assert result.counts == {"there": 1, "raised": 2}
        assert await events_of(hub, "c16E") == ['"one"'] * 3


async def test_an_event_that_is_in_history_and_queue_counts_once(journal):
    await journal.accept_event("c16L", "Approval", "one")
    await journal.accept_event("c16L", "Approval", "one")
    async with hub_with("c16L") as hub:
        result = await Reconciler(hub, journal).run(apply=False)
        assert result.counts == {"there": 1, "raised": 1}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_events_of_a_start_that_was_lost_follow_the_start(journal):
    await journal.accept_start("waiter-9", "waiter2", None)
    await journal.accept_event("waiter-9", "Approval", "one")
    await journal.accept_event("waiter-9", "Approval", "two")

    async def prepare(hub, clock):
        await hub.create()
        await Reconciler(hub, journal).run(apply=True)

    found = standby_run(prepare, ["waiter-9"])
    decoded = [json.loads(value) if isinstance(value, str) else value for value in found.output("waiter-9")]
    assert decoded == ["one", "two"]


def standby_run(prepare, watched):
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # a loop of its own, whose time jumps
        return pool.submit(standby.take_over, prepare, watched).result()


async def test_an_event_of_a_finished_instance_is_not_raised(journal):
    await journal.accept_event("c17E", "Approval", "late")
    async with hub_with("c17E") as hub:
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {"ended": 1}


async def test_an_event_that_an_earlier_generation_used_is_not_raised_and_one_at_the_border_is_asked_about(journal):
    began = cuts.facts(next(cut for cut in cuts.cuts() if cut.name == "g2"))["g2"].start_event["Timestamp"]
    moment = parse_timestamp(began)
    for name, offset in (("used", -3600), ("border", -2), ("new", 2)):
        journal._now = lambda offset=offset: moment + timedelta(seconds=offset)
        await journal.accept_event("g2", name, 1)
    async with hub_with("g2") as hub:
        result = await Reconciler(hub, journal).run(apply=True)
        assert result.counts == {"there": 1, "uncertain": 1, "raised": 1}
        assert not result.is_clean
        result = await Reconciler(hub, journal, raise_uncertain=True).run(apply=True)
        assert (result.counts["raised"], result.is_clean) == (1, True)


async def test_a_second_start_of_an_id_whose_first_run_has_ended_is_started(journal):
    journal._now = lambda: cuts.NOW - timedelta(days=1)
    await journal.accept_start("c17E", "shop", {"wait": 600})
    journal._now = lambda: cuts.NOW
    await journal.accept_start("c17E", "shop", {"wait": 600})
    async with hub_with("c17E") as hub:
        doctor = Doctor(hub)
        await doctor.repair(await doctor.examine())
        result = await Reconciler(hub, journal).run(apply=True)
        assert result.counts["started"] == 1
        assert (await hub.read_row("c17E")).entity["RuntimeStatus"] == "Pending"


async def test_entries_of_an_instance_are_closed_when_its_end_is_final(journal):
    await journal.accept_start("failrew", "fails", None)
    async with hub_with("failrew") as hub:
        assert (await Reconciler(hub, journal).run(apply=True)).closed == 0  # a lag could still undo it
        hub.clock.advance(timedelta(hours=2))
        assert (await Reconciler(hub, journal).run(apply=True)).closed == 1
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {}


async def test_events_of_a_child_stay_on_record_for_its_parent_may_begin_it_anew(journal):
    await journal.accept_event("failrew", "go", 1)
    async with hub_with("failrew") as hub:
        hub.clock.advance(timedelta(days=2))
        assert (await Reconciler(hub, journal).run(apply=True)).closed == 0
        hub.clock.advance(timedelta(days=30))
        assert (await Reconciler(hub, journal).run(apply=True)).closed == 1


async def test_a_signal_that_is_not_queued_is_reported_never_sent_twice(journal):
    await journal.accept_signal("@counter@a", "add", 5)
    async with hub_with() as hub:
        result = await Reconciler(hub, journal).run(apply=True)
        assert result.counts == {"reported": 1} and not result.is_clean
        assert await hub.account.queues.count(cuts.CONTROL) == 0


async def test_a_reconciler_that_is_killed_anywhere_does_nothing_twice_when_it_is_begun_again(journal):
    for number in range(4):
        await journal.accept_start(f"waiter-{number}", "waiter2", None)
        await journal.accept_event(f"waiter-{number}", "Approval", "one")
    async with hub_with() as hub:
        put, budget = hub.account.queues.put, [0]

        async def failing(queue, text, *rest):
            if budget[0] == 0:
                raise AccountUnreachable("killed")
            budget[0] -= 1
            return await put(queue, text, *rest)

        hub.account.queues.put = failing
        for attempt in range(1, 20):
            budget[0] = 1 + attempt % 2
            try:
                await Reconciler(hub, journal).run(apply=True)
            except AccountUnreachable:
                continue
            break
        messages = [await hub.read(x) for x in await hub.account.queues.peek(cuts.CONTROL)]
        assert sorted((x.instance_id, x.kind) for x in messages) == sorted(
            (f"waiter-{number}", kind) for number in range(4) for kind in (0, 15)
        )


async def test_a_damaged_record_is_reported_and_nothing_is_started_from_it(journal):
    await journal.accept_start("shop-8", "shop", {"wait": 25})
    await journal.accept_start("shop-9", "shop", {"wait": 25})
    _, name = journal.records.names("app/open/")
    kept = json.loads(journal.records.get(name)[0])
    journal.records.put(name, json.dumps({**kept, "text": as_sent({"wait": 0})}).encode())
    async with hub_with() as hub:
        result = await Reconciler(hub, journal).run(apply=True)
        assert result.counts == {"started": 1, "unreadable": 1} and not result.is_clean
        first = next(result.lines())
        assert (first.instance_id, first.state) == ("shop-9", "unreadable") and name in first.why
        assert await hub.read_row("shop-9") is None


async def test_a_start_that_the_hub_did_not_confirm_is_named_and_never_started(journal):
    await journal.withdraw(await journal.accept_start("shop-9", "shop", {"wait": 25}))
    async with hub_with() as hub:
        result = await Reconciler(hub, journal).run(apply=True)
        assert result.counts == {"withdrawn": 1} and not result.is_clean and result.left == 1
        assert [line.instance_id for line in result.lines()] == ["shop-9"]
        assert await hub.read_row("shop-9") is None
        await journal.accept_start("shop-9", "shop", {"wait": 25})  # its sender sends it again
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {"started": 1}


async def test_a_start_that_arrived_without_being_confirmed_is_named_only_when_it_is_lost(journal):
    await journal.withdraw(await journal.accept_start("startev", "shop", {"wait": 600}))
    async with hub_with("startev") as hub:
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {}
        hub.clock.advance(timedelta(days=1))
        await Reconciler(hub, journal).run(apply=True)
        assert list(journal.on_record()) == []  # no replication lag can undo it any more


async def test_a_journal_whose_requests_went_to_another_task_hub_is_not_reconciled(journal):
    journal.task_hub = "Bakery"
    await journal.accept_start("shop-9", "shop", {"wait": 25})
    async with hub_with() as hub:
        with pytest.raises(JournalOfAnotherHub, match="task hub bakery, not to GoldenHub"):
            await Reconciler(hub, journal).run(apply=True)
        assert await hub.read_row("shop-9") is None


async def test_how_many_requests_were_compared_is_told_as_it_goes_on(journal):
    for number in range(100):
        await journal.accept_start(f"shop-{number}", "shop", {"wait": number})
        await journal.accept_event(f"shop-{number}", "Approval", number)
    async with hub_with() as hub:
        seen = []
        result = await Reconciler(hub, journal, progress=seen.append).run(apply=False)
        assert result.counts == {"started": 100, "raised": 100}
        assert seen == [64, 128, 192, 200] and len(list(result.lines(10))) == 10


async def test_an_event_that_may_be_in_a_message_that_cannot_be_seen_is_not_raised(journal, monkeypatch):
    monkeypatch.setattr("recovery.sweep.direct_reader", lambda account, queue: None)
    await journal.accept_event("c16E", "Approval", "one")
    async with hub_with("c16E") as hub:
        await hub.account.queues.get(cuts.CONTROL, 1, timedelta(minutes=1))  # a host that was killed has it in hand
        result = await Reconciler(hub, journal).run(apply=True)
        assert result.counts == {"uncertain": 1} and "look again" in next(result.lines()).why
        hub.clock.advance(timedelta(minutes=2))
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {"there": 1}
        assert await events_of(hub, "c16E") == ['"one"']


def test_data_are_compared_by_value_however_often_they_were_encoded():
    assert canonical('{"a": 1, "b": 2}') == canonical('"{\\"b\\":2,\\"a\\":1}"')
    assert canonical('"1"') != canonical('"2"')
    assert canonical("yes") == canonical('"yes"')
    assert canonical(None) == "null"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "No journal is named"),
        (["--journal", "{folder}/nothing"], "There is no journal in"),
        (["--journal", "{folder}/journal", "--journal-hub", "Other"], "has no hub 'Other'; it has app"),
        (["--journal", "{folder}/journal", "--storage", "{folder}/no.db"], "no storage account's file"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(tmp_path, capsys, monkeypatch, arguments, said):
    import asyncio

    monkeypatch.delenv("JOURNAL_STORAGE", raising=False)
    place = tmp_path / "account.db"

    async def fill():
        account = await open_account(str(place))
        await TaskHub(account, cuts.settings()).create()
        await account.close()
        await Journal(DirectoryRecords(tmp_path / "journal")).accept_start("a", "shop", None)

    asyncio.run(fill())
    given = [part.format(folder=tmp_path) for part in arguments]
    assert main(["reconcile", "--storage", str(place), *given]) == 2
    assert said in capsys.readouterr().err


async def test_the_report_names_each_request_as_text_as_json_and_as_a_page(tmp_path, journal, capsys):
    await journal.accept_start("shop-9<b>", "shop", {"wait": 25})
    place = tmp_path / "account.db"
    account = await open_account(str(place))
    await TaskHub(account, cuts.settings()).create()
    await account.close()
    page = tmp_path / "r.html"
    arguments = ["--storage", str(place), "--journal", journal.records.description, "--html", str(page)]
    assert await reconcile.run(reconcile.parser("reconcile").parse_args(arguments)) == 1
    assert "start shop for shop-9<b>: started: the hub holds nothing" in capsys.readouterr().out
    assert "shop-9&lt;b&gt;" in page.read_text() and "shop-9<b>" not in page.read_text()
    assert await reconcile.run(reconcile.parser("reconcile").parse_args([*arguments, "--json", "--apply"])) == 0
    assert json.loads(capsys.readouterr().out)["requests"] == {"started": 1}


async def test_what_is_accepted_since_the_hub_was_looked_at_is_not_compared_also_when_forced(journal):
    await journal.accept_event("lostevent", "Approval", "one")
    await journal.accept_start("shop-8", "shop", {"wait": 25})
    journal._now = lambda: cuts.NOW - timedelta(seconds=3)  # on its way to the hub
    await journal.accept_event("lostevent", "Approval", "two")
    await journal.accept_start("shop-9", "shop", {"wait": 25})
    await journal.accept_start("shop-8", "shop", {"wait": 25})  # sent again, as nobody found the first
    async with hub_with("lostevent") as hub:
        result = await Reconciler(hub, journal, is_live=True).run(apply=True)
        assert result.counts == {"raised": 1, "later": 4} and not result.is_clean
        assert await events_of(hub, "lostevent") == ['"one"']
        assert await hub.read_row("shop-9") is None and await hub.read_row("shop-8") is None
        hub.clock.advance(timedelta(minutes=1))
        result = await Reconciler(hub, journal, is_live=True).run(apply=True)
        assert result.counts == {"there": 2, "raised": 1, "started": 2} and result.is_clean


async def test_without_a_host_everything_up_to_the_look_is_compared(journal):
    journal._now = lambda: cuts.NOW
    await journal.accept_start("shop-9", "shop", {"wait": 25})
    async with hub_with() as hub:
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {"started": 1}


async def test_a_start_that_arrives_between_the_look_and_its_repetition_keeps_its_row(journal):
    await journal.accept_start("shop-9", "shop", {"wait": 25})
    async with hub_with() as hub:

        class Slow(Reconciler):
            """The client's own start arrives after the hub was looked at."""

            async def _do(self, outcome):
                await self.client.start("shop", "shop-9", as_sent({"wait": 25}))
                self.first = (await hub.read_row("shop-9")).entity["ExecutionId"]
                await super()._do(outcome)

        slow = Slow(hub, journal)
        await slow.run(apply=True)
        assert (await hub.read_row("shop-9")).entity["ExecutionId"] == slow.first


async def with_row(hub, instance_id, **columns):
    entity = {"PartitionKey": instance_id, "RowKey": "", "CreatedTime": BEFORE, **columns}
    await hub.account.tables.write(hub.names.instances, Write("upsert", entity))


async def test_what_the_doctor_gave_up_is_started_from_the_journal_with_its_events(journal):
    await journal.accept_start("shop-9", "shop", {"wait": 25})
    await journal.accept_event("shop-9", "Approval", "one")
    async with hub_with() as hub:
        await with_row(hub, "shop-9", Name="shop", RuntimeStatus="Terminated", Output=LOST, CompletedTime=cuts.NOW)
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {"started": 1, "raised": 1}
        row = (await hub.read_row("shop-9")).entity
        assert (row["RuntimeStatus"], row["Input"], row.get("Output")) == ("Pending", as_sent({"wait": 25}), None)
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {"there": 2}


async def test_a_row_that_does_not_tell_what_to_run_is_written_anew_from_the_journal(journal):
    await journal.accept_start("shop-9", "shop", {"wait": 25})
    async with hub_with() as hub:
        await with_row(hub, "shop-9", RuntimeStatus="Running")
        result = await Reconciler(hub, journal).run(apply=True)
        assert result.counts == {"started": 1} and "does not tell which orchestrator" in next(result.lines()).why
        assert (await hub.read_row("shop-9")).entity["Name"] == "shop"
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {"there": 1}


async def test_an_event_for_such_a_row_without_a_start_on_record_is_for_a_person(journal):
    await journal.accept_event("shop-9", "Approval", "one")
    async with hub_with() as hub:
        await with_row(hub, "shop-9", RuntimeStatus="Running")
        result = await Reconciler(hub, journal).run(apply=True)
        assert result.counts == {"uncertain": 1} and "no start is on record" in next(result.lines()).why
        assert await events_of(hub, "shop-9") == []


async def test_a_start_that_was_not_confirmed_is_a_word_to_a_person_and_not_nothing(tmp_path, journal, capsys):
    await journal.withdraw(await journal.accept_start("shop-9", "shop", {"wait": 25}))
    place = tmp_path / "account.db"
    account = await open_account(str(place))
    await TaskHub(account, cuts.settings()).create()
    await account.close()
    arguments = ["--storage", str(place), "--journal", journal.records.description]
    assert await reconcile.run(reconcile.parser("reconcile").parse_args(arguments)) == 1
    said = capsys.readouterr().out
    assert "Ask who sent them" in said and "Left to a person: 1." in said
    assert "Nothing is missing" not in said and "--apply" not in said


async def test_what_is_to_be_known_of_the_journal_is_said(tmp_path, journal, capsys, azurite):
    for account in ("stshop", "stnew"):
        await Journal(journal.records, account=account, now=lambda: BEFORE).accept_start("shop-9", "shop", None)
    account = await open_account(azurite)
    hub = TaskHub(account, replace(cuts.settings(), name="JournalHub"))
    await hub.create()
    options = ["--storage", azurite, "--hub", "JournalHub", "--journal"]
    read = reconcile.parser("reconcile").parse_args
    try:
        assert await reconcile.run(read([*options, journal.records.description])) == 1
        assert "went to more than one account: stnew, stshop" in capsys.readouterr().out
        await Journal(open_place(azurite), "JournalHub", now=lambda: BEFORE).accept_start("shop-9", "shop", None)
        assert await reconcile.run(read([*options, azurite, "--journal-hub", "JournalHub"])) == 1
        assert "The journal lies in the hub's own account" in capsys.readouterr().out
    finally:
        await hub.delete()
        await account.close()


async def test_the_account_is_compared_by_its_name_unless_it_is_a_file_the_emulators_or_was_moved(journal):
    read = reconcile.parser("reconcile").parse_args
    assert doctor.parser("doctor").parse_args(["--other-account"]).other_account
    async with hub_with() as hub:
        assert account_of(read([]), hub) == ""
        for name, more, compared in (
            ("stshop", [], "stshop"), ("stshop", ["--other-account"], ""), ("devstoreaccount1", [], ""),
        ):  # fmt: skip
            real = Account(name, hub.account.tables, hub.account.queues, hub.account.blobs)
            assert account_of(read(more), TaskHub(real, cuts.settings())) == compared
        journal.account = "stother"
        await journal.accept_start("shop-9", "shop", None)
        with pytest.raises(JournalOfAnotherHub, match="stother, not to stshop"):
            await Reconciler(hub, journal, account="stshop").run(apply=True)
        assert await hub.read_row("shop-9") is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_events_that_are_queued_ahead_of_a_start_that_was_lost_come_behind_it(journal):
    await journal.accept_start("waiter-9", "waiter2", None)
    await journal.accept_event("waiter-9", "Approval", "one")
    await journal.accept_event("waiter-9", "Approval", "two")
    async with hub_with() as hub:
        for name, data in (("Approval", "one"), ("Other", "past the app")):
            event = m.event(m.EVENT_RAISED, BEFORE, Name=name, Input=as_sent(data))
            await hub.send(TaskMessage(event, "waiter-9", None))
        assert (await Reconciler(hub, journal).run(apply=False)).counts == {"started": 1, "raised": 2}
        assert len(await hub.account.queues.peek(cuts.CONTROL)) == 2
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {"started": 1, "raised": 2}
        queued = [(await hub.read(x)).event for x in await hub.account.queues.peek(cuts.CONTROL)]
        found = [canonical(event["Input"]) if event["EventType"] == 15 else "start" for event in queued]
        assert found == ['"past the app"', "start", '"one"', '"two"']
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {"there": 3}


async def test_events_queued_ahead_of_a_start_come_behind_it_on_an_account_that_gives_receipts_alone(journal, azurite):
    await journal.accept_start("waiter-9", "waiter2", None)
    await journal.accept_event("waiter-9", "Approval", "one")
    account = await open_account(azurite)
    hub = TaskHub(account, replace(cuts.settings(), name="AheadHub"))
    await hub.create()
    try:
        event = m.event(m.EVENT_RAISED, BEFORE, Name="Approval", Input=as_sent("one"))
        await hub.send(TaskMessage(event, "waiter-9", None))
        assert (await Reconciler(hub, journal).run(apply=True)).counts == {"started": 1, "raised": 1}
        queued = [(await hub.read(x)).event for x in await account.queues.peek(hub.names.control_queue("waiter-9"))]
        assert [m.EVENT_NAMES[one["EventType"]] for one in queued] == ["ExecutionStarted", "EventRaised"]
    finally:
        await hub.delete()
        await account.close()
