"""A text whose blob is lost proves nothing: no start, no result and no state is ever made up in its place."""

from __future__ import annotations

import json

import pytest

from lab.simulation.parts import MemoryRecords
from recovery.examination import Doctor
from recovery.journal import Journal
from recovery.observed import GONE, LOST
from recovery.reconcile import Reconciler
from taskhub.accounts import Write
from taskhub.layout import SENTINEL
from tests.recovery.mending import Mending, killed_anywhere, play

pytestmark = [
    pytest.mark.filterwarnings("ignore:Potential duplicate Task completion"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
LARGE = "x" * 90000


async def lost_start(mending: Mending) -> None:
    """The row arrived; the start message and its blob did not."""
    await mending.start("echo", "i", LARGE)
    await mending.lose_messages()
    assert await mending.lose_blobs("i/")


async def lost_input_under_way(mending: Mending) -> None:
    """The blob with the input, which history and row name, is lost; an event is in the history, another one waits."""
    await mending.start("echo", "i", LARGE)
    await mending.host(("i", "other", 1))
    await mending.tell("i", "go", "two")
    assert await mending.lose_blobs("i/", "-Input")


async def lost_start_message(mending: Mending) -> None:
    """The start is queued, its blob is lost."""
    await mending.start("echo", "i", LARGE)
    assert await mending.lose_blobs("i/")


async def lost_name(mending: Mending) -> None:
    """The row does not say which orchestrator it is, and there is no history."""
    await mending.start("echo", "i", "small")
    await mending.host()
    row = await mending.row("i")
    await mending.lose_history("i")
    await mending.change_row("i", replace=True, **{k: v for k, v in row.items() if k not in ("Name", "Input")})


UNKNOWN = [lost_start, lost_input_under_way, lost_start_message, lost_name]


@pytest.mark.parametrize("damaged", UNKNOWN, ids=lambda scenario: scenario.__name__)
def test_what_nothing_tells_the_input_or_name_of_is_given_up_once_and_named_until_it_is_started(damaged):
    async def scenario(mending: Mending) -> None:
        await damaged(mending)
        repaired = await mending.doctor()
        assert [plan.instance_id for plan in repaired.plans] == ["i"]
        assert not repaired.is_clean
        assert "reconcile" in repaired.left["i"]
        status = await mending.client.status("i")  # does not fail
        assert status is not None and (status.runtime_status, status.output) == ("Terminated", LOST)
        assert not (await mending.hub.read_history("i")).events
        again = await mending.doctor()
        assert list(again.plans) == []
        assert list(again.left) == ["i"]
        assert [line.rule for line in again.second_look.lines(True)] == ["given-up"]

    play(scenario)


@pytest.mark.parametrize("damaged", UNKNOWN, ids=lambda scenario: scenario.__name__)
def test_the_journal_starts_what_was_given_up_with_its_own_input_and_raises_its_events(damaged):
    data = "small" if damaged is lost_name else LARGE

    async def scenario(mending: Mending) -> None:
        journal = Journal(MemoryRecords(), "Mended", now=mending.clock.now)
        await journal.accept_start("i", "echo", data)
        await damaged(mending)
        await journal.accept_event("i", "go", "two")
        await mending.doctor()
        result = await Reconciler(mending.hub, journal).run(apply=True)
        assert (result.counts["started"], result.counts["raised"]) == (1, 1)
        assert (await mending.doctor()).is_clean
        await mending.host()
        told, length = await mending.output("i")
        assert (json.loads(told), length) == ("two", len(data))

    play(scenario)


@pytest.mark.parametrize("damaged", UNKNOWN, ids=lambda scenario: scenario.__name__)
def test_giving_up_that_is_killed_anywhere_is_ended_by_the_next_one(damaged):
    deaths, goes_on = 0, True

    async def scenario(mending: Mending) -> None:
        nonlocal goes_on
        await damaged(mending)
        goes_on = await mending.killed_doctor(deaths)
        assert list((await mending.doctor()).left) == ["i"]
        assert (await mending.row("i"))["Output"] == LOST
        assert await mending.events("i") == []

    while goes_on:
        play(scenario)
        deaths += 1
    assert deaths >= 3


def test_an_input_that_only_the_row_has_lost_is_put_back_from_the_history():
    async def scenario(mending: Mending) -> None:
        await mending.start("steps", "i", "the input")
        await mending.host()
        place = mending.hub.large.url("i/history-recovery-1-Input.json.gz")
        await mending.change_row("i", Input=place)
        assert (await mending.doctor()).is_clean
        assert (await mending.row("i"))["Input"] == json.dumps(json.dumps("the input"))

    play(scenario)


async def lost_completion(mending: Mending) -> None:
    """A child has ended; its large result and what would tell its parent are lost."""
    await mending.start("above", "i")
    await mending.host()
    last = await mending.position_of("i", "ExecutionCompleted")
    await mending.hub.delete_history("i", last - 2)
    await mending.change_row("i", RuntimeStatus="Running", Output="")
    assert await mending.lose_blobs("i-kid/", "-Result")


def test_a_child_whose_result_is_lost_finds_it_again_and_its_parent_gets_no_other_one():
    async def mended(mending: Mending) -> None:
        mending.runs()
        await mending.host()
        assert await mending.output("i") == 90000
        assert mending.runs() == 1

    assert killed_anywhere(lost_completion, mended) >= 3


def test_what_a_lost_result_of_a_child_repeats_is_said_before():
    async def scenario(mending: Mending) -> None:
        await lost_completion(mending)
        doctor = Doctor(mending.hub, mending.app.replay)
        plans = {plan.instance_id: plan async for _, plan in doctor.plans(await doctor.examine())}
        assert plans["i"].may_repeat == ("sub-orchestration i-kid from its beginning",)
        assert [step.task.describe() for step in plans["i"].steps] == ["ExecutionStarted"]

    play(scenario)


def test_a_row_never_shows_an_empty_result_for_one_that_is_lost():
    async def scenario(mending: Mending) -> None:
        await mending.start("much", "i")
        await mending.host()
        assert await mending.lose_blobs("i/", "-Result")
        await mending.change_row("i", RuntimeStatus="Running", Output="")
        found = await Doctor(mending.hub).examine()
        assert found.broken == 1
        assert (await mending.doctor()).is_clean
        status = await mending.client.status("i")
        assert status is not None and (status.runtime_status, status.output) == ("Completed", GONE)

    play(scenario)


def test_an_ended_history_that_names_a_lost_blob_can_be_read_again_and_started_again():
    async def scenario(mending: Mending) -> None:
        await mending.start("much", "i")
        await mending.host()
        assert await mending.lose_blobs("i/", "-Result")
        assert (await mending.doctor()).is_clean
        history = await mending.hub.read_history("i")  # a host does so for whatever reaches it
        assert history.events[-2]["Result"] == GONE
        await mending.start("much", "i")
        await mending.host()
        assert await mending.output("i") == "R" * 90000

    play(scenario)


def test_a_history_that_is_behind_a_row_whose_result_is_lost_finds_the_result_again():
    async def scenario(mending: Mending) -> None:
        await mending.start("much", "i")
        await mending.host()
        last = await mending.position_of("i", "ExecutionCompleted")
        await mending.hub.delete_history("i", last - 2)
        assert await mending.lose_blobs("i/", "-Result")
        repaired = await mending.doctor()
        assert repaired.is_clean
        assert any("its result is lost" in text for plan in repaired.plans for text in plan.may_repeat)
        await mending.host()
        assert await mending.output("i") == "R" * 90000

    play(scenario)


# entities


async def large_entity(mending: Mending) -> None:
    await mending.signal("@bag@k", "put", "P" * 90000)
    await mending.host()
    assert "-largemessages/" in (await mending.row("@bag@k"))["Input"]


def test_an_entity_whose_state_is_lost_with_its_blob_is_left_and_named():
    async def scenario(mending: Mending) -> None:
        await large_entity(mending)
        before = await mending.row("@bag@k")
        assert await mending.lose_blobs("@bag@k/")
        repaired = await mending.doctor()
        assert list(repaired.plans) == []
        assert "its blob: put the blob back" in repaired.left["@bag@k"]
        assert [line.rule for line in repaired.second_look.lines(True)] == ["entity-history-damaged"]
        assert await mending.row("@bag@k") == before

    play(scenario)


def test_an_entity_without_history_whose_row_has_lost_its_state_is_left_and_named():
    async def scenario(mending: Mending) -> None:
        await large_entity(mending)
        before = await mending.row("@bag@k")
        await mending.lose_history("@bag@k")
        assert await mending.lose_blobs("@bag@k/")
        assert list((await mending.doctor()).left) == ["@bag@k"]
        assert await mending.row("@bag@k") == before

    play(scenario)


@pytest.mark.parametrize("positions", [(0,), (1,), (0, 1)], ids=str)
def test_an_entity_whose_history_lacks_rows_keeps_its_state(positions):
    async def damaged(mending: Mending) -> None:
        await mending.signal("@counter@k", "add", 5)
        await mending.host()
        await mending.lose_history("@counter@k", *positions)

    async def mended(mending: Mending) -> None:
        await mending.signal("@counter@k", "add", 7)
        await mending.host()
        assert json.loads(await mending.client.entity_state("@counter@k") or "null") == 12

    assert killed_anywhere(damaged, mended) >= 2


# rows that cannot be read


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("RuntimeStatus", "Weird"),
        ("RuntimeStatus", 5),
        ("CreatedTime", "yesterday"),
        ("LastUpdatedTime", 1),
        ("CompletedTime", "never"),
        ("Output", 7),
        ("Name", 3),
    ],
)
@pytest.mark.parametrize("workflow", ["steps", "much"])
def test_a_row_of_the_instances_table_that_cannot_be_read_is_named_and_left(workflow, column, value):
    async def scenario(mending: Mending) -> None:
        await mending.start(workflow, "i")
        await mending.host()
        await mending.change_row("i", **{column: value})
        before = await mending.row("i")
        repaired = await mending.doctor()
        assert list(repaired.plans) == []
        assert "a row that cannot be read" in repaired.left["i"]
        (line,) = repaired.second_look.lines(True)
        assert (line.rule, column in line.because) == ("unreadable-row", True)
        assert await mending.row("i") == before

    play(scenario)


def test_a_history_whose_sentinel_names_no_execution_is_named_and_left_whole():
    async def scenario(mending: Mending) -> None:
        await mending.start("steps", "i")
        await mending.host()
        table = mending.hub.names.history
        row = {"PartitionKey": "i", "RowKey": SENTINEL, "IsCheckpointComplete": True}
        await mending.account.tables.write(table, Write("upsert", row, mode="replace"))
        count = len([x async for x in mending.account.tables.rows(table)])
        repaired = await mending.doctor()
        assert list(repaired.plans) == []
        assert [line.because for line in repaired.second_look.lines(True)] == [
            "the history's sentinel cannot be read (ExecutionId 'None')"
        ]
        assert len([x async for x in mending.account.tables.rows(table)]) == count

    play(scenario)


def test_a_doctor_on_another_account_of_the_same_hub_takes_no_text_for_lost_that_is_there():
    async def scenario(mending: Mending) -> None:
        await mending.start("echo", "i", LARGE)
        await mending.host()
        row = await mending.row("i")
        await mending.change_row("i", Input=str(row["Input"]).replace("://", "://elsewhere."))
        await mending.lose_history("i")
        assert (await mending.doctor()).is_clean
        await mending.host(("i", "go", 3))
        assert await mending.output("i") == [3, 90000]

    play(scenario)
