"""Messages of which nothing else is there: an event is kept when the journal can start whom it is for."""

from __future__ import annotations

import pytest

from recovery import doctor, reconcile
from recovery.journal import Journal
from recovery.records import DirectoryRecords
from taskhub import messages as m
from taskhub.accounts import open_account
from taskhub.hub import TaskHub
from taskhub.messages import TaskMessage
from tests.recovery import cuts, standby


@pytest.fixture
async def place(tmp_path):
    """An account's file whose hub holds an event and an activity's result, and nothing else of their instance."""
    file = str(tmp_path / "account.db")
    account = await open_account(file)
    hub = TaskHub(account, cuts.settings())
    await hub.create()
    now = hub.clock.now()
    await hub.send(TaskMessage(m.event(m.EVENT_RAISED, now, Name="Approval", Input='"yes"'), "order-1", None))
    await hub.send(TaskMessage(m.event(m.TASK_COMPLETED, now, TaskScheduledId=0, Result="1"), "order-1", "gone"))
    await account.close()
    return file


async def queued(file):
    account = await open_account(file)
    hub = TaskHub(account, cuts.settings())
    found = [(await hub.read(x)).event for x in await account.queues.peek(hub.names.control_queue("order-1"))]
    await account.close()
    return [m.EVENT_NAMES[event["EventType"]] for event in found]


async def run(file, *more):
    return await doctor.run(
        doctor.parser("doctor").parse_args(["--storage", file, "--app", str(standby.GOLDEN), *more])
    )


async def test_an_event_is_kept_for_a_start_that_the_journal_holds_and_is_not_raised_a_second_time(
    place, tmp_path, capsys
):
    journal = Journal(DirectoryRecords(tmp_path / "journal"))
    await journal.accept_start("order-1", "Shop", {})
    await journal.accept_event("order-1", "Approval", "yes")
    with_journal = ["--journal", str(tmp_path / "journal")]
    assert await run(place, *with_journal, "--apply") == 1
    assert "the journal holds its start: python -m recovery reconcile starts it" in capsys.readouterr().out
    assert await queued(place) == ["EventRaised"]
    arguments = reconcile.parser("reconcile").parse_args(["--storage", place, *with_journal, "--apply"])
    await reconcile.run(arguments)
    assert sorted(await queued(place)) == ["EventRaised", "ExecutionStarted"]


@pytest.mark.parametrize("with_a_journal", [False, True], ids=["without a journal", "with a journal without its start"])
async def test_an_event_for_nobody_is_deleted(place, tmp_path, with_a_journal):
    await Journal(DirectoryRecords(tmp_path / "journal")).accept_start("order-2", "Shop", {})
    more = ["--journal", str(tmp_path / "journal")] if with_a_journal else []
    assert await run(place, *more, "--apply") == 0
    assert await queued(place) == []
