"""What a request to the management API asks for: its parameters, read with the extension's rules and defaults."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from lab import newtonsoft
from lab.client_binding import LinkMaker
from lab.errors import ArgumentInvalid
from lab.incoming import Incoming
from lab.management_answers import TOKEN

# As the extension numbers them (OrchestrationRuntimeStatus).
STATUS_NUMBERS = {
    -1: "Unknown",
    0: "Running",
    1: "Completed",
    2: "ContinuedAsNew",
    3: "Failed",
    4: "Canceled",
    5: "Terminated",
    6: "Pending",
    7: "Suspended",
}
STATUS_NAMES = frozenset(STATUS_NUMBERS.values())
PAGE = 100
MAX_ID = 256
INT32 = 2**31


@dataclass(frozen=True)
class Call:
    """A request with what its path says: the segments after `instances`, `orchestrators` or `entities`."""

    request: Incoming
    parts: tuple[str, ...]
    links: LinkMaker

    def flag(self, name: str, default: bool) -> bool:
        """A boolean parameter; what is no boolean, as a repeated one, is the default."""
        text = (self.request.parameter(name) or "").strip().lower()
        return text == "true" if text in ("true", "false") else default

    def number(self, name: str) -> float | None:
        """A number of seconds, None when it is missing or cannot be read."""
        text = (self.request.parameter(name) or "").strip()
        if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text):
            return None
        number = float(text)
        return number if math.isfinite(number) else None

    def time(self, name: str) -> datetime | None:
        """A time, None when it is missing or cannot be read."""
        return read_time(self.request.parameter(name) or "")

    def statuses(self) -> list[str]:
        """The states in `runtimeStatus`, by name or number; unknown names are ignored. ArgumentInvalid: Unknown."""
        found = []
        for text in (self.request.parameter("runtimeStatus") or "").split(","):
            state = _status(text.strip())
            if state == "Unknown":
                raise ArgumentInvalid("Requested value 'Unknown' was not found.")
            if state:
                found.append(state)
        return found

    def top(self) -> int:
        """How many to list. ArgumentInvalid: zero or below."""
        text = (self.request.parameter("top") or "").strip()
        if not re.fullmatch(r"[-+]?\d{1,10}", text) or not -INT32 <= int(text) < INT32:
            return PAGE
        if int(text) < 0:
            raise ArgumentInvalid(
                "Non-negative number required. (Parameter 'capacity')", "System.ArgumentOutOfRangeException"
            )
        if int(text) == 0:
            raise ArgumentInvalid("Take count must be positive and greater than 0.")
        return int(text)

    def token(self) -> str | None:
        """Where to go on in a list."""
        return self.request.header(TOKEN) or None

    def entity_input(self) -> str | None:
        """The text of a signal's input: JSON as it is, other bodies as a JSON string. NotJsonText."""
        if not self.request.body:
            return None
        text = body_text(self.request)
        media_type = (self.request.header("content-type") or "").partition(";")[0].strip().lower()
        return newtonsoft.dumps(newtonsoft.read_token(text) if media_type == "application/json" else text)


def body_text(request: Incoming) -> str:
    """The body as UTF-8 text."""
    return request.body.decode("utf-8-sig", "replace")


def check_instance_id(instance_id: str) -> None:
    """Refuses an id that the extension's client refuses. ArgumentInvalid."""
    if instance_id.startswith("@"):
        raise ArgumentInvalid("instanceId (Parameter 'Orchestration instance ids must not start with @.')")
    if re.search(r"[/\\#?\x00-\x1f\x7f-\x9f]", instance_id):
        raise ArgumentInvalid(
            "instanceId (Parameter 'Orchestration instance ids must not contain /, \\, #, ?, or control characters.')"
        )
    if len(instance_id) > MAX_ID:
        raise ArgumentInvalid(f"Instance ID lengths must not exceed {MAX_ID} characters.")


def read_time(text: str) -> datetime | None:
    """A moment in ISO 8601 (or month/day/year), UTC when it names no zone; None when it cannot be read."""
    match = re.fullmatch(
        r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?\s*(Z|[-+ ]\d{2}:?\d{2})?",
        text.strip(),
        re.IGNORECASE,
    )
    if match is None:
        return _american(text.strip())
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
        moment += timedelta(microseconds=int((fraction or "").ljust(6, "0")[:6]))
        return (moment - _offset(zone)).replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        return None


def _american(text: str) -> datetime | None:
    for form in ("%m/%d/%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
    return None


def _offset(zone: str | None) -> timedelta:
    """A zone's distance from UTC; a plus that was not escaped in the query arrives as a blank."""
    if zone is None or zone.upper() == "Z":
        return timedelta(0)
    digits = zone[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -offset if zone[0] == "-" else offset


def _status(text: str) -> str | None:
    """A state by its exact name or its number; a number that stands for none matches no instance."""
    if re.fullmatch(r"[-+]?\d{1,9}", text):
        return STATUS_NUMBERS.get(int(text), str(int(text)))
    return text if text in STATUS_NAMES else None


def shown_seconds(number: float) -> str:
    """A number as .NET prints it."""
    return str(int(number)) if number == int(number) else repr(number)
