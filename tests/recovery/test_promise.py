"""The promise of docs/recovery.md, clause by clause: what was answered 202 ends with its right result or is named."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest

from recovery import app_settings, fence, journal
from recovery.examination import Doctor
from recovery.reconcile import Reconciler
from recovery.records import DirectoryRecords
from recovery.replay import load_app
from taskhub.accounts import open_account
from taskhub.client import TaskHubClient
from taskhub.clock import ManualClock
from taskhub.hub import TaskHub
from tests.recovery import cuts, standby
from workflows import starters
from workflows.responses import HubUnavailable

ORDER = {"wait": 25}
ACCEPTED = cuts.NOW - timedelta(minutes=50, seconds=4)  # when the recorded runs began


class Died(BaseException):
    """The process ends in the middle of a request."""


class Region:
    """A hub with the durable client of the SDK in front of it; `before` and `after` happen around each start."""

    def __init__(self, hub):
        self.hub = hub
        self._client = TaskHubClient(hub)
        self.before = self.after = None

    async def start_new(self, name, instance_id, data):
        self._fail(self.before)
        await self._client.start(name, instance_id, journal.as_sent(data))
        self._fail(self.after)

    async def get_status(self, instance_id, show_input=True):
        status = await self._client.status(instance_id)
        if status is None:
            return None
        state = SimpleNamespace(name=status.runtime_status)
        return SimpleNamespace(name=status.name, runtime_status=state)

    @staticmethod
    def _fail(error):
        if error is not None:
            raise error


@asynccontextmanager
async def region():
    account = await open_account(":memory:", clock := ManualClock(cuts.NOW))
    hub = TaskHub(account, cuts.settings(), clock)
    await hub.create()
    try:
        yield Region(hub)
    finally:
        await account.close()


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The journal that the app writes, as its settings ask for it."""
    monkeypatch.setenv("JOURNAL_STORAGE", str(tmp_path / "journal"))
    monkeypatch.setenv(app_settings.HUB_NAME, cuts.HUB)
    monkeypatch.delenv("FENCE_REGION", raising=False)
    for cached in (journal.current, fence.current):
        cached.cache_clear()
    yield journal.Journal(DirectoryRecords(tmp_path / "journal"), now=lambda: ACCEPTED)
    for cached in (journal.current, fence.current):
        cached.cache_clear()


async def request(place, instance_id="shop-9", data=ORDER):
    """One start request as an endpoint handles it; True: it is answered 202."""
    journal.current()._now = lambda: ACCEPTED
    try:
        await starters.start_once(place, "shop", instance_id, data)
    except (HubUnavailable, Died):
        return False
    return True


async def after_the_loss(kept, *poured):
    """What the reconciler says of a copy that holds only these recorded states."""
    async with region() as copy:
        for name in poured:
            await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == name), copy.hub)
        result = await Reconciler(copy.hub, kept).run(apply=True)
        again = await Reconciler(copy.hub, kept).run(apply=True)
        row = await copy.hub.read_row("shop-9")
        messages = [await copy.hub.read(x) for x in await copy.hub.account.queues.peek(cuts.CONTROL)]
        assert [x.kind for x in messages if x.instance_id == "shop-9"] in ([], [0])
        assert again.counts["started"] == again.counts["raised"] == 0  # never twice
        return result, None if row is None else row.entity


async def test_what_was_answered_202_is_started_again_in_a_copy_that_holds_nothing_of_it(kept):
    async with region() as west:
        assert await request(west)
    result, row = await after_the_loss(kept)
    assert (result.counts, row["Name"], row["Input"]) == ({"started": 1}, "shop", journal.as_sent(ORDER))


async def test_a_crash_between_the_journals_write_and_the_hubs_start_loses_nothing(kept):
    async with region() as west:
        west.before = Died()
        assert not await request(west)
    result, row = await after_the_loss(kept)
    assert result.counts == {"started": 1} and row["Input"] == journal.as_sent(ORDER)


async def test_a_crash_after_the_hubs_start_and_before_the_answer_loses_nothing(kept):
    async with region() as west:
        west.after = Died()
        assert not await request(west)
    assert (await after_the_loss(kept))[0].counts == {"started": 1}


async def test_a_start_whose_answer_was_lost_and_that_is_found_there_is_named_when_the_copy_lacks_it(kept):
    async with region() as west:
        west.after = OSError("the connection was lost")
        assert await request(west)  # it is there: answered 202, though its start was never confirmed
        west.after = None
        assert await request(west)  # repeated, and answered with the links of the first
    result, row = await after_the_loss(kept)
    assert result.counts == {"withdrawn": 1} and row is None
    assert [line.instance_id for line in result.lines()] == ["shop-9"]


async def test_a_start_that_failed_and_is_repeated_is_started_once(kept):
    async with region() as west:
        west.before = OSError("the connection was refused")
        assert not await request(west)
        west.before = None
        assert await request(west)
    result, row = await after_the_loss(kept)
    assert result.counts == {"started": 1} and row["Input"] == journal.as_sent(ORDER)


async def test_two_equal_requests_at_once_are_one_start(kept):
    async with region() as west:
        assert all(await asyncio.gather(request(west), request(west)))
    result, _ = await after_the_loss(kept)
    assert result.counts["started"] == 1


async def test_when_the_journal_is_down_a_request_is_refused_and_the_hub_never_hears_of_it(kept, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JOURNAL_STORAGE", str(tmp_path / "file"))
    async with region() as west:
        assert not await request(west)
        assert await west.hub.read_row("shop-9") is None
    assert journal.current().status()["refused"] == 1


async def test_what_is_accepted_without_the_journal_is_counted_and_outside_the_promise(
    kept, monkeypatch, tmp_path, caplog
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JOURNAL_STORAGE", str(tmp_path / "file"))
    monkeypatch.setenv("JOURNAL_WHEN_DOWN", "accept")
    async with region() as west:
        with caplog.at_level(logging.WARNING):
            assert await request(west)
        assert (await west.hub.read_row("shop-9")).entity["Name"] == "shop"
    assert journal.current().status()["acceptedWithout"] == 1 and "without the journal" in caplog.text


async def test_an_end_that_a_lag_may_still_undo_keeps_its_entries_and_pruning_leaves_what_is_open(kept):
    await kept.accept_start("failrew", "fails", None)
    async with region() as copy:
        await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == "failrew"), copy.hub)
        assert (await Reconciler(copy.hub, kept).run(apply=True)).closed == 0
    await kept.accept_start("shop-9", "shop", ORDER)
    assert kept.prune(cuts.NOW + timedelta(days=365)) == 0
    assert len(kept.entries("failrew")) == len(kept.entries("shop-9")) == 1
    assert (await after_the_loss(kept))[0].counts == {"started": 2}  # the copy knows of neither


async def test_a_record_that_somebody_changed_is_named_and_nothing_is_started_from_it(kept):
    async with region() as west:
        assert await request(west)
    (name,) = kept.records.names("app/open/")
    changed = {**json.loads(kept.records.get(name)[0]), "text": journal.as_sent({"wait": 0})}
    kept.records.put(name, json.dumps(changed).encode())
    result, row = await after_the_loss(kept)
    assert result.counts == {"unreadable": 1} and row is None and not result.is_clean


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("size", [10, 20_000, 1_000_000])
def test_a_start_that_only_the_journal_knows_ends_with_its_right_result_however_large_its_input(kept, size):
    asyncio.run(kept.accept_start("eternal-9", "parent", "x" * size))

    async def prepare(hub, clock):
        await hub.create()
        await Reconciler(hub, kept).run(apply=True)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # a loop of its own, whose time jumps
        found = pool.submit(standby.take_over, prepare, ["eternal-9"]).result()
    assert (found.state("eternal-9"), found.output("eternal-9")) == ("Completed", ["parent", "done kid"])
    assert json.loads(json.loads(found.status["eternal-9"].input)) == "x" * size
    assert (found.runs["work"], found.left) == (1, 0)


@pytest.mark.parametrize("cut", cuts.cuts(), ids=lambda cut: cut.name)
async def test_whatever_is_left_of_an_instance_it_is_started_repaired_or_named(kept, cut):
    ids = [name for name in cut.ids if not name.startswith("@")]
    for instance_id in ids:
        await kept.accept_start(instance_id, "shop", ORDER)
    async with region() as copy:
        await cuts.pour(cut, copy.hub)
        doctor = Doctor(copy.hub, load_app(standby.GOLDEN).replay)
        repaired = await doctor.repair(await doctor.examine())
        result = await Reconciler(copy.hub, kept).run(apply=True)
        second = await Doctor(copy.hub, load_app(standby.GOLDEN).replay).examine()
        named = {line.instance_id for line in result.lines()} | set(repaired.left)
        for instance_id in ids:
            outcome = next((x.kind for x in second.lines() if x.instance_id == instance_id), "completed")
            assert instance_id in named or outcome in ("completed", "waiting", "goes-on"), outcome
