"""The stock of a product: reservations by key, settled once, and the two endpoints."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.workflows.driver import World
from tests.workflows.endpoints import call
from workflows import stock

TEA = {"sku": "tea"}


def operate(world: World, operation: str, **data: Any) -> Any:
    answer = world.entity("@stock@tea", operation, json.dumps(data))
    assert not answer["isError"], answer
    return json.loads(answer["result"])


def test_what_is_set_is_what_is_on_hand() -> None:
    world = World()
    assert call(world, "get_stock", route=TEA).status == 404
    assert call(world, "set_stock", {"quantity": 0}, route=TEA).status == 202
    assert call(world, "get_stock", route=TEA).body == {"sku": "tea", "on_hand": 0, "reserved": 0, "available": 0}


def test_looking_at_a_product_does_not_stock_it() -> None:
    world = World()
    operate(world, "look")
    assert call(world, "get_stock", route=TEA).status == 404


def test_a_key_reserves_once_and_ships_once() -> None:
    world = World()
    operate(world, "set", quantity=10)
    for _ in range(2):
        assert operate(world, "reserve", key="A", quantity=4)["reserved"]
    assert call(world, "get_stock", route=TEA).body["available"] == 6
    assert [operate(world, "ship", key="A")["shipped"] for _ in range(2)] == [4, 0]
    assert call(world, "get_stock", route=TEA).body == {"sku": "tea", "on_hand": 6, "reserved": 0, "available": 6}


def test_a_reservation_that_comes_after_its_release_takes_nothing() -> None:
    world = World()
    operate(world, "set", quantity=10)
    operate(world, "release", key="A")
    assert not operate(world, "reserve", key="A", quantity=4)["reserved"]


def test_what_the_supplier_says_opens_a_product_once() -> None:
    world = World()
    assert operate(world, "reserve", key="A", quantity=4, opening=5)["reserved"]
    assert not operate(world, "reserve", key="B", quantity=4, opening=5)["reserved"]
    assert operate(world, "look")["on_hand"] == 5


def test_an_operation_stock_does_not_know_is_an_error() -> None:
    assert World().entity("@stock@tea", "burn", "{}")["isError"]


def test_the_memory_of_settled_keys_is_bounded() -> None:
    world = World()
    for number in range(stock.SETTLED_KEPT + 5):
        operate(world, "release", key=str(number))
    assert len(world.state("stock", "tea")["settled"]) == stock.SETTLED_KEPT


def test_a_quantity_that_is_no_whole_number_is_refused() -> None:
    world = World()
    for quantity in (-1, 1.5, "3", None, True):
        assert call(world, "set_stock", {"quantity": quantity}, route=TEA).fields() == ["quantity"]
    assert call(world, "set_stock", {"quantity": 1}, route={"sku": "a b"}).fields() == ["sku"]


STEPS = st.tuples(st.sampled_from(["reserve", "release", "ship"]), st.sampled_from("ABCD"), st.integers(1, 4))


@given(st.lists(STEPS, max_size=30))
def test_stock_is_never_negative_and_doing_everything_twice_changes_nothing(steps: list[tuple[str, str, int]]) -> None:
    once, twice = World(), World()
    for world, times in ((once, 1), (twice, 2)):
        operate(world, "set", quantity=6)
        for operation, key, quantity in steps:
            for _ in range(times):
                operate(world, operation, key=key, quantity=quantity)
    assert once.state("stock", "tea") == twice.state("stock", "tea")
    seen = stock.overview(once.state("stock", "tea"))
    assert 0 <= seen["available"] <= seen["on_hand"] <= 6
