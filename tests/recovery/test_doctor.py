"""The doctor's command: what it prints, writes and refuses."""

from __future__ import annotations

import json

import pytest

from recovery import doctor, hub_command
from recovery.__main__ import main
from recovery.journal import Journal
from recovery.records import DirectoryRecords
from taskhub import messages as m
from taskhub.accounts import Write, open_account
from taskhub.hub import TaskHub
from taskhub.messages import TaskMessage
from tests.recovery import cuts, standby

BAD = ["lostwork", "c2E", "c16L", "hole", "c23"]
FINE = ["failrew", "startev"]


@pytest.fixture
async def storage(tmp_path):
    """An account's file whose hub holds some recorded cuts side by side."""
    place = tmp_path / "account.db"
    account = await open_account(str(place))
    hub = TaskHub(account, cuts.settings())
    for cut in cuts.cuts():
        if cut.name in (*BAD, *FINE):
            await cuts.pour(cut, hub)
    await account.close()
    return str(place)


def options(storage, *more):
    return doctor.parser("doctor").parse_args(["--storage", storage, *more])


async def at_once(seconds):
    """The pause between the two looks at a hub at work."""


async def run(storage, *more):
    return await doctor.run(options(storage, *more), pause=at_once)


async def test_without_apply_everything_is_shown_and_nothing_changed(storage, capsys):
    before = await _content(storage)
    assert await run(storage, "--app", str(standby.GOLDEN)) == 1
    shown = capsys.readouterr().out
    assert "7 instances, 5 need a repair" in shown
    assert "lostwork: stuck (awaited-lost)" in shown
    assert "R6       send TaskScheduled#0 to lostwork" in shown
    assert "may run a second time: activity work (number 0)" in shown
    assert "Nothing was changed" in shown
    assert await _content(storage) == before


async def test_apply_repairs_and_a_second_run_finds_nothing(storage, capsys):
    assert await run(storage, "--app", str(standby.GOLDEN), "--apply") == 0
    assert "A second look finds nothing." in capsys.readouterr().out
    assert await run(storage, "--app", str(standby.GOLDEN)) == 0
    assert "Nothing needs a repair." in capsys.readouterr().out


async def test_the_report_as_json_holds_every_instance_and_its_plan(storage, capsys):
    await run(storage, "--app", str(standby.GOLDEN), "--json")
    report = json.loads(capsys.readouterr().out)
    assert {item["instance"] for item in report["list"]} == set(BAD)
    assert report["verdicts"] == {
        "stuck": 1,
        "lost": 1,
        "repeats": 1,
        "damaged": 1,
        "orphan": 1,
        "completed": 1,
        "goes-on": 1,
    }
    assert all(item["plan"]["steps"] for item in report["list"])
    assert not report["clean"]


async def test_the_page_needs_nothing_from_elsewhere_and_escapes_what_it_shows(storage, tmp_path):
    page = tmp_path / "reports" / "doctor.html"
    await run(storage, "--html", str(page), "--all")
    text = page.read_text(encoding="utf-8")
    assert "http" not in text and "<script" not in text
    assert "lostwork" in text and "need a repair" in text


async def test_only_some_instances_are_examined_and_repaired_when_they_are_named(storage, capsys):
    assert await run(storage, "--only", "c16L", "--apply") == 0
    assert "c16L" in capsys.readouterr().out
    assert await run(storage, "--json") == 1
    left = {item["instance"] for item in json.loads(capsys.readouterr().out)["list"]}
    assert left == set(BAD) - {"c16L"}


async def test_why_an_instance_does_not_move_is_answered_for_a_healthy_one_too(storage, capsys):
    assert await run(storage, "--only", "startev") == 0
    assert "startev: goes-on (start-queued)" in capsys.readouterr().out


async def test_a_hub_that_a_host_works_on_is_only_looked_at(storage, capsys):
    account = await open_account(storage)
    await account.blobs.put("goldenhub-leases", "ownership/goldenhub-control-00", b"{}")
    await account.blobs.acquire_lease("goldenhub-leases", "ownership/goldenhub-control-00", 60)
    await account.close()
    with pytest.raises(Exception, match="Nothing was changed: the lease ownership/goldenhub-control-00 is held"):
        await run(storage, "--apply")
    assert await run(storage, "--app", str(standby.GOLDEN)) == 1
    assert "somebody works on this hub" in capsys.readouterr().out
    assert await run(storage, "--app", str(standby.GOLDEN), "--apply", "--force") == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--storage", "missing.db"], "no storage account's file missing.db"),
        (["--storage", ""], "No storage account is named"),
        (["--storage", "ftp://somewhere"], "no storage account that can be opened"),
        (["--storage", "{storage}", "--hub", "Other"], "no task hub 'Other'"),
        (["--storage", "{storage}", "--app", "nowhere"], "no function_app.py in nowhere"),
        (["--storage", "{storage}", "--reply", "order-7"], "is not ID=JSON"),
    ],
)
def test_bad_input_is_named_on_one_line_and_changes_nothing(storage_file, arguments, said, capsys):
    assert main(["doctor", *(part.format(storage=storage_file) for part in arguments)]) == 2
    shown = capsys.readouterr().err
    assert said in shown and shown.startswith("doctor: ") and "Traceback" not in shown


@pytest.fixture
def storage_file(tmp_path):
    import asyncio

    place = tmp_path / "account.db"

    async def fill():
        account = await open_account(str(place))
        await TaskHub(account, cuts.settings()).create()
        await account.close()

    asyncio.run(fill())
    return str(place)


def test_an_account_without_a_hub_is_told_apart_from_a_hub_without_work(tmp_path, storage_file, capsys):
    assert main(["doctor", "--storage", storage_file]) == 0
    assert "0 instances" in capsys.readouterr().out
    empty = tmp_path / "empty.db"
    _make(empty)
    assert main(["doctor", "--storage", str(empty)]) == 2
    assert "There is no task hub in" in capsys.readouterr().err


def _make(place):
    import asyncio

    async def make():
        await (await open_account(str(place))).close()

    asyncio.run(make())


async def _content(storage):
    account = await open_account(storage)
    rows = [row.entity async for row in account.tables.rows(f"{cuts.HUB}Instances")]
    rows += [row.entity async for row in account.tables.rows(f"{cuts.HUB}History")]
    counts = [await account.queues.count(queue) for queue in await account.queues.names()]
    containers = await account.blobs.names()
    await account.close()
    return rows, counts, containers


async def test_the_worst_instances_come_first(storage, capsys):
    await run(storage, "--app", str(standby.GOLDEN), "--json")
    kinds = [item["verdict"] for item in json.loads(capsys.readouterr().out)["list"]]
    assert kinds == ["damaged", "lost", "stuck", "repeats", "orphan"]


async def test_on_a_terminal_a_bar_tells_how_far_it_has_come_and_is_taken_away(storage, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(hub_command, "PROGRESS_STEP", 1)
    await run(storage, "--app", str(standby.GOLDEN), "--apply")
    shown = capsys.readouterr().err
    assert "1 of 5 instances" in shown and "5 of 5 plans" in shown and "plans carried out" in shown
    assert shown.endswith("\r")


async def test_when_nobody_watches_no_bar_is_drawn(storage, capsys):
    await run(storage, "--app", str(standby.GOLDEN))
    assert capsys.readouterr().err == ""


async def test_what_cannot_be_read_is_counted_in_the_report(storage, capsys):
    account = await open_account(storage)
    row = {"PartitionKey": "broken", "RowKey": "0000000000000000", "EventType": "Nonsense", "ExecutionId": "x"}
    await account.tables.write(f"{cuts.HUB}History", Write("upsert", row))
    for _ in range(7):
        await account.queues.put(cuts.CONTROL, "no message")
    await account.close()
    assert await run(storage) == 1
    shown = capsys.readouterr().out
    assert "1 instances hold rows that cannot be read" in shown and "and 2 more unreadable messages" in shown
    await run(storage, "--json")
    report = json.loads(capsys.readouterr().out)
    assert (report["unreadableInstances"], report["unreadableMessages"]) == (1, 7)


async def test_a_look_at_one_instance_of_a_live_hub_changes_nothing_and_says_what_it_waits_for(storage, capsys):
    account = await open_account(storage)
    await account.blobs.put("goldenhub-leases", "ownership/goldenhub-control-00", b"{}")
    await account.blobs.acquire_lease("goldenhub-leases", "ownership/goldenhub-control-00", 60)
    await account.close()
    before = await _content(storage)
    assert await run(storage, "--app", str(standby.GOLDEN), "--only", "lostwork", "--read-only") == 1
    shown = capsys.readouterr().out
    assert "lostwork: stuck (awaited-lost)" in shown and "history says it was scheduled" in shown
    assert "somebody works on this hub" in shown
    assert await _content(storage) == before


async def test_with_the_journal_a_lost_event_is_told_from_rightful_waiting(tmp_path, capsys):
    place = str(tmp_path / "account.db")
    account = await open_account(place)
    for name in ("lostevent", "suspLost"):
        await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == name), TaskHub(account, cuts.settings()))
    await account.close()
    await Journal(DirectoryRecords(tmp_path / "journal")).accept_event("lostevent", "Approval", "one")
    assert await run(place, "--app", str(standby.GOLDEN), "--only", "lostevent") == 0
    assert "lostevent: waiting" in capsys.readouterr().out
    with_journal = ["--app", str(standby.GOLDEN), "--journal", str(tmp_path / "journal")]
    assert await run(place, *with_journal, "--only", "lostevent") == 1
    shown = capsys.readouterr().out
    assert "the journal accepted 'Approval', the hub does not have it" in shown
    assert "python -m recovery reconcile raises it" in shown
    await run(place, *with_journal, "--all", "--json")
    verdicts = {item["instance"]: item["verdict"] for item in json.loads(capsys.readouterr().out)["list"]}
    assert verdicts == {"lostevent": "stuck", "suspLost": "waiting"}


async def test_large_payloads_that_belong_to_nothing_are_named_and_harm_nothing(storage, capsys):
    account = await open_account(storage)
    hub = TaskHub(account, cuts.settings())
    for name in ("gone-1/message-a", "gone-1/message-b", "gone/message-c", "failrew/message-d"):
        await hub.large.write(f"{name}-ExecutionStarted.json.gz", b"x")
    await account.close()
    await run(storage, "--app", str(standby.GOLDEN))
    shown = capsys.readouterr().out
    assert "3 large payloads belong to 2 instances of which nothing else is there (gone-1, gone); no harm" in shown
    assert await run(storage, "--app", str(standby.GOLDEN), "--apply") == 0
    capsys.readouterr()
    await run(storage, "--json")
    report = json.loads(capsys.readouterr().out)
    assert (report["orphanBlobs"], report["clean"]) == (3, True)


async def test_without_a_plan_nobody_is_told_to_carry_plans_out(storage, capsys):
    await run(storage, "--only", "lostwork")
    shown = capsys.readouterr().out
    assert "left to a person: the input of activity work" in shown
    assert "No plan mends what was found; it is left to a person." in shown and "--apply" not in shown
    assert await run(storage, "--only", "lostwork", "--apply") == 1
    shown = capsys.readouterr().out
    assert "No plan was carried out." in shown and "audit" not in shown
    assert await run(storage, "--only", "startev", "--apply") == 0
    assert "No plan was carried out.\nA second look finds nothing." in capsys.readouterr().out
    assert await run(storage, "--only", "nobody") == 1
    shown = capsys.readouterr().out
    assert "python -m recovery reconcile compares with the journal" in shown and "--apply" not in shown


async def test_what_was_only_read_is_told_how_to_be_repaired(storage, capsys):
    assert await run(storage, "--read-only", "--app", str(standby.GOLDEN)) == 1
    assert "the same command with --apply and without --read-only." in capsys.readouterr().out


async def test_a_message_that_belongs_to_nobody_is_a_plan_too(storage, capsys):
    assert await run(storage, "--app", str(standby.GOLDEN), "--apply") == 0
    account = await open_account(storage)
    await account.queues.put(cuts.CONTROL, "no message")
    await account.close()
    capsys.readouterr()
    assert await run(storage) == 1
    assert "To carry the plans out: the same command with --apply." in capsys.readouterr().out
    assert await run(storage, "--apply") == 0
    assert "What nobody can read was deleted; their record is in goldenhub-recovery/audit/" in capsys.readouterr().out


async def test_who_waits_for_a_child_or_a_resume_is_told_for_which_child_and_since_when(tmp_path, capsys):
    place = str(tmp_path / "account.db")
    account = await open_account(place)
    hub = TaskHub(account, cuts.settings())
    waiting = next(cut for cut in cuts.cuts() if cut.name == "lostevent")
    for cut in (next(cut for cut in cuts.cuts() if cut.name == "s1"), waiting):
        await cuts.pour(cut, hub)
    for row in waiting.histories["lostevent"]:
        await account.tables.write(f"{cuts.HUB}History", Write("upsert", {**row, "PartitionKey": "s1-kid"}))
    await hub.send(TaskMessage(m.event(m.EXECUTION_SUSPENDED, cuts.NOW, Input="why"), "lostevent", None))
    await account.close()
    await run(place, "--all", "--json")
    because = {item["instance"]: item["because"] for item in json.loads(capsys.readouterr().out)["list"]}
    assert "(number 0) s1-kid since 2026-11-21 09:" in because["s1"]
    assert "it is suspended since 2026-11-21 10:30:00Z" in because["lostevent"]


async def test_the_evidence_tells_since_when_and_of_which_child(tmp_path, capsys):
    place = str(tmp_path / "account.db")
    account = await open_account(place)
    for name in ("lostwork", "losthist", "c23", "loststart", "s1"):
        await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == name), TaskHub(account, cuts.settings()))
    await account.close()
    await run(place, "--json")
    because = {item["instance"]: item["because"] for item in json.loads(capsys.readouterr().out)["list"]}
    assert "(the history ends at 2026-11-21 09:" in because["lostwork"]
    assert "(written 2026-11-21 09:" in because["losthist"]
    assert "queued since 2" in because["c23"]
    assert "row Pending since 2026-11-21 09:" in because["loststart"]
    assert "s1-kid" in because["s1"]
