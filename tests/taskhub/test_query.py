"""Prefixes become ranges of keys, and pages are filled."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskhub.accounts import Page, Query, Row, Tables
from taskhub.clock import ManualClock
from taskhub.errors import AccountUnreachable
from taskhub.layout import escape_key
from taskhub.query import StatusQuery, page, prefix_conditions

NOW = ManualClock().now()


def selected(prefix: str, instance_id: str) -> bool:
    key = escape_key(instance_id)
    bounds = {where.op: str(where.value) for where in prefix_conditions(prefix)}
    return bounds.get("ge", "") <= key and ("lt" not in bounds or key < bounds["lt"])


@given(st.text(max_size=4), st.text(max_size=4), st.text(max_size=8))
def test_a_prefix_selects_what_begins_with_it_and_nothing_else(prefix: str, rest: str, other: str) -> None:
    assert selected(prefix, prefix + rest)
    assert selected(prefix, other) is escape_key(other).startswith(escape_key(prefix))


@pytest.mark.parametrize("prefix", ["\ud7ff", "a\U0010ffff", "\U0010ffff", "a\U0010ffff\U0010ffff"])
def test_the_end_of_a_range_is_a_text_that_can_be_sent(prefix: str) -> None:
    for where in prefix_conditions(prefix):
        str(where.value).encode()
    assert selected(prefix, prefix + "z")
    assert not selected(prefix, "a")


def test_no_prefix_is_no_condition() -> None:
    assert StatusQuery().rows() == Query([], [], ())


def test_only_ended_keeps_the_other_conditions() -> None:
    query = StatusQuery(NOW, NOW, ["Running", "Failed"], "a")
    assert query.only_ended() == StatusQuery(NOW, NOW, ["Failed"], "a")


class Sparse:
    """A table service that returns at most two rows at once, and sometimes none, as real ones may."""

    def __init__(self, pages: list[int]) -> None:
        self.pages = pages
        self.asked: list[int] = []

    async def page(self, table: str, query: Query, token: str | None, size: int) -> Page:
        number = int(token or 0)
        self.asked.append(size)
        rows = [Row({"PartitionKey": f"{number}-{n}"}, "", NOW) for n in range(min(size, self.pages[number]))]
        return Page(rows, str(number + 1) if number + 1 < len(self.pages) else None)


async def pages_of(tables: Any, top: int) -> list[int]:
    sizes, token = [], None
    while True:
        rows, token = await page(cast(Tables, tables), "t", Query(), top, token)
        sizes.append(len(rows))
        if token is None:
            return sizes


async def test_pages_that_are_not_full_are_put_together() -> None:
    tables = Sparse([2, 0, 2, 0])
    assert await pages_of(tables, 4) == [4, 0]
    assert tables.asked == [4, 2, 2, 4]


async def test_an_account_that_does_not_answer_is_no_bad_token() -> None:
    class Away:
        async def page(self, *_arguments: Any) -> Page:
            raise AccountUnreachable("away")

    _, token = await page(cast(Tables, Sparse([1, 1])), "t", Query(), 1, None)
    with pytest.raises(AccountUnreachable):
        await page(cast(Tables, Away()), "t", Query(), 1, token)
