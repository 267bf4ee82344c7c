"""An accepted request is on record before the client is told so, or it is refused."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest

from recovery.journal import (
    Journal,
    JournalDown,
    JournalMisconfigured,
    JournalOfAnotherHub,
    NoJournal,
    as_sent,
    open_journal,
)
from recovery.records import DirectoryRecords, RecordChanged, RecordsUnreachable

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


class Unreachable:
    """Records whose account is gone."""

    description = "nowhere"

    def put(self, name, data, version=None, only_new=False):
        raise RecordsUnreachable("the journal in nowhere does not answer: timeout")

    def get(self, name):
        raise RecordsUnreachable("the journal in nowhere does not answer: timeout")

    def names(self, prefix=""):
        raise RecordsUnreachable("the journal in nowhere does not answer: timeout")

    def delete(self, name):
        raise RecordsUnreachable("the journal in nowhere does not answer: timeout")


@pytest.fixture
def records(tmp_path):
    return DirectoryRecords(tmp_path / "journal")


@pytest.fixture
def journal(records):
    return Journal(records, "Hub", now=lambda: NOW)


async def test_an_accepted_start_is_on_record_when_the_call_returns(journal, records):
    await journal.accept_start("order-1", "order", {"sku": "tea"})
    (entry,) = Journal(records, "Hub").entries("order-1")
    assert (entry.kind, entry.instance_id, entry.name) == ("start", "order-1", "order")
    assert entry.text == as_sent({"sku": "tea"}) == '"{\\"sku\\": \\"tea\\"}"'
    assert entry.moment == NOW and entry.is_whole


async def test_a_write_whose_first_try_arrived_and_was_not_answered_is_a_write(records):
    class Retrying(DirectoryRecords):
        """As the storage client: the answer is lost, and the same request is sent again."""

        def put(self, name, data, version=None, only_new=False):
            super().put(name, data, version, only_new)
            return super().put(name, data, version, only_new)

    journal = Journal(Retrying(records._directory), "Hub")
    assert await journal.accept_start("order-1", "order", 1) is not None
    assert len(journal.entries("order-1")) == 1 and journal.status()["written"] == 1


async def test_entries_of_an_instance_come_in_the_order_of_their_acceptance(journal):
    await journal.accept_start("order-1", "order", None)
    for number in range(12):
        await journal.accept_event("order-1", "change", number)
    entries = journal.entries("order-1")
    assert [entry.kind for entry in entries] == ["start"] + ["event"] * 12
    assert [entry.text for entry in entries] == [None] + [as_sent(number) for number in range(12)]


@pytest.mark.parametrize("instance_id", ["@device@k.1", "a..b", "früh:1", "x" * 250, "%41", "A", "a b"])
async def test_any_instance_id_keeps_its_entries_apart_from_every_other(journal, instance_id):
    await journal.accept_start(instance_id, "order", instance_id)
    await journal.accept_start(f"{instance_id[:200]}2", "order", "other")
    assert [entry.text for entry in journal.entries(instance_id)] == [as_sent(instance_id)]
    assert set(journal.instance_ids()) == {instance_id, f"{instance_id[:200]}2"}


async def test_when_the_journal_is_down_a_request_is_refused_and_that_is_counted():
    journal = Journal(Unreachable())
    with pytest.raises(JournalDown, match="cannot be put on record: .*timeout.*again later"):
        await journal.accept_start("order-1", "order", {})
    assert journal.status()["refused"] == 1


async def test_the_setting_may_accept_without_the_journal_with_a_warning_that_is_counted(caplog):
    journal = Journal(Unreachable(), when_down="accept")
    with caplog.at_level(logging.WARNING):
        assert await journal.accept_event("order-1", "change", 1) is None
    assert "accepted without the journal" in caplog.text
    assert journal.status()["acceptedWithout"] == 1


async def test_the_status_page_says_whether_there_is_a_journal_and_what_it_costs(journal):
    assert NoJournal().status() == {"journal": "off"}
    await journal.accept_start("order-1", "order", None)
    status = journal.status()
    assert (status["journal"], status["written"]) == ("on", 1)
    assert status["meanMilliseconds"] >= 0


async def test_a_request_that_was_refused_after_all_is_taken_back(journal):
    entry = await journal.accept_start("order-1", "order", None)
    await journal.withdraw(entry)
    assert journal.entries("order-1") == []


async def test_a_damaged_entry_is_left_out_and_said(journal, records, caplog):
    await journal.accept_start("order-1", "order", 1)
    await journal.accept_start("order-1", "order", 2)
    first, second = list(records.names("Hub/open/"))
    data = json.loads(records.get(first)[0])
    records.put(first, json.dumps({**data, "text": "changed"}).encode())
    records.put(second, b"{")
    with caplog.at_level(logging.WARNING):
        assert journal.entries("order-1") == []
    assert "is damaged" in caplog.text and "cannot be read" in caplog.text


async def test_an_entry_that_was_put_to_another_instance_is_damaged(journal, records):
    await journal.accept_start("order-1", "order", 1)
    (name,) = records.names("Hub/open/")
    records.put(name.replace("order-1", "order-2"), records.get(name)[0])
    assert journal.entries("order-2") == [] and len(journal.entries("order-1")) == 1


@pytest.mark.parametrize("change", [{"text": 5}, {"time": "yesterday"}, {"time": "2026-01-02T03:04:05"}, {"more": 1}])
async def test_an_entry_of_another_shape_is_damaged(journal, records, change):
    await journal.accept_start("order-1", "order", 1)
    (name,) = records.names("Hub/open/")
    records.put(name, json.dumps({**json.loads(records.get(name)[0]), **change}).encode())
    (found,) = journal.on_record()
    assert found.entries == [] and found.unreadable[0].startswith(name)


class Counting:
    """Records that count how often they are asked."""

    def __init__(self, records):
        self._records, self.asked = records, Counter()

    def __getattr__(self, name):
        def counted(*arguments, **named):
            self.asked[name] += 1
            return getattr(self._records, name)(*arguments, **named)

        return counted


async def test_each_entry_is_read_once_and_the_names_are_listed_once_however_many_there_are(journal, records):
    for number in range(150):
        await journal.accept_start(f"order-{number}", "order", number)
        await journal.accept_event(f"order-{number}", "change", number)
    counting = Counting(records)
    found = list(Journal(counting, "Hub").on_record())
    assert [len(one.entries) for one in found] == [2] * 150
    assert counting.asked == {"get": 300, "names": 2}  # the open ones and the withdrawn ones


async def test_the_entries_of_one_instance_are_found_without_looking_at_the_others(journal, records, monkeypatch):
    for number in range(5):
        await journal.accept_start(f"order-{number}", "order", number)
    looked, scandir = [], os.scandir
    monkeypatch.setattr("os.scandir", lambda place: looked.append(place) or scandir(place))
    assert len(journal.entries("order-3")) == 1 and len(looked) == 1


async def test_instances_whose_ids_begin_alike_keep_their_records_together(journal):
    for instance_id in ("a", "a-b", "a b", "a:b", "A"):
        await journal.withdraw(await journal.accept_start(instance_id, "order", 1))
        await journal.accept_start(instance_id, "order", 2)
    found = list(journal.on_record())
    assert sorted(one.instance_id for one in found) == ["A", "a", "a b", "a-b", "a:b"]
    assert all(len(one.entries) == len(one.withdrawn) == 1 for one in found)


async def test_a_withdrawn_start_stays_on_record_apart_and_a_withdrawn_event_does_not(journal):
    await journal.withdraw(await journal.accept_start("order-1", "order", 1))
    await journal.withdraw(await journal.accept_event("order-1", "change", 1))
    (found,) = journal.on_record()
    assert found.entries == [] and [entry.kind for entry in found.withdrawn] == ["start"]
    journal.forget(found.withdrawn[0])
    assert list(journal.on_record()) == []


async def test_what_is_accepted_while_an_instance_is_closed_stays_open(journal):
    await journal.accept_start("order-1", "order", 1)
    seen = journal.entries("order-1")
    await journal.accept_start("order-1", "order", 2)
    assert journal.close("order-1", "Completed", seen) == 1
    assert [entry.text for entry in journal.entries("order-1")] == [as_sent(2)]


async def test_ended_instances_are_closed_with_one_short_record_and_pruned_later(journal, records):
    await journal.accept_start("order-1", "order", None)
    await journal.accept_event("order-1", "change", 1)
    assert journal.close("order-1", "Completed", journal.entries("order-1")) == 2
    assert journal.entries("order-1") == [] and list(journal.instance_ids()) == []
    (closed,) = records.names("Hub/closed/")
    assert json.loads(records.get(closed)[0])["entries"] == 2
    assert journal.prune(NOW) == 0
    assert journal.prune(NOW + timedelta(days=1)) == 1


async def test_the_journal_of_another_hub_is_refused_by_name(journal, records):
    with pytest.raises(JournalOfAnotherHub, match="There is no journal"):
        journal.check()
    await journal.accept_start("order-1", "order", None)
    journal.check()
    with pytest.raises(JournalOfAnotherHub, match="has no hub 'Other'; it has Hub"):
        Journal(records, "Other").check()


async def test_a_journal_whose_requests_went_to_another_task_hub_is_refused_by_name(records):
    for task_hub in ("Shop", "Shop2"):  # a new version of the app may have a new task hub
        await Journal(records, "app", task_hub=task_hub).accept_start("order-1", "order", None)
    for task_hub in ("Shop", "shop2", ""):
        Journal(records, "app").check(task_hub)
    with pytest.raises(JournalOfAnotherHub, match="went to the task hub shop, shop2, not to Bakery"):
        Journal(records, "app").check("Bakery")


async def test_a_journal_whose_requests_went_to_a_hub_of_the_same_name_in_another_account_is_refused(records):
    await Journal(records, "app", task_hub="Shop", account="stshop").accept_start("order-1", "order", None)
    for account in ("stshop", "STSHOP", ""):
        Journal(records, "app").check("Shop", account)
    with pytest.raises(JournalOfAnotherHub, match="account stshop, not to sttest: .*--other-account"):
        Journal(records, "app").check("Shop", "sttest")
    await Journal(records, "app", task_hub="Shop", account="sttest").accept_start("order-2", "order", None)
    Journal(records, "app").check("Shop", "sttest")
    assert Journal(records, "app").accounts() == ["stshop", "sttest"]


async def test_a_journal_that_has_only_the_hubs_name_from_before_is_read(records):
    await Journal(records, "app", task_hub="Shop").accept_start("order-1", "order", None)
    Journal(records, "app").check("Shop", "stshop")


async def test_the_last_sign_of_the_hub_is_its_newest_request_or_a_host_that_was_seen(journal, records):
    assert journal.last_sign() is None
    for minutes in (3, 9, 6):
        journal._now = lambda minutes=minutes: NOW + timedelta(minutes=minutes, microseconds=minutes % 2)
        await journal.accept_start(f"order.{minutes}", "order", None)
    assert journal.last_sign() == NOW + timedelta(minutes=9, microseconds=1)
    assert journal.last_sign(before=NOW + timedelta(minutes=9)) == NOW + timedelta(minutes=6)
    journal.note_alive(NOW + timedelta(hours=1))
    assert journal.last_sign() == NOW + timedelta(hours=1)
    assert journal.last_sign(before=NOW + timedelta(minutes=4)) == NOW + timedelta(minutes=3, microseconds=1)
    records.put("Hub/alive.json", b"{")
    records.put("Hub/open/order/readme.txt", b"")
    assert journal.last_sign() == NOW + timedelta(minutes=9, microseconds=1)


@pytest.mark.parametrize(
    ("hub", "journal", "shared"),
    [
        ({"AzureWebJobsStorage__accountName": "stshop"}, {"JOURNAL_STORAGE__accountName": "stjournal"}, False),
        ({"AzureWebJobsStorage__accountName": "stshop"}, {"JOURNAL_STORAGE__accountName": "stshop"}, True),
        ({"AzureWebJobsStorage": "UseDevelopmentStorage=true"}, {"JOURNAL_STORAGE": "{tmp_path}"}, False),
        ({}, {"JOURNAL_STORAGE": "{tmp_path}"}, False),
    ],
)
def test_the_status_page_says_when_the_journal_lies_in_the_hubs_own_account(tmp_path, hub, journal, shared):
    place = {name: value.format(tmp_path=tmp_path) for name, value in journal.items()}
    opened = open_journal({**hub, **place})
    assert opened.status()["inHubsAccount"] is shared
    assert opened.account == hub.get("AzureWebJobsStorage__accountName", "")


@pytest.mark.parametrize("setting", ["", "off", "OFF"])
def test_off_is_a_setting(setting):
    assert isinstance(open_journal({"JOURNAL_STORAGE": setting}), NoJournal)


def test_the_settings_choose_place_hub_and_what_happens_when_it_is_down(tmp_path):
    journal = open_journal({"JOURNAL_STORAGE": str(tmp_path), "JOURNAL_HUB": "Shop", "JOURNAL_WHEN_DOWN": "accept"})
    assert (journal.hub, journal.when_down) == ("Shop", "accept")
    with pytest.raises(JournalMisconfigured, match="JOURNAL_WHEN_DOWN is 'maybe'"):
        open_journal({"JOURNAL_STORAGE": str(tmp_path), "JOURNAL_WHEN_DOWN": "maybe"})
    with pytest.raises(JournalMisconfigured, match="the setting JOURNAL_STORAGE is no connection string"):
        open_journal({"JOURNAL_STORAGE": "Account=stshop"})


def test_a_record_is_written_once_or_against_the_version_that_was_read(records):
    version = records.put("a/b", b"1", only_new=True)
    with pytest.raises(RecordChanged):
        records.put("a/b", b"2", only_new=True)
    newer = records.put("a/b", b"2", version=version)
    with pytest.raises(RecordChanged):
        records.put("a/b", b"3", version=version)
    assert records.get("a/b") == (b"2", newer)
    records.delete("a/b")
    records.delete("a/b")
    assert records.get("a/b") is None


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordsUnreachable, match="cannot be written"):
        DirectoryRecords(tmp_path / "file").put("a", b"")


def test_nothing_heavy_and_nothing_of_the_operators_is_imported_by_what_ships():
    import subprocess
    import sys

    code = "import sys, recovery.journal, recovery.fence; print([n for n in sys.modules if n.split('.')[0] in " \
           "('taskhub', 'lab', 'azure', 'aiohttp', 'rich', 'workflows') or n.startswith('recovery.')])"  # fmt: skip
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(eval(shown)) == {
        f"recovery.{name}" for name in ("app_settings", "fence", "journal", "journal_entries", "records", "silence")
    }
