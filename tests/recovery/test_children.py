"""Sub-orchestrations whose history is gone: their parents begin them anew, and nobody else ends them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recovery.examination import Doctor
from recovery.replay import load_app
from taskhub import messages as m
from taskhub.client import TaskHubClient
from tests.recovery import cuts, standby

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PARENT, KID = "s1", "s1-kid"


@pytest.fixture(scope="module")
def app():
    return load_app(standby.GOLDEN)


async def with_a_child_that_has_only_its_row(hub, clock):
    """A recorded parent whose child has begun: its row is there, its history and its messages are not."""
    await cuts.pour(next(cut for cut in cuts.cuts() if cut.name == PARENT), hub)
    parent = await hub.read_history(PARENT)
    created = next(event for event in parent.events if event["EventType"] == m.SUB_CREATED)
    assert created["InstanceId"] == KID
    moment = clock.now() - timedelta(minutes=1)
    await hub.merge_row(
        KID, {"RuntimeStatus": "Running", "Name": created["Name"], "ExecutionId": "gone", "CreatedTime": moment}
    )


async def suspend(hub, clock):
    """The parent is suspended, by its history and its row."""
    history = await hub.read_history(PARENT)
    events = [m.event(kind, clock.now()) for kind in (m.ORCHESTRATOR_STARTED, m.EXECUTION_SUSPENDED)]
    events.append(m.event(m.ORCHESTRATOR_COMPLETED, clock.now()))
    await hub.append_history(history, events, str(history.execution_id), len(history.events))
    await hub.merge_row(PARENT, {"RuntimeStatus": "Suspended"})


async def status_of(hub, instance_id):
    return (await TaskHubClient(hub).status(instance_id)).runtime_status


@pytest.mark.parametrize("is_suspended", [False, True], ids=["running", "suspended"])
def test_a_child_whose_parent_waits_for_it_begins_anew_and_answers(app, is_suspended):
    async def prepare(hub, clock):
        await with_a_child_that_has_only_its_row(hub, clock)
        if is_suspended:
            await suspend(hub, clock)
        repaired = await Doctor(hub, app.replay).repair(await Doctor(hub, app.replay).examine())
        assert repaired.is_clean, repaired.left
        assert await status_of(hub, KID) != "Terminated"
        if is_suspended:
            assert await status_of(hub, PARENT) == "Suspended"
            await TaskHubClient(hub).resume(PARENT, "on")

    found = standby.take_over(prepare, [PARENT, KID])
    assert (found.state(PARENT), found.state(KID), found.left) == ("Completed", "Completed", 0)


def test_a_child_that_is_looked_at_alone_is_left_to_its_parent(app):
    async def prepare(hub, clock):
        await with_a_child_that_has_only_its_row(hub, clock)
        doctor = Doctor(hub, app.replay, only=[KID])
        repaired = await doctor.repair(await doctor.examine())
        assert repaired.left == {KID: f"its parent {PARENT} starts it again: --only {PARENT} {KID}"}
        assert await status_of(hub, KID) == "Running"
        both = Doctor(hub, app.replay, only=[PARENT, KID])
        assert (await both.repair(await both.examine())).is_clean

    found = standby.take_over(prepare, [PARENT, KID])
    assert (found.state(PARENT), found.state(KID)) == ("Completed", "Completed")


def test_a_child_that_nobody_waits_for_is_ended(app):
    async def prepare(hub, clock):
        await with_a_child_that_has_only_its_row(hub, clock)
        await hub.delete_instance(PARENT)
        doctor = Doctor(hub, app.replay)
        assert (await doctor.repair(await doctor.examine())).is_clean

    assert standby.take_over(prepare, [KID]).state(KID) == "Terminated"
