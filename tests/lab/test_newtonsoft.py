"""JSON is read as leniently, and refused in the same words, as the extension's Newtonsoft does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.newtonsoft import READER, SERIALIZER, NotJsonText, dumps, encode, read_document, read_stored, read_token

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_whatever_python_writes_is_read_the_same(value: Any) -> None:
    assert read_token(json.dumps(value)) == json.loads(json.dumps(value))
    assert read_token(dumps(value)) == value


@given(st.text())
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    for read in (read_document, read_token, read_stored):
        try:
            read(text)
        except NotJsonText as error:
            assert ". Path '" in str(error)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 1 /* one */}", {"a": 1}), ("{a: 1, $b_2: 2,}", {"a": 1, "$b_2": 2}), ("[1,]", [1]),
        ("// first\n5", 5), ("0x1F", 31), ("010", 8), ("1e3", 1000.0), (".5", 0.5), ("-7", -7), ("'it\\'s'", "it's"),
        ('{"a": 1, "a": 2}', {"a": 2}), ('"\\ud83d\\ude00"', "😀"), ('"\\ud800"', "\ud800"), ("[1,,2]", [1, None, 2]),
        ('"line\nbreak"', "line\nbreak"), ("Infinity", math.inf), ("-Infinity", -math.inf), ("undefined", None),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)  # fmt: skip
def test_what_newtonsoft_tolerates_is_read(text: str, value: Any) -> None:
    assert read_token(text) == value


RECORDED = [  # texts as the extension answered them
    (
        read_document, "not json", READER,
        "Unexpected character encountered while parsing value: n. Path '', line 0, position 0.",
    ),
    (read_document, '{"a": ', SERIALIZER, "Unexpected end when deserializing object. Path 'a', line 1, position 6."),
    (
        read_document, '{"a": 1} x', READER,
        "Additional text encountered after finished reading JSON content: x. Path '', line 1, position 9.",
    ),
    (read_token, "", READER, "Error reading JToken from JsonReader. Path '', line 0, position 0."),
    (
        read_token, "hello", READER,
        "Unexpected character encountered while parsing value: h. Path '', line 0, position 0.",
    ),
    (read_token, "{bad", READER, "Unexpected end while parsing unquoted property name. Path '', line 1, position 4."),
]  # fmt: skip


@pytest.mark.parametrize(("read", "text", "kind", "message"), RECORDED)
def test_errors_are_worded_as_recorded(read: Callable[[str], Any], text: str, kind: str, message: str) -> None:
    with pytest.raises(NotJsonText) as caught:
        read(text)
    assert (str(caught.value), caught.value.kind) == (message, kind)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a" 1}', "Invalid character after parsing property name. Expected ':' but got: 1. Path '', line 1, "),
        ('{"a": [1 2]}', "After parsing a value an unexpected character was encountered: 2. Path 'a[0]', line 1, "),
        ('{"a b": tru}', "Error parsing boolean value. Path '['a b']', line 1, position 8."),
        ('{"a": "x', "Unterminated string. Expected delimiter: \". Path 'a', line 1, position 8."),
        ('"\\q"', "Bad JSON escape sequence: \\q. Path '', line 1, position 3."),
        ('{"a":\n[', "Unexpected end of content while loading JArray. Path 'a[0]', line 2, position 1."),
    ],
)
def test_errors_name_path_line_and_position(text: str, message: str) -> None:
    with pytest.raises(NotJsonText) as caught:
        read_token(text)
    assert message in str(caught.value).replace("  ", " ")


def test_only_the_first_value_counts_where_the_extension_reads_one() -> None:
    assert read_token("1 2", only=False) == 1


def test_a_blank_document_is_no_value() -> None:
    assert read_document("  \n") is None


def test_deep_nesting_is_refused_and_does_no_harm() -> None:
    with pytest.raises(NotJsonText, match="MaxDepth"):
        read_token("[" * 100_000)
    assert read_stored("[" * 100_000) == "[" * 100_000


def test_the_serializers_own_names_are_taken_off_a_documents_front() -> None:
    assert read_document('{"$type": "x", "$id": "1", "a": {"$type": "y"}, "$type2": 1}') == {
        "a": {"$type": "y"}, "$type2": 1,
    }  # fmt: skip
    assert read_document('{"a": 1, "$type": "x"}') == {"a": 1, "$type": "x"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, None), ("", ""), (" ", ""), ("123", 123), ("null", None), ('"q"', "q"), ("a b c", "a b c"),
        ("[1,2]", [1, 2]), ("{'a':1}", {"a": 1}), ("2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z"), ("a b", "a b"),
    ],
)  # fmt: skip
def test_a_stored_text_is_shown_as_its_value_or_itself(text: str | None, value: Any) -> None:
    assert read_stored(text) == value


def test_values_are_written_compactly_with_letters_as_they_are() -> None:
    assert dumps({"a": [1, "Zürich", None, True]}) == '{"a":[1,"Zürich",null,true]}'
    assert dumps([math.nan, math.inf, -math.inf, "NaN"]) == '["NaN","Infinity","-Infinity","NaN"]'


def test_half_a_surrogate_pair_leaves_as_the_replacement_character() -> None:
    assert encode("x\ud800y😀") == "x\ufffdy😀".encode()
