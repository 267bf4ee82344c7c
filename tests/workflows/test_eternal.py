"""The aggregator: batches by count and by time, no item lost and none twice, for ever."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.driver import World
from workflows import eternal
from workflows.responses import InvalidInput


@pytest.fixture(params=["buffered", "as azure", "twice"])
def hub(request: pytest.FixtureRequest, blob_directory: Path) -> World:
    hub = World(as_azure=request.param == "as azure", twice=request.param == "twice")
    hub.start("eternal", eternal.check({"batch_size": 3, "batch_seconds": 60}), "meter")
    return hub


def batches(directory: Path) -> list[list[Any]]:
    return [json.loads(path.read_text()) for path in sorted(directory.glob("batches/meter/*.json"))]


def send(hub: World, *items: Any) -> None:
    for item in items:
        hub.raise_event("meter", "item", item)


def test_items_are_kept_in_batches_by_count(hub: World, blob_directory: Path) -> None:
    send(hub, *range(7))
    hub.settle()
    assert batches(blob_directory) == [[0, 1, 2], [3, 4, 5]]
    assert hub.instances["meter"].custom_status == {"batches": 2, "items": 6}


def test_a_batch_that_waited_long_enough_is_kept_unfilled(hub: World, blob_directory: Path) -> None:
    send(hub, {"value": 1})
    hub.pass_time(timedelta(minutes=4))
    assert batches(blob_directory) == [[{"value": 1}]]


def test_nothing_happens_while_nothing_comes(hub: World, blob_directory: Path) -> None:
    hub.pass_time(timedelta(days=365))
    assert batches(blob_directory) == [] and hub.instances["meter"].generations == 1


def test_no_item_is_lost_when_many_come_at_once(hub: World, blob_directory: Path) -> None:
    for start in range(0, 100, 17):
        send(hub, *range(start, min(start + 17, 100)))
        hub.settle()
    hub.pass_time(timedelta(minutes=4))
    assert [item for batch in batches(blob_directory) for item in batch] == list(range(100))


def test_items_that_come_while_a_batch_is_written_begin_the_next(hub: World, blob_directory: Path) -> None:
    hub.after_activity = lambda name, value: send(hub, "late") if sum(hub.calls.values()) == 1 else None
    send(hub, 1, 2, 3)
    hub.pass_time(timedelta(minutes=4))
    assert [item for batch in batches(blob_directory) for item in batch] == [1, 2, 3, "late"]


def test_an_item_sent_twice_with_its_id_counts_once_over_generations(hub: World, blob_directory: Path) -> None:
    for _ in range(4):
        send(hub, {"id": "a"}, {"id": "b"})
    hub.pass_time(timedelta(minutes=4))
    assert batches(blob_directory) == [[{"id": "a"}, {"id": "b"}]]


def test_null_is_an_item_too(hub: World, blob_directory: Path) -> None:
    send(hub, None, None, None)
    hub.settle()
    assert batches(blob_directory) == [[None, None, None]]


def test_stop_keeps_what_is_there_and_ends(hub: World, blob_directory: Path) -> None:
    send(hub, 1, 2, 3, 4, {"stop": True})
    hub.settle()
    assert hub.instances["meter"].output == {"batches": 2, "items": 4}
    assert batches(blob_directory) == [[1, 2, 3], [4]]


@pytest.mark.parametrize("data", [[], {"batch_size": 0}, {"batch_seconds": "1"}, {"size": 1}])
def test_an_aggregator_with_something_wrong_is_refused(data: Any) -> None:
    with pytest.raises(InvalidInput):
        eternal.check(data)
