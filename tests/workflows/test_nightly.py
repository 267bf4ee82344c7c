"""Clients on other triggers: the nightly singleton and one delivery for each message."""

import asyncio
import json
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from tests.workflows.conftest import Outside
from tests.workflows.driver import FUNCTIONS, Client, World
from workflows import blobs, nightly
from workflows.responses import InvalidInput

TONIGHT = {"date": "2026-01-31", "products": ["tea", "cup"]}


class Message(func.QueueMessage):
    """A queue message as the worker hands it over."""

    def __init__(self, text: str, message_id: str = "m-1") -> None:
        super().__init__(id=message_id, body=text)


def deliver(world: World, text: str, message_id: str = "m-1") -> None:
    trigger = FUNCTIONS["queueTrigger"]["delivery_queue"].client_function
    asyncio.run(trigger(Message(text, message_id), Client(world)))
    world.settle()


def ring(world: World) -> None:
    timer: Any = None
    asyncio.run(FUNCTIONS["timerTrigger"]["nightly_timer"].client_function(timer, Client(world)))


def test_the_stock_taking_counts_every_product_and_tells_once(
    world: World, outside: Outside, blob_directory: Path
) -> None:
    world.entity("@stock@tea", "set", '{"quantity": 7}')
    output = world.run("nightly", nightly.check(TONIGHT), "nightly").output
    assert output["counts"]["tea"]["on_hand"] == 7 and output["counts"]["cup"]["on_hand"] == 0
    assert json.loads(blobs.container().get("nightly/2026-01-31.json"))["date"] == "2026-01-31"
    assert outside.sums() == {"messages": 1}


def test_the_timer_starts_no_second_one_while_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTLY_PRODUCTS", "tea, cup")
    world = World()
    ring(world)
    first = world.instances["nightly"]
    ring(world)
    assert world.instances["nightly"] is first and json.loads(first.input or "")["products"] == ["tea", "cup"]


def test_a_night_that_is_done_is_not_done_again_but_the_next_is(outside: Outside, blob_directory: Path) -> None:
    world = World()
    client = Client(world)
    for date, started in (("2026-01-31", True), ("2026-01-31", False), ("2026-02-01", True)):
        assert asyncio.run(nightly.start_tonight(client, {**TONIGHT, "date": date})) is started
        world.settle()
    assert outside.sums() == {"messages": 2}


def test_a_night_that_failed_can_be_started_again() -> None:
    world = World()
    world.start("nightly", {"date": "2026-01-31"}, "nightly")
    world.settle()
    assert world.instances["nightly"].status == "Failed"
    assert asyncio.run(nightly.start_tonight(Client(world), TONIGHT)) is True


def test_without_products_the_timer_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTLY_PRODUCTS", raising=False)
    world = World()
    ring(world)
    assert not world.instances


def test_a_message_delivered_again_adds_nothing_more() -> None:
    world = World()
    for _ in range(3):
        deliver(world, '{"sku": "tea", "quantity": 100}')
    deliver(world, '{"sku": "tea", "quantity": 5}', "m-2")
    assert world.state("stock", "tea")["on_hand"] == 105
    assert set(world.instances) == {"delivery-m-1", "delivery-m-2"}


def test_a_delivery_that_runs_twice_under_its_id_adds_once() -> None:
    world = World()
    for _ in range(2):
        world.run("delivery", {"sku": "tea", "quantity": 100}, "delivery-m-1")
    assert world.state("stock", "tea")["on_hand"] == 100


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sku": "a/b", "quantity": 1}', '{"sku": "tea", "quantity": 0}'])
def test_a_message_that_is_no_delivery_raises_so_that_it_ends_in_the_poison_queue(text: str) -> None:
    world = World()
    with pytest.raises(ValueError):
        deliver(world, text)
    assert not world.instances


@pytest.mark.parametrize(
    "data", [None, {"date": "31.1.", "products": ["tea"]}, {"date": "2026-01-31", "products": []}, {**TONIGHT, "x": 1}]
)
def test_a_night_with_something_wrong_is_refused(data: Any) -> None:
    with pytest.raises(InvalidInput):
        nightly.check(data)
