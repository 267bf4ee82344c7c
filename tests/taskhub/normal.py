"""What two runs of the same thing have in common: ids and times are replaced by what they are."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from taskhub.accounts import Entity

_REPLACED = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<guid>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<hex32>"),
    (re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z"), "<time>"),
)


def text(value: str) -> str:
    """A text without its ids and times."""
    for pattern, name in _REPLACED:
        value = pattern.sub(name, value)
    return value


def envelope(data: dict[str, Any]) -> str:
    """A message's envelope as text, in the order of its properties."""
    return text(json.dumps({**data, "SequenceNumber": 0}, indent=1, ensure_ascii=False))


def row(entity: Entity) -> dict[str, object]:
    """A row's columns with their types."""
    return {name: _column(value) for name, value in entity.items()}


def _column(value: object) -> object:
    if isinstance(value, datetime):
        return "<date-time>"
    return text(value) if isinstance(value, str) else (type(value).__name__, value)
