"""Whatever rows of histories are lost, and wherever two doctors are killed, the third one's hub ends rightly."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from taskhub.accounts import Query, Where
from tests.recovery.mending import Mending, play

pytestmark = [
    pytest.mark.filterwarnings("ignore:Potential duplicate Task completion"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@dataclass(frozen=True)
class Case:
    """A workflow, the events it is told, which of its instances lose rows, and whether it ended rightly."""

    workflow: str
    events: tuple[tuple[str, str, Any], ...]
    damaged: tuple[str, ...]
    is_right: Callable[[Any], bool]


STEPS = ["done first", "told", "done second"]
CASES = (
    Case("steps", (("i", "go", "told"),), ("i",), lambda output: output == STEPS),
    Case("two", (("i", "a", 1), ("i", "b", 2)), ("i",), lambda output: output == [1, 2, "done end"]),
    Case("asks", (("i", "go", "told"),), ("i",), lambda output: output[1] == "told"),
    # Of a parent that begins anew the child's events are in the journal alone.
    Case("above_steps", (("i-kid", "go", "told"),), ("i-kid",), lambda output: output == STEPS),
    Case("above", (), ("i", "i-kid"), lambda output: output == 90000),
)


@pytest.mark.parametrize("seed", range(40))
def test_the_instance_ends_with_each_event_used_once_and_nothing_is_left(seed):
    rng = random.Random(seed)
    case = rng.choice(CASES)

    async def scenario(mending: Mending) -> None:
        await mending.start(case.workflow, "i")
        told = rng.randint(0, len(case.events))
        await mending.host(*case.events[:told])
        for event in case.events[told:]:
            await mending.tell(*event)
        if rng.random() < 0.5:
            await mending.host(minutes=1)
        for instance_id in case.damaged:
            await lose_some(mending, instance_id, rng, is_top=instance_id == "i")
        if rng.random() < 0.2:
            await mending.lose_blobs("i-kid/")
        for _ in range(2):
            await mending.killed_doctor(rng.randint(0, 12))
        repaired = await mending.doctor()
        assert repaired.is_clean, repaired.left
        await mending.host(minutes=30)
        assert case.is_right(await mending.output("i"))
        for queue in (*mending.hub.names.control_queues, mending.hub.names.workitems):
            assert await mending.account.queues.count(queue) == 0
        assert list((await mending.doctor()).plans) == []

    play(scenario)


async def lose_some(mending: Mending, instance_id: str, rng: random.Random, is_top: bool) -> None:
    """Loses the last checkpoint of one that has ended, and some rows that are no event's."""
    stored = await mending.hub.read_row(instance_id)
    if stored is None:
        return
    if stored.entity["RuntimeStatus"] == "Completed" and (is_top or rng.random() < 0.7):
        end = await mending.position_of(instance_id, "ExecutionCompleted")
        await mending.hub.delete_history(instance_id, end - 2)
        await mending.change_row(instance_id, RuntimeStatus="Running", Output="")
    query = Query(where=[Where("PartitionKey", "eq", instance_id)])
    rows = [x.entity async for x in mending.account.tables.rows(mending.hub.names.history, query)]
    places = [int(str(x["RowKey"]), 16) for x in rows if x.get("EventType") not in (None, "EventRaised")]
    if places and rng.random() < 0.7:
        await mending.lose_history(instance_id, *rng.sample(places, rng.randint(1, min(3, len(places)))))
