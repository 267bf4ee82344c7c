"""What differs from run to run is named; everything else is compared."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from tests.conformance.normal import Normal, change, in_order

NORMAL = Normal("http://127.0.0.1:7071", "r123456789")
NOW = datetime.now(timezone.utc)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("http://127.0.0.1:7071/api/r123456789-a", "{base}/api/{run}-a"),
        ("http://localhost:39001/api", "{base}/api"),
        ("127.0.0.1:7071", "{host}"),
        ("/instances/a?code=secret&top=1", "/instances/a?top=1"),
        ("/instances/a?top=1&code=secret", "/instances/a?top=1"),
        ("7E57CA5E-0000-4000-8000-00000000000a", "<guid>"),
        ("0123456789abcdef0123456789abcdef", "<hex32>"),
        ("<Plain object at 0x7f0011223344>", "<Plain object at 0x<address>>"),
        (f"{NOW:%Y-%m-%dT%H:%M:%SZ}", "<time>Z"),
        (f"{NOW:%Y-%m-%dT%H:%M:%S}.1234567+00:00", "<time.f>+00:00"),
        ("2001-05-01T12:00:00Z", "2001-05-01T12:00:00Z"),
        ("9999-99-99T12:00:00Z", "9999-99-99T12:00:00Z"),
        ("Exception: ValueError\nStack: File a.py", "Exception: ValueError\nStack: <stack>"),
        ('at {"$type":"System.E, x","ClassName":"E","Message":"m","D":{}} end', "at <exception E: m> end"),
        ('{"$type":"System.String', '{"$type":"System.String'),
        ("The following are the known activity functions: 'b', 'a'.",
         "The following are the known activity functions: 'a', 'b'."),
    ],
)  # fmt: skip
def test_a_text_is_compared_without_what_is_of_one_run(text: str, form: str) -> None:
    assert NORMAL.text(text) == form


def test_long_texts_are_compared_by_length_and_digest() -> None:
    one, other = NORMAL.text("a" * 1501), NORMAL.text("a" * 1500 + "b")
    assert one.startswith("<1501 characters, sha256 ") and one != other


def test_names_and_stacks_inside_values_are_normal_too() -> None:
    seen = NORMAL.value({"r123456789": [{"StackTrace": "at line 1"}, 2, None]})
    assert seen == {"{run}": [{"StackTrace": "<stack>"}, 2, None]}


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("a.*.b", {"a": [{"b": 0}, {"c": 2}]}),
        ("a.0.b", {"a": [{"b": 0}, {"c": 2}]}),
        ("a.7.b", {"a": [{"b": 1}, {"c": 2}]}),
        ("x.b", {"a": [{"b": 1}, {"c": 2}]}),
    ],
)
def test_a_path_names_the_parts_to_change(path: str, changed: Any) -> None:
    value = {"a": [{"b": 1}, {"c": 2}]}
    change(value, path, lambda _: 0)
    assert value == changed


def test_lists_get_an_order_and_other_values_stay() -> None:
    assert in_order([{"b": 1}, {"a": 2}]) == [{"a": 2}, {"b": 1}]
    assert in_order("ba") == "ba"
