"""What runs again is counted by the piece of work, whichever region did it and however it was scheduled."""

from __future__ import annotations

import pytest

from lab.drills.ground_truth import State, play
from lab.drills.repeats import Runs, again, foretold
from taskhub.accounts.replication import LoggedWrite
from tests.lab.drills.hub import EXECUTION, Hub


def everybody(instance_id: str) -> bool:
    return True


def nobody(instance_id: str) -> bool:
    return False


@pytest.fixture
async def before(hub: Hub) -> list[LoggedWrite]:
    """A chain of two activities, both done, the second result not yet taken in."""
    await hub.start("A")
    await hub.schedule("A", 0, "greet")
    await hub.complete("A", 0)
    await hub.episode("A")
    await hub.schedule("A", 1, "greet")
    await hub.complete("A", 1)
    return hub.log()


def states(hub: Hub, log: list[LoggedWrite], lost: int = 0) -> dict[str, State]:
    """What is there when the last writes were lost."""
    return {"A": play(log[: len(log) - lost], hub.names)}


async def test_work_is_counted_once_for_each_result(hub: Hub, before: list[LoggedWrite]) -> None:
    assert Runs().read(before).times() == {("A", "greet", "0"): 1, ("A", "greet", "1"): 1}


async def test_a_result_that_is_queued_makes_nothing_run_again(hub: Hub, before: list[LoggedWrite]) -> None:
    runs = Runs().read([write for write in before if write.service == "queue"])
    kept = states(hub, before)
    kept["A"].history["0"] = {"EventType": "TaskCompleted", "TaskScheduledId": 0, "ExecutionId": EXECUTION}
    assert foretold(runs, kept, everybody) == 0


async def test_a_work_item_whose_deletion_was_lost_runs_again_whatever_becomes_of_its_instance(
    hub: Hub, before: list[LoggedWrite]
) -> None:
    assert foretold(Runs().read(before), states(hub, before, lost=1), nobody) == 1


async def test_work_whose_result_was_lost_runs_again_if_its_instance_goes_on(
    hub: Hub, before: list[LoggedWrite]
) -> None:
    nothing = {"A": State()}
    assert foretold(Runs().read(before), nothing, everybody) == 2
    assert foretold(Runs().read(before), nothing, nobody) == 0


async def test_the_same_work_under_another_number_or_execution_is_the_same_work(
    hub: Hub, before: list[LoggedWrite]
) -> None:
    known = Runs().read(before)
    await hub.send(4, "A", "A", number=7, Name="greet", Input="1")
    await hub.send(4, "A", "A", number=8, Name="greet", Input="new")
    await hub.complete("A", 7)
    await hub.complete("A", 8)
    assert again(known, hub.log()[len(before) :]) == 1


async def test_a_result_that_survived_and_is_taken_in_only_now_was_not_done_again(
    hub: Hub, before: list[LoggedWrite]
) -> None:
    known = Runs().read(before)
    await hub.take_in("A", 1)
    assert again(known, hub.log()[len(before) :]) == 0
