"""What our host leaves in storage is what the real extension left, situation by situation; and it goes on from there.

The recordings are those of tests/data/golden/storage: tables column by column, messages with their envelopes, blobs.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lab.testing import ReplacedActivities
from lab.worker.local import LocalWorker
from tests.lab.recorded_hub import APP, CONTROL, ID, WORK, Stage, Unfinished, differences, left_in, on_stage, recorded
from tests.taskhub import golden

Play = Callable[[Stage], Awaitable[None]]
BIG = 70_000

# The SDK warns of its own to come; as errors its warnings would be failures of the app.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def worker() -> LocalWorker:
    return LocalWorker(APP)


# how each situation comes about


async def start(stage: Stage, name: str, input: Any = None) -> None:
    await stage.client.start(name, ID, None if input is None else json.dumps(input, separators=(",", ":")))
    await stage.quiet()


async def fresh(stage: Stage) -> None:
    await stage.quiet()


async def completed(stage: Stage) -> None:
    await start(stage, "hello")


async def waiting(stage: Stage) -> None:
    await start(stage, "waiter", {"sku": 1})


async def event_enqueued(stage: Stage) -> None:
    await waiting(stage)
    stage.close(CONTROL)
    await stage.client.raise_event(ID, "Approval", '{"by":"zoë","ok":true}')


async def work_item_queued(stage: Stage) -> None:
    stage.close(WORK)
    await start(stage, "hello")


async def response_queued(stage: Stage) -> None:
    await work_item_queued(stage)
    stage.close(CONTROL)
    stage.open(WORK)
    await stage.quiet()


async def work_item_in_flight(stage: Stage) -> None:
    await start(stage, "hello")


async def timer_pending(stage: Stage) -> None:
    await start(stage, "sleeper", {"secs": 300})


async def fan_out_half(stage: Stage) -> None:
    stage.close(WORK)
    await start(stage, "fan", {"n": 5})
    for _ in range(2):
        stage.allow(WORK, 1)
        await stage.quiet()


async def sub_orchestration(stage: Stage) -> None:
    await start(stage, "parent", {"event": True})


async def continue_as_new(stage: Stage) -> None:
    await start(stage, "eternal", {"n": 0, "event": True})


async def entity(stage: Stage) -> None:
    await start(stage, "locker", {"key": "k1"})
    stage.close(CONTROL)
    await stage.client.signal_entity("@counter@k1", "add", "7")


async def large_waiting(stage: Stage) -> None:
    await start(stage, "big", {"pad": "P" * BIG})
    await stage.client.raise_event(ID, "Other", json.dumps("E" * BIG))
    await stage.quiet()


async def large_completed(stage: Stage) -> None:
    await large_waiting(stage)
    await approve(stage, 1)


async def suspended(stage: Stage) -> None:
    await waiting(stage)
    await stage.client.suspend(ID, "audit")
    await stage.quiet()


async def terminated(stage: Stage) -> None:
    await waiting(stage)
    await stage.client.terminate(ID, "audit")
    await stage.quiet()


async def failed(stage: Stage) -> None:
    await start(stage, "fails")


async def rewound(stage: Stage) -> None:
    await failed(stage)
    stage.close(CONTROL)
    await stage.client.rewind(ID, "again")


async def purged(stage: Stage) -> None:
    await completed(stage)
    assert await stage.client.purge(ID) == 1


async def approve(stage: Stage, data: Any, instance_id: str = ID) -> None:
    await stage.client.raise_event(instance_id, "Approval", json.dumps(data))
    await stage.quiet()


SITUATIONS: dict[str, Play] = {
    "01-fresh-hub": fresh,
    "02-hello-completed": completed,
    "03-waiting-for-event": waiting,
    "04-event-enqueued": event_enqueued,
    "05-work-item-queued": work_item_queued,
    "06-response-queued": response_queued,
    "07-work-item-in-flight": work_item_in_flight,
    "08-timer-pending": timer_pending,
    "09-fan-out-half": fan_out_half,
    "10-sub-orchestration": sub_orchestration,
    "11-continue-as-new": continue_as_new,
    "12-entity": entity,
    "13-large-waiting": large_waiting,
    "14-large-completed": large_completed,
    "15-suspended": suspended,
    "16-terminated": terminated,
    "17-failed": failed,
    "18-rewound": rewound,
    "19-purged": purged,
    "20-stored-inputs": work_item_queued,
}


def test_every_recorded_situation_is_played() -> None:
    assert list(SITUATIONS) == golden.NAMES


@pytest.mark.parametrize("name", SITUATIONS)
def test_our_host_leaves_what_the_extension_left(worker: LocalWorker, name: str) -> None:
    expected = recorded(name)

    async def play(stage: Stage) -> None:
        await SITUATIONS[name](stage)
        left = await left_in(stage)
        for part in ("rows", "messages", "blobs"):
            found = differences(getattr(left, part), getattr(expected, part))
            assert not found, "\n".join(line[:400] for line in found)
        if name[:2] in ("01", "02"):  # the others' host had been killed some time before
            assert left.leased == expected.leased

    hands = Unfinished(worker) if name.startswith("07") else worker
    on_stage(hands, play, name, partitions=4 if name.startswith("01") else 1)


# the order of writes


ACTIVITY = (("put", "TaskCompletedEvent"), ("delete", "TaskScheduledEvent"))
# What ends a turn, for which the next one does not wait; a row that says nothing new but the time is written later.
TAILS = (("GoldenHubInstances", "Running"), ("delete", "ExecutionStartedEvent"), ("delete", "TaskCompletedEvent"))


async def shopping(stage: Stage) -> None:
    await stage.client.start("shop", ID, '{"wait":25}')
    await stage.quiet(3)
    await stage.client.raise_event(ID, "Approval", '"yes"')
    await stage.quiet(30)


def kinds(log: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """A log of writes in parts that are written at the same time, each in its order."""
    both = (*ACTIVITY, *TAILS)
    return [
        [one for one in log if one not in both],
        [one for one in log if one in ACTIVITY],
        [one for one in log if one in TAILS and one[0] == "delete"],
    ]


def test_our_host_writes_in_the_recorded_order(worker: LocalWorker) -> None:
    expected = [written(write) for write in golden.writes() if write["op"] != "get"]

    async def play(stage: Stage) -> None:
        stage.allow(CONTROL, 100)  # nothing is handed over or handed in then
        stage.allow(WORK, 100)
        await shopping(stage)
        assert kinds(stage.log) == kinds(expected)

    on_stage(worker, play, golden.WRITE_LOG)


def test_a_result_that_is_handed_in_is_in_the_history_before_its_work_item_is_deleted(worker: LocalWorker) -> None:
    async def play(stage: Stage) -> None:
        await shopping(stage)
        assert ("put", "TaskCompletedEvent") not in stage.log
        history = next(text for table, text in stage.log if table == "GoldenHubHistory" and "TaskCompleted" in text)
        assert stage.log.index(("GoldenHubHistory", history)) < stage.log.index(("delete", "TaskScheduledEvent"))

    on_stage(worker, play, golden.WRITE_LOG)


def test_a_message_is_deleted_when_history_and_row_say_what_came_of_it(worker: LocalWorker) -> None:
    async def play(stage: Stage) -> None:
        await shopping(stage)
        for message, row in (("ExecutionStartedEvent", "Running"), ("EventRaisedEvent", "Completed")):
            assert stage.log.index(("GoldenHubInstances", row)) < stage.log.index(("delete", message))

    on_stage(worker, play, golden.WRITE_LOG)


def written(write: dict[str, Any]) -> tuple[str, str]:
    if "table" not in write:
        return write["op"], write["event"]
    changed = write["changed"]
    if write["unit"] == "I":
        return write["table"], changed[0]["RuntimeStatus"]
    return write["table"], " ".join(row.get("EventType", "sentinel") for row in changed)


# going on from there


async def greeted(stage: Stage) -> None:
    assert await stage.output() == ["done Tokyo", "done Seattle", "done London"]


async def first_start(stage: Stage) -> None:
    await completed(stage)
    await greeted(stage)


async def approved(stage: Stage) -> None:
    await approve(stage, {"by": "zoë"})
    assert await stage.output() == {"by": "zoë"}


async def event_waits(stage: Stage) -> None:
    assert await stage.output() == {"by": "zoë", "ok": True}


async def back_after_its_time(stage: Stage) -> None:
    await stage.quiet(30)
    await greeted(stage)


async def timer_fires(stage: Stage) -> None:
    assert (await stage.client.status(ID)).runtime_status == "Running"  # type: ignore[union-attr]
    await stage.quiet(300)
    assert await stage.output() == "slept"


async def fanned_in(stage: Stage) -> None:
    assert await stage.output() == [f"done {number}" for number in range(5)]


async def family(stage: Stage) -> None:
    await approve(stage, "grown up", f"{ID}-kid")
    assert await stage.output() == ["parent", "grown up"]


async def second_generation(stage: Stage) -> None:
    await approve(stage, "enough")
    assert await stage.output() == [1, "enough"]


async def signal_waits(stage: Stage) -> None:
    # The SDK's entity cannot read a number that comes over HTTP as such: that operation fails, and the next one counts.
    assert await stage.client.entity_state("@counter@k1") == "1"
    await stage.client.signal_entity("@counter@k1", "add", '"7"')
    await approve(stage, "unlock")
    assert await stage.output() == "unlock"
    assert await stage.client.entity_state("@counter@k1") == "8"


async def large_goes_on(stage: Stage) -> None:
    await approve(stage, 1)
    await large_is_there(stage)


async def large_is_there(stage: Stage) -> None:
    is_there = await stage.output() == "R" * BIG + "P" * 10
    assert is_there  # as one word: a difference of so many letters takes long to print


async def resumed(stage: Stage) -> None:
    await stage.client.resume(ID, "done")
    await approve(stage, "go")
    assert await stage.output() == "go"


def stays(runtime_status: str) -> Play:
    async def check(stage: Stage) -> None:
        status = await stage.client.status(ID)
        assert status is not None and status.runtime_status == runtime_status

    return check


async def rewound_and_mended(stage: Stage) -> None:
    assert await stage.output() == "mended"


async def started_anew(stage: Stage) -> None:
    assert await stage.client.status(ID) is None
    await first_start(stage)


ENDS: dict[str, Play] = {
    "01-fresh-hub": first_start,
    "02-hello-completed": greeted,
    "03-waiting-for-event": approved,
    "04-event-enqueued": event_waits,
    "05-work-item-queued": greeted,
    "06-response-queued": greeted,
    "07-work-item-in-flight": back_after_its_time,
    "08-timer-pending": timer_fires,
    "09-fan-out-half": fanned_in,
    "10-sub-orchestration": family,
    "11-continue-as-new": second_generation,
    "12-entity": signal_waits,
    "13-large-waiting": large_goes_on,
    "14-large-completed": large_is_there,
    "15-suspended": resumed,
    "16-terminated": stays("Terminated"),
    "17-failed": stays("Failed"),
    "18-rewound": rewound_and_mended,
    "19-purged": started_anew,
    "20-stored-inputs": greeted,
}


def test_every_recorded_hub_is_gone_on_with() -> None:
    assert list(ENDS) == golden.NAMES


@pytest.mark.parametrize("name", ENDS)
def test_our_host_finishes_what_the_extension_began(worker: LocalWorker, name: str) -> None:
    async def play(stage: Stage) -> None:
        await stage.quiet()
        await ENDS[name](stage)
        assert not stage.queues.live

    mended = ReplacedActivities(worker, {"boom": "mended"})
    on_stage(mended, play, name, load=True, partitions=4 if name.startswith("01") else 1)
