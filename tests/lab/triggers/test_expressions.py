"""Binding expressions: what a path captures, and what is filled in."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pytest

from lab.triggers.expressions import Pattern, Unresolved, fill, trigger_values

NOW = datetime(2026, 1, 5, 9, 8, 7, 654321, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("in/{name}", "a.txt", {"name": "a.txt"}),
        ("in/{name}", "deep/a.txt", {"name": "deep/a.txt"}),
        ("in/{name}.{ext}", "a.b.txt", {"name": "a.b", "ext": "txt"}),
        ("in/original-{name}", "original-a", {"name": "a"}),
        ("in/original-{name}", "copy-a", None),
        ("in/{{{name}}}", "{a}", {"name": "a"}),
        ("in/a.txt", "a.txt", {}),
        ("in/a.txt", "aXtxt", None),
        ("in", "anything/at all", {}),
    ],
)
def test_a_pattern_fits_whole_names_and_captures_its_parts(
    pattern: str, name: str, expected: dict[str, str] | None
) -> None:
    assert Pattern(pattern).match(name) == expected


def test_a_pattern_is_looked_for_from_its_plain_beginning_on() -> None:
    assert (Pattern("in/dir/a-{name}").prefix, Pattern("in").prefix) == ("dir/a-", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("out/{name}.txt", "out/a.txt"),
        ("out/{NAME}.txt", "out/a.txt"),
        ("{order.id}", "7"),
        ("{{name}}", "{name}"),
        ("plain", "plain"),
        ("{DateTime}", "2026-01-05T09-08-07Z"),
        ("{datetime:yyyy-MM-dd}/{datetime:HH.mm.ss.fff}", "2026-01-05/09.08.07.654"),
        ("{sys.utcnow:yyyyMMdd}", "20260105"),
    ],
)
def test_expressions_are_filled_in(text: str, expected: str) -> None:
    assert fill(text, {"name": "a", "order": {"Id": 7}}, NOW) == expected


@pytest.mark.parametrize("text", ["{rand-guid}", "{sys.randguid}", "{Rand-Guid}"])
def test_random_ids_differ_each_time(text: str) -> None:
    first, second = fill(text, {}, NOW), fill(text, {}, NOW)
    assert first != second
    assert re.fullmatch(r"[0-9a-f-]{36}", first)


@pytest.mark.parametrize("text", ["{missing}", "{order.missing}", "{name.deeper}"])
def test_what_the_trigger_does_not_have_is_refused_by_name(text: str) -> None:
    with pytest.raises(Unresolved, match=re.escape(text.strip("{}"))):
        fill(text, {"name": "a", "order": {"id": 7}}, NOW)


def test_a_messages_json_and_metadata_can_be_named() -> None:
    data = {"type": "string", "value": '{"customer": "ada"}', "metadata": {"Id": {"type": "string", "value": "1"}}}
    assert fill("{customer}-{id}", trigger_values(data), NOW) == "ada-1"


@pytest.mark.parametrize("text", ["no json", "[1]", "7"])
def test_a_text_that_is_no_json_object_has_no_properties(text: str) -> None:
    assert trigger_values({"type": "string", "value": text, "metadata": {}}) == {}
