"""The normal form in which recorded and seen answers are compared: what differs from run to run is named, not kept."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

LONGEST_TEXT = 1500  # characters; longer ones are recorded as length and digest
NEAR_DAYS = 366  # a time this close to today is one that the host made
_NET_EXCEPTION = '{"$type":"System.'
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")
_KNOWN_FUNCTIONS = re.compile(r"(?<=The following are the known )([\w ]+ functions: )(.*)(?=\.$)", re.S)
_KEYS = ((re.compile(r"\?code=[^&\"\s]*&"), "?"), (re.compile(r"[?&]code=[^&\"\s]*"), ""))
_STACKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r", StackTrace:.*", re.S), ", StackTrace: <stack>"),
    (re.compile(r"\nStack: .*", re.S), "\nStack: <stack>"),
    (re.compile(r"('StackTrace': )(['\"]).*?\2(?=[,}])", re.S), r"\1'<stack>'"),
)
_NAMED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b0x[0-9a-f]{8,}\b"), "0x<address>"),
    (re.compile(r"http://(?:127\.0\.0\.1|localhost):\d{4,5}\b"), "{base}"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.I), "<guid>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<hex32>"),
)


@dataclass(frozen=True)
class Normal:
    """Normal forms of what one scenario sees: it knows the host's address and the scenario's token."""

    base: str
    token: str

    def value(self, value: Any) -> Any:
        """A JSON value in its normal form."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self._member(name, item) for name, item in value.items()}
        return value

    def _member(self, name: str, item: Any) -> Any:
        return "<stack>" if name == "StackTrace" and isinstance(item, str) else self.value(item)

    def text(self, text: str) -> str:
        """A text in its normal form."""
        text = text.replace(self.base, "{base}").replace(self.base.partition("//")[2], "{host}")
        text = _substituted(text.replace(self.token, "{run}"), _KEYS)
        text = _substituted(short_exceptions(text), _STACKS)
        text = _TIME.sub(_time, _substituted(text, _NAMED))
        return digest_if_long(_KNOWN_FUNCTIONS.sub(_sorted_names, text))


def change(value: Any, path: str, action: Callable[[Any], Any]) -> None:
    """Replaces the parts of a JSON value that a path such as body.items.*.time names, in place."""
    head, _, rest = path.partition(".")
    for key in _keys(value, head):
        if rest:
            change(value[key], rest, action)
        else:
            value[key] = action(value[key])


def in_order(value: Any) -> Any:
    """A list in an order of its own; anything else as it is."""
    return sorted(value, key=lambda item: json.dumps(item, sort_keys=True)) if isinstance(value, list) else value


def _keys(value: Any, head: str) -> list[Any]:
    if isinstance(value, list):
        if head == "*":
            return list(range(len(value)))
        return [int(head)] if head.isdigit() and int(head) < len(value) else []
    return [head] if isinstance(value, dict) and head in value else []


def _substituted(text: str, rules: tuple[tuple[re.Pattern[str], str], ...]) -> str:
    for pattern, name in rules:
        text = pattern.sub(name, text)
    return text


def short_exceptions(text: str) -> str:
    """Serialised .NET exceptions become their class and message: the rest is theirs alone."""
    before, mark, _ = text.partition(_NET_EXCEPTION)
    if not mark:
        return text
    try:
        found, end = json.JSONDecoder().raw_decode(text, len(before))
    except ValueError:
        return text
    if not isinstance(found, dict) or "ClassName" not in found:
        return text
    return f"{before}<exception {found['ClassName']}: {found.get('Message')}>{short_exceptions(text[end:])}"


def _time(match: re.Match[str]) -> str:
    day, fraction, zone = match.groups()
    try:
        is_near = abs((date.fromisoformat(day) - date.today()).days) < NEAR_DAYS
    except ValueError:
        is_near = False
    return f"<time{'.f' if fraction else ''}>{zone or ''}" if is_near else match.group()


def _sorted_names(match: re.Match[str]) -> str:
    return match.group(1) + ", ".join(sorted(match.group(2).split(", ")))


def digest_if_long(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"<{len(text)} characters, sha256 {digest[:16]}>"
