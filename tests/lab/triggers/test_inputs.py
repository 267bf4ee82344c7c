"""Input bindings of tables: which rows they read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.triggers import inputs
from lab.triggers.context import TriggerInvalid
from taskhub.accounts import Entity, Where, Write
from tests.lab.triggers.world import World, play


async def read(world: World, **settings: Any) -> Any:
    """What a table input gives a function whose trigger knows `{who}`."""
    binding = {"type": "table", "name": "rows", "tableName": "orders", **settings}
    found = await inputs.read(world.context, binding, {"who": "ada"})
    return None if found is None else json.loads(found["value"])


async def fill(world: World) -> None:
    await world.account.tables.create("orders")
    for who, key, quantity in (("ada", "1", 5), ("ada", "2", 7), ("bob", "3", 7)):
        row: Entity = {"PartitionKey": who, "RowKey": key, "quantity": quantity, "note": "tea and cake"}
        await world.account.tables.write("orders", Write("insert", row))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["1", "2", "3"]),
        ({"partitionKey": "{who}"}, ["1", "2"]),
        ({"partitionKey": "{who}", "take": 1}, ["1"]),
        ({"filter": "quantity ge 6"}, ["2", "3"]),
        ({"filter": "quantity eq 7 and PartitionKey eq '{who}'"}, ["2"]),
        ({"filter": "note eq 'tea and cake' and quantity lt 6"}, ["1"]),
        ({"filter": "note eq 'nothing'"}, []),
    ],
)
def test_the_rows_are_those_of_partition_filter_and_take(settings: dict[str, Any], expected: list[str]) -> None:
    async def main(world: World) -> None:
        await fill(world)
        assert [row["RowKey"] for row in await read(world, **settings)] == expected

    play(main)


def test_both_keys_read_one_row_or_nothing() -> None:
    async def main(world: World) -> None:
        assert await read(world, partitionKey="ada", rowKey="1") is None
        await fill(world)
        assert (await read(world, partitionKey="{who}", rowKey="1"))["quantity"] == 5
        assert await read(world, partitionKey="ada", rowKey="3") is None

    play(main)


@pytest.mark.parametrize("text", ["a eq 1 or b eq 2", "not (a eq 1)", "a like 'x'", "a eq", "startswith(a, 'x')"])
def test_a_filter_beyond_comparisons_joined_by_and_is_refused(text: str) -> None:
    with pytest.raises(TriggerInvalid, match="joined by `and`"):
        inputs.conditions(text)


def test_literals_keep_their_types() -> None:
    found = inputs.conditions("a eq 'it''s' and b eq -1.5 and c eq true and d ne 3")
    assert found == [Where("a", "eq", "it's"), Where("b", "eq", -1.5), Where("c", "eq", True), Where("d", "ne", 3)]
