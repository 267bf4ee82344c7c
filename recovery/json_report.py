"""A report as JSON, printed piece by piece: its list may be longer than memory should hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any


def pieces(head: dict[str, Any], items: Iterable[dict[str, Any]]) -> Iterator[str]:
    """One JSON object in parts: what `head` holds, and the items under `list`, a line each."""
    yield json.dumps(head, indent=1, default=str)[:-2] + ',\n "list": ['
    for number, item in enumerate(items):
        yield ("," if number else "") + "\n  " + json.dumps(item, default=str)
    yield "\n ]\n}\n"
