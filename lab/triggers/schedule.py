"""When a timer fires: NCRONTAB expressions with seconds, and time spans, in a time zone.

The rules are those of NCrontab, which the Functions host uses: six fields (five: at second 0), a day must fit both
its day of month and its day of week, Sunday is 0 and there is no 7. Changes of daylight saving time are treated as
CronSchedule of azure-webjobs-sdk-extensions treats them: a time that the spring skips comes an hour later, and in the
autumn's double hour an interval (`*`, `/` or `-` in seconds, minutes or hours) goes on, a point in time fires once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import Protocol

from lab.host_json import parse_timespan

MONTHS = "january february march april may june july august september october november december".split()
DAYS = "sunday monday tuesday wednesday thursday friday saturday".split()
LONGEST_GAP = timedelta(days=366 * 40)  # 29 February on a given day of the week comes at least every 40 years
SECOND = timedelta(seconds=1)


class Schedule(Protocol):
    """Tells when a timer fires next."""

    @property
    def is_frequent(self) -> bool:
        """Whether it fires more than once a minute; such timers are not monitored."""
        ...

    def next(self, after: datetime) -> datetime:
        """The first moment after the given one; both are aware, the result is in the schedule's time zone."""
        ...


def parse_schedule(text: str, zone: tzinfo = timezone.utc) -> Schedule:
    """A schedule from an NCRONTAB expression or a time span. ValueError: it is neither; the text says what is wrong."""
    fields = text.split()
    if len(fields) in (5, 6):
        return Cron.parse(text, zone)
    try:
        period = parse_timespan(text)
    except ValueError:
        period = timedelta(0)
    if period <= timedelta(0):
        raise ValueError(
            f"The schedule expression '{text}' was not recognized as a valid cron expression or timespan string."
        )
    return Interval(period, zone)


@dataclass(frozen=True)
class Interval:
    """Fires a fixed time after it fired before."""

    period: timedelta
    zone: tzinfo = timezone.utc

    @property
    def is_frequent(self) -> bool:
        return self.period < timedelta(minutes=1)

    def next(self, after: datetime) -> datetime:
        return (after + self.period).astimezone(self.zone)


@dataclass(frozen=True)
class Cron:
    """Fires whenever second, minute, hour, day of month, month and day of week all fit."""

    text: str
    zone: tzinfo
    seconds: list[int]
    minutes: list[int]
    hours: list[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    is_interval: bool

    @classmethod
    def parse(cls, text: str, zone: tzinfo = timezone.utc) -> Cron:
        """An expression of five or six fields. ValueError: the text says which field is wrong."""
        fields = text.split()
        if len(fields) == 5:
            fields.insert(0, "0")
        elif len(fields) != 6:
            raise ValueError(f"The schedule '{text}' has {len(fields)} fields; five or six are expected.")
        times = [sorted(_field(text, part, *limits)) for part, limits in zip(fields, _LIMITS, strict=True)]
        seconds, minutes, hours, days, months, weekdays = times
        is_interval = any(sign in part for part in text.split()[: len(text.split()) - 3] for sign in "*/-")
        cron = cls(
            text, zone, seconds, minutes, hours, frozenset(days), frozenset(months), frozenset(weekdays), is_interval
        )
        if not any(cron._fits(day) for day in _days_from(date(2000, 1, 1))):
            raise ValueError(f"The schedule '{text}' never comes: no such day exists.")
        return cron

    @property
    def is_frequent(self) -> bool:
        fields = self.text.split()
        return len(fields) == 6 and len(self.seconds) > 1 and all(part == "*" for part in fields[1:])

    def next(self, after: datetime) -> datetime:
        now = after.astimezone(self.zone)
        wall = self._next_wall(now.replace(tzinfo=None))
        if _is_ambiguous(wall, self.zone) or (self.is_interval and _is_ambiguous(now.replace(tzinfo=None), self.zone)):
            return self._adjusted(now, wall)
        return self._at(wall)

    def _adjusted(self, now: datetime, wall: datetime) -> datetime:
        """The moment of a wall-clock time in or after an hour that comes twice."""
        later = self._at(wall, fold=1)
        has_changed = later.utcoffset() == now.utcoffset()
        if self.is_interval:
            shift = timedelta(0) if has_changed else (later.utcoffset() or _NONE) - (now.utcoffset() or _NONE)
            return (later.astimezone(timezone.utc) + shift).astimezone(self.zone)
        if not has_changed:
            return self._at(wall, fold=0)
        while _is_ambiguous(wall, self.zone):  # its first coming is over
            wall = self._next_wall(wall)
        return self._at(wall)

    def _at(self, wall: datetime, fold: int = 0) -> datetime:
        """A wall-clock time as a moment; one that the clock skips becomes one after the gap."""
        moment = wall.replace(tzinfo=self.zone, fold=fold)
        return moment.astimezone(timezone.utc).astimezone(self.zone)

    def _next_wall(self, after: datetime) -> datetime:
        begin = after.replace(microsecond=0) + SECOND
        for day in _days_from(begin.date()):
            if not self._fits(day):
                continue
            found = self._first_time(begin.time() if day == begin.date() else time(0))
            if found is not None:
                return datetime.combine(day, found)
        raise ValueError(f"The schedule '{self.text}' never comes.")  # parse() has looked

    def _fits(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and (day.weekday() + 1) % 7 in self.weekdays

    def _first_time(self, begin: time) -> time | None:
        """The first time of a day from a given one on."""
        for hour in self.hours:
            if hour < begin.hour:
                continue
            for minute in self.minutes:
                if (hour, minute) < (begin.hour, begin.minute):
                    continue
                for second in self.seconds:
                    if (hour, minute, second) >= (begin.hour, begin.minute, begin.second):
                        return time(hour, minute, second)
        return None


_NONE = timedelta(0)
_LIMITS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("second", 0, 59, []),
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of month", 1, 31, []),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 6, DAYS),
)


def _field(text: str, part: str, name: str, lowest: int, highest: int, names: list[str]) -> set[int]:
    found: set[int] = set()
    for item in part.split(","):
        match = re.fullmatch(r"(\*|[A-Za-z]+|\d+)(?:-([A-Za-z]+|\d+))?(?:/(\d+))?", item)
        if match is None or (match[1] == "*" and match[2]) or match[3] == "0":
            raise ValueError(f"The schedule '{text}' is wrong: '{item}' is no {name}.")
        step = int(match[3] or 1)
        if match[1] == "*":
            found.update(range(lowest, highest + 1, step))
            continue
        first = _value(text, match[1], name, lowest, highest, names)
        last = _value(text, match[2], name, lowest, highest, names) if match[2] else (highest if step > 1 else first)
        found.update(range(min(first, last), max(first, last) + 1, step))
    return found


def _value(text: str, word: str, name: str, lowest: int, highest: int, names: list[str]) -> int:
    if word.isdigit():
        value = int(word)
    else:
        value = next((place + lowest for place, full in enumerate(names) if _is_short_for(word, full)), -1)
    if not lowest <= value <= highest:
        raise ValueError(f"The schedule '{text}' is wrong: {name} '{word}' is not between {lowest} and {highest}.")
    return value


def _is_short_for(word: str, full: str) -> bool:
    return len(word) >= 3 and full.startswith(word.lower())


def _days_from(day: date) -> Iterator[date]:
    for count in range(LONGEST_GAP.days):
        yield day + timedelta(days=count)


def _is_ambiguous(wall: datetime, zone: tzinfo) -> bool:
    """Whether a wall-clock time comes twice."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() or _NONE for fold in (0, 1))
    return first > second
