"""What was accepted long before the loss and is not in the copy was purged: it is named, and not started again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recovery import reconcile, reconcile_report
from recovery.journal import Journal
from recovery.passes import note
from recovery.reconcile import Reconciler
from recovery.records import DirectoryRecords
from taskhub.accounts import open_account
from taskhub.accounts.embedded import open_embedded
from taskhub.clock import ManualClock
from taskhub.hub import TaskHub
from tests.recovery import cuts
from tests.recovery.cuts import hub_with

HOUR = timedelta(hours=1)


@pytest.fixture
def journal(tmp_path):
    return Journal(DirectoryRecords(tmp_path / "journal"))


async def accepted(journal, before, *ids):
    """Starts that were accepted so long before now."""
    journal._now = lambda: cuts.NOW - before
    for instance_id in ids:
        await journal.accept_start(instance_id, "shop", {"wait": 25})


async def states(hub, journal, **how):
    result = await Reconciler(hub, journal, **how).run(apply=True)
    return {line.instance_id: line.state for line in result.lines()}, result


async def test_an_instance_that_was_purged_is_named_and_not_started_again(journal):
    await accepted(journal, 3 * HOUR, "purged")
    await accepted(journal, timedelta(0), "lost")
    async with hub_with() as hub:
        found, result = await states(hub, journal)
        assert found == {"purged": "gone", "lost": "started"} and not result.is_clean
        assert await hub.read_row("purged") is None and await hub.read_row("lost") is not None
        said = "\n".join(reconcile_report.text(result))
        assert "accepted before 2026-11-21 09:30Z had arrived" in said and "--last-sync" in said
        assert "Left to a person: 1." in said


async def test_what_was_accepted_up_to_an_hour_before_the_last_sign_is_started(journal):
    await accepted(journal, HOUR, "lost")
    await accepted(journal, timedelta(0), "last")
    async with hub_with() as hub:
        assert (await states(hub, journal))[0] == {"lost": "started", "last": "started"}


async def test_a_copy_that_was_further_behind_has_its_starts_started_when_that_is_said(journal):
    await accepted(journal, 5 * HOUR, "purged")
    await accepted(journal, 3 * HOUR, "lost")
    await accepted(journal, timedelta(0), "last")
    async with hub_with() as hub:
        found, result = await states(hub, journal, last_sync=cuts.NOW - 4 * HOUR)
        assert found == {"purged": "gone", "lost": "started", "last": "started"}
        assert result.is_clean  # how far the copy had come is the operator's own word


async def test_a_host_that_was_seen_at_work_tells_of_the_loss_where_requests_are_few(journal):
    await accepted(journal, 3 * HOUR, "purged")
    async with hub_with() as hub:
        found, _ = await states(hub, journal)
        assert found == {"purged": "started"}  # for all that is known it was lost a moment later
    journal.note_alive(cuts.NOW)
    async with hub_with() as hub:
        assert (await states(hub, journal))[0] == {"purged": "gone"}


async def test_requests_of_the_promoted_hub_do_not_make_the_lost_ones_old(journal):
    await accepted(journal, 3 * HOUR, "lost")
    async with hub_with() as hub:
        hub.clock.advance(-2.5 * HOUR)
        await note(hub, "repaired")  # then the standby was started, and the journal forgotten
        hub.clock.advance(2.5 * HOUR)
        await accepted(journal, timedelta(0), "new")
        assert (await states(hub, journal))[0] == {"lost": "started", "new": "started"}


async def test_events_of_a_purged_instance_are_named_with_it(journal):
    await accepted(journal, 3 * HOUR, "purged")
    await journal.accept_event("purged", "Approval", 1)
    await accepted(journal, timedelta(0), "last")
    async with hub_with() as hub:
        _, result = await states(hub, journal)
        assert result.counts == {"gone": 2, "started": 1}


async def test_an_instance_of_which_anything_is_there_was_not_purged(journal):
    await accepted(journal, 3 * HOUR, "c2E")  # its start is queued, without its row
    await accepted(journal, timedelta(0), "last")
    async with hub_with("c2E") as hub:
        assert (await states(hub, journal))[0] == {"c2E": "started", "last": "started"}


async def test_an_unconfirmed_start_of_long_ago_is_nobodys_any_more(journal):
    journal._now = lambda: cuts.NOW - 3 * HOUR
    await journal.withdraw(await journal.accept_start("refused", "shop", None))
    await accepted(journal, timedelta(0), "last")
    async with hub_with() as hub:
        assert (await states(hub, journal))[0] == {"last": "started"}


async def test_the_command_takes_the_time_of_the_last_sync(tmp_path, journal, capsys):
    await accepted(journal, 3 * HOUR, "old")
    await accepted(journal, timedelta(0), "last")
    place = str(tmp_path / "account.db")
    account = open_embedded(place, ManualClock(cuts.NOW))
    await TaskHub(account, cuts.settings()).create()
    await account.close()
    arguments = ["--storage", place, "--journal", journal.records.description]
    for more, code, said in (
        ([], 1, "gone"), (["--last-sync", "2026-11-21T07:00Z"], 1, "start shop for old: started"),
        (["--apply", "--last-sync", "2026-11-21T09:00"], 0, "gone"),
    ):  # fmt: skip
        options = reconcile.parser("reconcile").parse_args([*arguments, *more])
        assert await reconcile.run(options, ManualClock(cuts.NOW)) == code
        assert said in capsys.readouterr().out
    with pytest.raises(SystemExit):
        reconcile.parser("reconcile").parse_args([*arguments, "--last-sync", "yesterday"])
    assert "--last-sync" in capsys.readouterr().err
    account = await open_account(place)
    await account.close()
