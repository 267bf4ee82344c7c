"""A report is one JSON object, however it was put together."""

import json

import pytest

from recovery import json_report


@pytest.mark.parametrize("items", [[], [{"a": 1}], [{"a": "\n"}, {"b": None}]])
def test_the_pieces_are_one_object_with_everything(items):
    text = "".join(json_report.pieces({"hub": "Shop", "counts": {"lost": 1}}, items))
    assert json.loads(text) == {"hub": "Shop", "counts": {"lost": 1}, "list": items}
