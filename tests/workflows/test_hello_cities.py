"""Chaining and fan-out of the same cities."""

import pytest

from tests.workflows.driver import World
from workflows import hello_cities
from workflows.responses import InvalidInput

GREETINGS = ["Hello Tokyo!", "Hello Seattle!", "Hello London!"]


@pytest.mark.parametrize("name", ["hello_cities", "hello_cities_parallel"])
def test_three_cities_are_greeted_in_order(world: World, name: str) -> None:
    assert world.run(name, hello_cities.check(None)).output == GREETINGS


def test_a_start_past_the_endpoint_has_no_input_and_greets_the_same(world: World) -> None:
    assert world.run("hello_cities").output == GREETINGS


def test_other_cities_are_greeted_too(world: World) -> None:
    assert world.run("hello_cities_parallel", ["Zürich", "Oslo"]).output == ["Hello Zürich!", "Hello Oslo!"]


@pytest.mark.parametrize("data", [[], "Tokyo", [1], ["Tokyo", " "], {"a": 1}, ["x"] * 1001])
def test_what_is_no_list_of_cities_is_refused(data: object) -> None:
    with pytest.raises(InvalidInput):
        hello_cities.check(data)
