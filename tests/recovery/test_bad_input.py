"""What an operator may name wrongly: one line that says which and what to do, exit code 2, nothing changed."""

from __future__ import annotations

import asyncio
import base64
from datetime import datetime, timedelta, timezone

import pytest

from recovery.__main__ import main
from recovery.journal import Journal
from recovery.records import DirectoryRecords
from taskhub.accounts import open_account
from taskhub.accounts.azure.connect import AZURITE_KEY
from taskhub.hub import TaskHub
from tests.recovery import cuts
from tests.taskhub.accounts import conftest as helpers

WRONG_KEY = base64.b64encode(b"another key" * 6).decode()


def run(place, work):
    """Does something with the hub in an account."""

    async def opened():
        account = await open_account(place)
        try:
            return await work(TaskHub(account, cuts.settings()))
        finally:
            await account.close()

    return asyncio.run(opened())


async def pour(hub):
    await hub.create()
    for name in ("lostwork", "c16L"):
        await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == name), hub)


async def content(hub):
    """Everything in the hub that a command could change, dequeue counts included."""
    rows = [row.entity async for row in hub.account.tables.rows(hub.names.instances)]
    rows += [row.entity async for row in hub.account.tables.rows(hub.names.history)]
    queues = [
        (x.id, x.dequeue_count) for name in (cuts.CONTROL, cuts.WORK) for x in await hub.account.queues.peek(name)
    ]
    return rows, queues, await hub.account.blobs.names()


@pytest.fixture
def hub(tmp_path):
    """An account's file whose hub needs repairs."""
    place = str(tmp_path / "account.db")
    run(place, pour)
    return place


@pytest.fixture
def journal(tmp_path):
    """A journal's directory with a start and an event that the hub does not hold."""
    minute_ago = datetime.now(timezone.utc) - timedelta(minutes=1)
    journal = Journal(DirectoryRecords(tmp_path / "journal"), task_hub=cuts.HUB, now=lambda: minute_ago)
    asyncio.run(journal.accept_start("shop-9", "shop", {"wait": 25}))
    asyncio.run(journal.accept_event("lostwork", "Approval", True))
    return str(tmp_path / "journal")


@pytest.fixture(scope="module")
def azurite_hub(azurite):
    run(azurite, pour)
    return azurite


def refused(capsys, *arguments):
    """What a command says on its one line when it refuses."""
    assert main(list(arguments)) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith(f"{arguments[0]}: ")
    assert len(shown.err.strip().splitlines()) == 1 and AZURITE_KEY not in shown.err
    return shown.err


@pytest.mark.parametrize("command", ["doctor", "reconcile"])
def test_an_account_that_does_not_let_us_in_is_named_with_its_answer(command, azurite_hub, journal, capsys):
    more = ["--journal", journal] if command == "reconcile" else []
    said = refused(capsys, command, "--storage", azurite_hub.replace(AZURITE_KEY, WRONG_KEY), "--apply", *more)
    assert "127.0.0.1" in said and "answers 403 AuthorizationFailure" in said


@pytest.mark.parametrize("command", ["doctor", "reconcile"])
def test_an_account_that_does_not_answer_is_named(command, journal, capsys):
    more = ["--journal", journal] if command == "reconcile" else []
    nobody = helpers.connection_string(helpers.free_ports())
    assert "does not answer" in refused(capsys, command, "--storage", nobody, *more)


def read_only(azurite):
    """The account by a signature that allows to read and to list, nothing else."""
    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    signature = generate_account_sas(
        "devstoreaccount1", AZURITE_KEY, ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(read=True, list=True), datetime.now(timezone.utc) + timedelta(hours=1),
        services="bqt",
    )  # fmt: skip
    endpoints = ";".join(part for part in azurite.split(";") if "Endpoint=" in part)
    return f"{endpoints};SharedAccessSignature={signature}"


def test_whoever_may_only_read_gets_the_verdicts_and_no_repair(azurite_hub, capsys):
    before, place = run(azurite_hub, content), read_only(azurite_hub)
    assert main(["doctor", "--storage", place, "--read-only"]) == 1
    assert "lostwork: stuck (awaited-lost)" in capsys.readouterr().out
    assert "answers 403" in refused(capsys, "doctor", "--storage", place, "--apply")
    assert run(azurite_hub, content) == before


def test_a_journal_that_does_not_answer_or_refuses_is_named(azurite_hub, hub, capsys):
    before = run(hub, content)
    nobody = helpers.connection_string(helpers.free_ports())
    for place, said in ((nobody, "does not answer"), (azurite_hub.replace(AZURITE_KEY, WRONG_KEY), "answers 403")):
        assert "the journal in devstoreaccount1" in (
            shown := refused(capsys, "reconcile", "--storage", hub, "--journal", place, "--apply")
        )
        assert said in shown
    assert run(hub, content) == before


def test_a_journal_whose_requests_went_to_another_task_hub_is_refused(hub, tmp_path, capsys):
    before = run(hub, content)
    asyncio.run(Journal(DirectoryRecords(tmp_path / "other"), task_hub="Bakery").accept_start("b-1", "bake", None))
    said = refused(capsys, "reconcile", "--storage", hub, "--journal", str(tmp_path / "other"), "--apply")
    assert "went to the task hub bakery, not to GoldenHub" in said
    assert run(hub, content) == before


@pytest.mark.parametrize("command", ["doctor", "reconcile"])
def test_a_hub_at_work_is_not_changed_unless_that_is_forced(command, hub, journal, capsys):
    async def lease(hub):
        await hub.account.blobs.put("goldenhub-leases", "ownership/goldenhub-control-00", b"{}")
        await hub.account.blobs.acquire_lease("goldenhub-leases", "ownership/goldenhub-control-00", 60)

    run(hub, lease)
    before = run(hub, content)
    more = ["--journal", journal] if command == "reconcile" else []
    said = refused(capsys, command, "--storage", hub, *more, "--apply")
    assert "Nothing was changed: the lease ownership/goldenhub-control-00 is held" in said and "--force" in said
    assert run(hub, content) == before
    main([command, "--storage", hub, *more, "--apply", "--force"])
    assert run(hub, content) != before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["doctor", "--storage", "{folder}/empty"], "is empty; it is not a storage account's file"),
        (["doctor", "--storage", "{folder}/text"], "is not a storage account's file"),
        (["doctor", "--storage", "{folder}"], "is a directory"),
        (["doctor", "--storage", "AccountName=x"], "The connection string is incomplete"),
        (["doctor", "--storage", "{hub}", "--html", "{folder}/text/page.html"], "page.html cannot be written"),
        (["reconcile", "--storage", "{hub}", "--journal", "{folder}/text"], "cannot be read: [Errno 20]"),
        (["reconcile", "--storage", "{folder}/empty", "--journal", "{folder}/journal"], "is empty"),
    ],
)
def test_a_place_that_cannot_be_right_is_named(arguments, said, hub, journal, tmp_path, capsys):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("this is no account" * 500)
    before = run(hub, content)
    assert said in refused(capsys, *(part.format(folder=tmp_path, hub=hub) for part in arguments))
    assert run(hub, content) == before and (tmp_path / "empty").read_bytes() == b""


def test_an_instance_of_which_the_hub_holds_nothing_is_said_and_not_made_up(hub, capsys):
    assert main(["doctor", "--storage", hub, "--only", "shop-9", "c16L", "--read-only"]) == 1
    shown = capsys.readouterr().out
    assert "the hub holds nothing of shop-9: no row, no history, no message" in shown
    assert "1 instances" in shown and "orphan" not in shown
