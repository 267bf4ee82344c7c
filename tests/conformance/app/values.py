"""What the functions give each other: values of every kind, errors of every kind, and what they remember."""

import datetime
import json
from collections import defaultdict

CALLS = defaultdict(int)  # how often something was called, by key
SWITCHES = {}  # what was set over HTTP to change a function's mind, by key
REPLAYS = defaultdict(list)  # what is_replaying said, by instance


class OutOfStock(Exception):
    """An error of the app's own."""


class Point:
    """A class that the SDK can serialise."""

    def __init__(self, x, y):
        self.x = x
        self.y = y

    @staticmethod
    def to_json(point):
        return json.dumps({"x": point.x, "y": point.y})

    @staticmethod
    def from_json(text):
        return Point(**json.loads(text))


class Plain:
    """A class that it cannot."""


# The SDK writes the module's name beside the value; the recorded app was a single file.
for _recorded in (Point, Plain):
    _recorded.__module__ = "function_app"

VALUES = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "int": 42,
    "big": 2**53,
    "negative": -7,
    "float": 1.5,
    "int_float": 2.0,
    "exponent": 1e21,
    "empty": "",
    "text": "plain text",
    "digits": "123",
    "json_text": '{"a": 1}',
    "unicode": "Zürich 雪 😀",
    "surrogate": "x\ud800y",
    "control": "a\tb\nc\u0000d",
    "quote": 'he said "x" \\ /',
    "html": "<b>&'</b>",
    "date_text": "2024-05-01T12:00:00Z",
    "date_offset": "2024-05-01T12:00:00+02:00",
    "list": [1, "two", None, [3]],
    "empty_list": [],
    "dict": {"a": 1, "b": {"c": [True, None]}},
    "empty_dict": {},
    "order": {"z": 1, "a": 2, "m": 3},
    "type_key": {"$type": "System.String", "value": 1},
    "id_key": {"$id": "1", "a": {"$ref": "1"}},
    "kb20": "k" * 20_000,
    "kb200": "ab" * 100_000,
    "unicode_kb50": "雪" * 50_000,
}

UNSERIALISABLE = {
    "set": {1},
    "bytes": b"x",
    "object": Plain(),
    "nan": float("nan"),
    "infinity": float("inf"),
    "tuple": (1, 2),
    "date": datetime.datetime(2024, 5, 1),
}

ERRORS = {
    "value": ValueError("that value is wrong"),
    "custom": OutOfStock("no widgets left"),
    "empty": KeyError(),
    "blank": RuntimeError(""),
    "lines": ValueError("first line\nsecond line\n\nfourth line"),
    "unicode": ValueError("Größe 雪 😀"),
    "quotes": ValueError('say "hi" \\ {"a": 1}'),
    "marker": ValueError('before\n\n$OutOfProcData$:{"isDone":true} after'),
}


def raise_kind(kind):
    """Raises the error of a kind; kinds without one divide by zero."""
    if kind == "chained":
        try:
            int("x")
        except ValueError as inner:
            raise RuntimeError("outer") from inner
    error = ERRORS.get(kind, ZeroDivisionError(kind))
    raise type(error)(*error.args)


def first_line(error):
    return str(error).split("\n")[0]


def after(context, seconds):
    """The moment that many seconds after the orchestrator's present."""
    return context.current_utc_datetime + datetime.timedelta(seconds=seconds)
