"""What became of an instance is read from the hub, and said in the words of the verdict."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from lab.drills.client import Answer
from lab.drills.outcome import Seen, fingerprint, judge, judge_errand, look, open_instances
from taskhub import messages
from tests.lab.drills.hub import EXECUTION, Hub

LOSS = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
FIRST, SECOND = {"request": "A", "raised": 1}, {"request": "A", "raised": 2}
SHOWN = Answer(200, {"runtimeStatus": "Completed", "output": SECOND})


def test_what_returned_before_the_loss_was_completed_before() -> None:
    seen = Seen(True, "Completed", True, LOSS - timedelta(seconds=1), FIRST)
    assert judge(seen, Answer(200, {"output": FIRST}), LOSS).fate == "completed before"


def test_what_returned_afterwards_says_by_its_result_which_event_it_was() -> None:
    later = LOSS + timedelta(seconds=9)
    assert judge(Seen(True, "Completed", True, later, FIRST), SHOWN, LOSS).event == "applied"
    assert judge(Seen(True, "Completed", True, later, SECOND), SHOWN, LOSS).event == "lost"


def test_an_end_that_the_status_does_not_show_is_remarked() -> None:
    seen = Seen(False, None, True, LOSS, SECOND)
    assert judge(seen, SHOWN, LOSS).remark == ""
    assert judge(seen, Answer(404), LOSS).remark == "ended, but its status shows HTTP 404"
    running = Answer(202, {"runtimeStatus": "Running", "output": None})
    assert judge(seen, running, LOSS).remark == "ended, but its status shows Running"


@pytest.mark.parametrize("has_history", [True, False])
def test_a_result_that_only_the_row_holds_is_a_result(has_history: bool) -> None:
    outcome = judge(Seen(True, "Completed", has_history, None, row_result=FIRST), SHOWN, LOSS)
    assert (outcome.fate, outcome.event, outcome.result) == ("completed before", "applied", FIRST)


@pytest.mark.parametrize(
    ("seen", "fate", "why"),
    [
        (Seen(False, None, False, None), "lost", "knows nothing"),
        (Seen(True, "Running", False, None), "lost", "no history"),
        (Seen(True, "Completed", False, None), "lost", "no history"),
        (Seen(True, "Pending", False, None), "stuck", "no message"),
        (Seen(False, None, True, None), "stuck", "missing"),
        (Seen(True, "Completed", True, None), "stuck", "says Completed"),
        (Seen(True, "None", True, None), "stuck", "no status"),
        (Seen(True, "Running", True, None), "stuck", "although its event was raised"),
    ],
)
def test_what_did_not_return_is_lost_or_stuck_and_says_why(seen: Seen, fate: str, why: str) -> None:
    outcome = judge(seen, Answer(202), LOSS)
    assert outcome.fate == fate
    assert why in outcome.why


async def test_the_tables_tell_row_history_end_and_result(hub: Hub) -> None:
    for name in ("drill-1", "drill-2"):
        await hub.start(name)
    history = await hub.hub.read_history("drill-2")
    end = messages.event(messages.EXECUTION_COMPLETED, LOSS, OrchestrationStatus="Completed", Result='{"raised": 1}')
    await hub.hub.append_history(history, [end], EXECUTION, len(history.events))
    seen = await look(hub.account, hub.names, ["drill-1", "drill-2", "drill-3"])
    assert seen["drill-1"] == Seen(True, "Running", True, None)
    assert seen["drill-2"] == Seen(True, "Running", True, LOSS, {"raised": 1})
    assert seen["drill-3"] == Seen(False, None, False, None)


async def test_the_fingerprint_changes_with_every_step_of_work(hub: Hub) -> None:
    seen = [await fingerprint(hub.account, hub.names)]
    for step in (hub.put_start, hub.pending, hub.wait, hub.put_event, hub.end):
        await step("A")
        seen.append(await fingerprint(hub.account, hub.names))
    assert len(set(seen)) == len(seen)


async def test_a_cancelled_timer_that_rings_is_no_work(hub: Hub) -> None:
    await hub.start("A")
    before = await fingerprint(hub.account, hub.names)
    await hub.append("A", messages.ORCHESTRATOR_STARTED, messages.TIMER_FIRED, messages.ORCHESTRATOR_COMPLETED)
    assert await fingerprint(hub.account, hub.names) == before


BEFORE, AFTER = LOSS - timedelta(seconds=1), LOSS + timedelta(seconds=9)
WANTED = {"status": "written"}
WRITTEN = {"status": "written", "bytes": 7}


@pytest.mark.parametrize(
    ("seen", "fate"),
    [
        (Seen(True, "Completed", True, BEFORE, WRITTEN), "completed before"),
        (Seen(True, "Completed", True, AFTER, WRITTEN), "completed"),
        (Seen(True, "Completed", True, AFTER, {"status": "cancelled"}), "wrong"),
        (Seen(True, "Failed", True, AFTER, "it broke", "Failed"), "wrong"),
        (Seen(True, "Completed", True, None, row_result=WRITTEN, row_completed=BEFORE), "completed before"),
        (Seen(True, "Completed", False, None, row_result=WRITTEN, row_completed=BEFORE), "completed before"),
        (Seen(True, "Completed", True, AFTER, WRITTEN, row_completed=BEFORE), "completed before"),
        (Seen(True, "Completed", False, None, row_result={}, row_completed=BEFORE), "wrong"),
        (Seen(True, "Running", True, None), "stuck"),
        (Seen(False, None, True, None), "stuck"),
        (Seen(True, "Pending", False, None), "stuck"),
        (Seen(True, "Running", False, None), "lost"),
        (Seen(False, None, False, None), "lost"),
    ],
)
def test_an_instance_of_any_workflow_is_judged_by_its_end_and_its_right_result(seen: Seen, fate: str) -> None:
    outcome = judge_errand(seen, Answer(200, {}), LOSS, WANTED)
    assert outcome.fate == fate
    assert bool(outcome.why) == (fate in ("wrong", "stuck", "lost"))


async def test_events_raised_before_the_loss_are_counted_in_the_history(hub: Hub) -> None:
    await hub.start("drill-1")
    history = await hub.hub.read_history("drill-1")
    texts = ('"raised 1, a"', '"raised 1, a"', '"raised 2, b"')
    raised = [messages.event(messages.EVENT_RAISED, LOSS, Name="item", Input=text) for text in texts]
    await hub.hub.append_history(history, raised, EXECUTION, len(history.events))
    assert (await look(hub.account, hub.names, ["drill-1"]))["drill-1"].marked_events == 1


async def test_an_instance_is_open_until_its_row_says_that_it_has_ended(hub: Hub) -> None:
    await hub.start("drill-1")
    assert await open_instances(hub.account, hub.names, ["drill-1", "drill-2"]) == {"Running": 1, "None": 1}
    await hub.end("drill-1")
    assert not await open_instances(hub.account, hub.names, ["drill-1"])
