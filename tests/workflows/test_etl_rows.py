"""Rows: where they end, what makes them good, what is said of bad ones."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import etl_rows
from workflows.etl_rows import BadRow

HEADER = "id,name,email,amount,country"
GOOD = {"id": "1", "name": "Ada", "email": "a@x.org", "amount": "1", "country": "GB"}


@pytest.mark.parametrize(
    "change, words",
    [
        ({"id": ""}, "id is missing"),
        ({"email": "a@b"}, "is not an address"),
        ({"country": "GBR"}, "is not a two-letter code"),
        ({"amount": "1.234"}, "is not money"),
        ({"amount": "NaN"}, "is not money"),
        ({"amount": "1e400"}, "is not money"),
        ({"amount": "ten"}, "is not money"),
    ],
)
def test_a_bad_row_says_what_is_wrong(change: dict[str, str], words: str) -> None:
    with pytest.raises(BadRow, match=words):
        etl_rows.customer({**GOOD, **change})


def test_a_bad_row_says_everything_that_is_wrong() -> None:
    with pytest.raises(BadRow) as bad:
        etl_rows.customer({"id": "1", "email": "x"})
    assert str(bad.value).count(";") == 3


@pytest.mark.parametrize("amount, cents", [("0", 0), ("-1.5", -150), (" 12.30 ", 1230), (2.5, 250), (1e3, 100_000)])
def test_money_is_counted_in_cents(amount: Any, cents: int) -> None:
    assert etl_rows.customer({**GOOD, "amount": amount})["cents"] == cents


def test_a_record_with_line_breaks_in_quotes_is_one_row_and_the_next_line_is_counted_right() -> None:
    text = '1,"A\nB",a@x.org,1,GB\nbad\n'
    good, bad = etl_rows.clean(text.encode(), "csv", HEADER, 2)
    assert [(row["line"], row["name"]) for row in good] == [(2, "A\nB")] and [row["line"] for row in bad] == [4]


def test_a_stray_quote_costs_its_own_line_only() -> None:
    rows = [f"{n},N,n{n}@x.org,1,GB" for n in range(300)]
    rows[5] = '5,5" pipe,p@x.org,1,GB'
    content = "\n".join([HEADER, *rows]).encode()
    for size in (7, 50, 1000):
        good: list[Any] = []
        bad: list[Any] = []
        for part in etl_rows.ranges(content, "csv", size):
            piece = content[part["start"] : part["start"] + part["length"]]
            for kept, found in zip((good, bad), etl_rows.clean(piece, "csv", HEADER, part["line"]), strict=True):
                kept.extend(found)
        assert len(good) + len(bad) == 300 and len(bad) <= 1


def test_bytes_that_are_not_utf_8_make_a_bad_row() -> None:
    _, bad = etl_rows.clean(b"1,\xff,a@x.org,1,GB\n", "csv", HEADER, 2)
    assert bad[0]["reason"] == "is not UTF-8"


def test_a_byte_order_mark_and_other_letters_in_the_header_are_fine() -> None:
    content = b"\xef\xbb\xbfID,Name,Email,Amount,Country\r\n1,Ada,a@x.org,1,GB\r\n"
    etl_rows.check_source(content, "csv")
    [part] = etl_rows.ranges(content, "csv", 10)
    good, bad = etl_rows.clean(content[part["start"] :], "csv", part["header"], part["line"])
    assert len(good) == 1 and not bad


def test_the_wrong_number_of_fields_is_a_bad_row() -> None:
    _, bad = etl_rows.clean(b"1,2,3\n", "csv", HEADER, 2)
    assert bad[0]["reason"] == "has 3 fields, not 5"


@given(st.lists(st.text(alphabet='ab,"\n', max_size=12), max_size=20), st.integers(1, 5))
def test_the_parts_are_the_whole_source_without_gap_or_overlap(pieces: list[str], size: int) -> None:
    content = (HEADER + "\n" + "\n".join(pieces)).encode()
    parts = etl_rows.ranges(content, "csv", size)
    position = len(HEADER) + 1
    for part in parts:
        assert part["start"] == position and part["length"] > 0
        assert part["line"] == content[:position].count(b"\n") + 1
        position += part["length"]
    assert position == len(content) or not parts


@given(st.lists(st.text(alphabet='ab,"\n', max_size=12), max_size=20), st.integers(1, 5))
def test_cutting_changes_no_row(pieces: list[str], size: int) -> None:
    content = (HEADER + "\n" + "\n".join(pieces)).encode()
    whole = etl_rows.clean(content[len(HEADER) + 1 :], "csv", HEADER, 2)
    cut: tuple[list[Any], list[Any]] = ([], [])
    for part in etl_rows.ranges(content, "csv", size):
        piece = content[part["start"] : part["start"] + part["length"]]
        for kept, found in zip(cut, etl_rows.clean(piece, "csv", HEADER, part["line"]), strict=True):
            kept.extend(found)
    assert cut == whole
