"""Binding expressions: `{name}` in the path of a blob trigger captures, everywhere else it is filled in.

As on the platform: names match in any letters, `{a.b}` looks into a JSON property, `{rand-guid}`, `{DateTime}` and
`{datetime:yyyy-MM-dd}` are always there, `{{` is a brace.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lab.triggers.context import TriggerInvalid

_PART = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
_DOTNET_DATE = re.compile(r"yyyy|yy|MMMM|MMM|MM|dd|HH|hh|mm|ss|fff|tt|K")
_STRFTIME = {
    "yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "dd": "%d", "HH": "%H", "hh": "%I", "mm": "%M",
    "ss": "%S", "tt": "%p",
}  # fmt: skip
_DEFAULT_DATE = "yyyy-MM-ddTHH-mm-ssK"


class Unresolved(Exception):
    """An expression names something that is not there; the text says what."""


class Pattern:
    """A blob trigger's path: a container and a pattern of names."""

    def __init__(self, path: str) -> None:
        """TriggerInvalid: the path names no container, or the container is not plain."""
        container, _, name = path.strip("/").partition("/")
        if not container or "{" in container:
            raise TriggerInvalid(f"the path '{path}' of its blob trigger does not begin with a container's name")
        self.container = container
        self.text = name or "{*}"
        self.prefix = _PART.split(name, maxsplit=1)[0] if name else ""
        self._expression = re.compile(_expression(name) if name else ".+", re.DOTALL)

    def match(self, name: str) -> dict[str, str] | None:
        """What the pattern's parts are in a blob's name, None when it does not fit."""
        found = self._expression.fullmatch(name)
        return None if found is None else found.groupdict()


def _expression(pattern: str) -> str:
    pieces, place, seen = [], 0, set()
    for part in _PART.finditer(pattern):
        pieces.append(re.escape(pattern[place : part.start()]))
        place = part.end()
        if part[0] in ("{{", "}}"):
            pieces.append(re.escape(part[0][0]))
        elif not part[1].isidentifier() or part[1] in seen:
            raise TriggerInvalid(f"'{{{part[1]}}}' cannot be used in the path of its blob trigger")
        else:
            seen.add(part[1])
            pieces.append(f"(?P<{part[1]}>.*)")
    return "".join([*pieces, re.escape(pattern[place:])])


def fill(text: str, values: Mapping[str, Any], now: datetime) -> str:
    """The text with its expressions filled in. Unresolved: one names nothing that the trigger has."""

    def swap(part: re.Match[str]) -> str:
        if part[1] is None:
            return part[0][0]
        return _as_text(_look_up(part[1], values, now))

    return _PART.sub(swap, text)


def trigger_values(data: Mapping[str, Any], captured: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What expressions may name: the trigger's metadata, the properties of its JSON, and what a path captured."""
    values: dict[str, Any] = dict(json_properties(data["value"]) if data["type"] in ("string", "json") else {})
    for name, part in data.get("metadata", {}).items():
        values[name] = json.loads(part["value"]) if part["type"] == "json" else part["value"]
    return {**values, **(captured or {})}


def json_properties(text: str | bytes) -> dict[str, Any]:
    """The properties of a JSON object; none when the text is no such thing."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _look_up(expression: str, values: Mapping[str, Any], now: datetime) -> Any:
    name, _, form = expression.partition(":")
    lower = name.lower().removeprefix("sys.")
    if lower in ("rand-guid", "randguid"):
        return uuid.uuid4().hex if form.upper() == "N" else str(uuid.uuid4())
    if lower in ("datetime", "utcnow"):
        return _date(now, form or _DEFAULT_DATE)
    place: Any = values
    for part in expression.split("."):
        key = next((key for key in place if key.lower() == part.lower()), None) if isinstance(place, Mapping) else None
        if key is None:
            raise Unresolved(f"No value for named parameter '{expression}'.")
        place = place[key]
    return place


def _as_text(found: Any) -> str:
    if isinstance(found, str):
        return found
    if found is None:
        return ""
    return str(found) if not isinstance(found, (dict, list, bool)) else json.dumps(found)


def _date(now: datetime, form: str) -> str:
    def swap(part: re.Match[str]) -> str:
        if part[0] == "fff":
            return f"{now.microsecond // 1000:03d}"
        return "Z" if part[0] == "K" else now.strftime(_STRFTIME[part[0]])

    return _DOTNET_DATE.sub(swap, form)
