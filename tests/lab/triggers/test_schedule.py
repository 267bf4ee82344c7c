"""NCRONTAB expressions and time spans: when is next?"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from lab.triggers.schedule import parse_schedule

BERLIN = ZoneInfo("Europe/Berlin")
PACIFIC = ZoneInfo("America/Los_Angeles")
MONDAY = datetime(2026, 1, 5, 9, 0, tzinfo=timezone.utc)


def times(text: str, count: int, begin: datetime = MONDAY) -> list[str]:
    schedule, moment, found = parse_schedule(text, begin.tzinfo or timezone.utc), begin, []
    for _ in range(count):
        moment = schedule.next(moment)
        found.append(f"{moment:%m-%d %H:%M:%S}")
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 */5 * * * *", ["01-05 09:05:00", "01-05 09:10:00"]),
        ("*/20 * * * * *", ["01-05 09:00:20", "01-05 09:00:40"]),
        ("0 0 2 * * *", ["01-06 02:00:00", "01-07 02:00:00"]),
        ("5,10 0 9 * * *", ["01-05 09:00:05", "01-05 09:00:10"]),
        ("0 30 9-10 * * *", ["01-05 09:30:00", "01-05 10:30:00"]),
        ("0 0 9 * * Mon-Fri", ["01-06 09:00:00", "01-07 09:00:00"]),
        ("0 0 9 * January Sunday", ["01-11 09:00:00", "01-18 09:00:00"]),
        ("0 0 0 1 * *", ["02-01 00:00:00", "03-01 00:00:00"]),
        ("0 45/5 9 * * *", ["01-05 09:45:00", "01-05 09:50:00"]),
        ("0 10-30/10 9 5 * *", ["01-05 09:10:00", "01-05 09:20:00"]),
    ],
)
def test_six_fields_begin_with_the_second(text: str, expected: list[str]) -> None:
    assert times(text, 2) == expected


def test_five_fields_fire_at_second_zero() -> None:
    assert times("*/15 * * * *", 2) == ["01-05 09:15:00", "01-05 09:30:00"]


def test_a_day_must_fit_both_day_of_month_and_day_of_week() -> None:
    assert times("0 0 0 13 * Fri", 2) == ["02-13 00:00:00", "03-13 00:00:00"]


def test_a_leap_day_is_waited_for() -> None:
    assert parse_schedule("0 0 0 29 2 *").next(MONDAY).year == 2028


@pytest.mark.parametrize("text", ["00:00:30", "0:0:30"])
def test_a_time_span_counts_from_the_run_before(text: str) -> None:
    assert times(text, 2) == ["01-05 09:00:30", "01-05 09:01:00"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 0 2 * *  * *", "not recognized"),
        ("every day", "not recognized"),
        ("00:00:00", "not recognized"),
        ("60 * * * * *", "second '60'"),
        ("0 0 0 * * 7", "day of week '7'"),
        ("0 0 0 32 * *", "day of month '32'"),
        ("0 0 0 * Ja *", "month 'Ja'"),
        ("*/0 * * * * *", "no second"),
        ("0 0 0 ? * *", "no day of month"),
        ("0 0 0 30 2 *", "never comes"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_part_that_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_schedule(text)


def test_only_what_fires_more_than_once_a_minute_is_frequent() -> None:
    frequent = ["*/10 * * * * *", "* * * * * *", "00:00:59"]
    assert [text for text in [*frequent, "0 * * * * *", "*/10 0 * * * *", "00:01:00"] if _is_frequent(text)] == frequent


def _is_frequent(text: str) -> bool:
    return parse_schedule(text).is_frequent


def test_a_time_in_a_zone_moves_with_its_daylight_saving_time() -> None:
    schedule = parse_schedule("0 0 2 * * *", BERLIN)
    winter = schedule.next(datetime(2026, 1, 5, tzinfo=timezone.utc))
    summer = schedule.next(datetime(2026, 7, 5, tzinfo=timezone.utc))
    assert (winter.astimezone(timezone.utc).hour, summer.astimezone(timezone.utc).hour) == (1, 0)


def test_a_time_that_spring_skips_comes_an_hour_later() -> None:
    begin = datetime(2018, 3, 11, 1, 0, tzinfo=PACIFIC)
    assert times("0 30 2 * * *", 2, begin) == ["03-11 03:30:00", "03-12 02:30:00"]


def test_a_point_in_time_fires_once_in_the_double_hour_of_autumn() -> None:
    begin = datetime(2018, 11, 4, 0, 0, tzinfo=PACIFIC)
    schedule = parse_schedule("0 30 1 * * *", PACIFIC)
    first = schedule.next(begin)
    assert first.utcoffset() == timedelta(hours=-7)
    assert f"{schedule.next(first):%m-%d %H:%M}" == "11-05 01:30"


def test_a_host_that_starts_in_the_second_of_the_double_hours_does_not_fire_again() -> None:
    begin = datetime(2018, 11, 4, 1, 29, tzinfo=PACIFIC, fold=1)
    assert times("0 30 1 * * *", 1, begin) == ["11-05 01:30:00"]


def test_an_interval_goes_on_through_the_double_hour() -> None:
    schedule = parse_schedule("0 */30 * * * *", PACIFIC)
    moment, found = datetime(2018, 11, 4, 0, 30, tzinfo=PACIFIC).astimezone(timezone.utc), []
    for _ in range(6):
        following = schedule.next(moment).astimezone(timezone.utc)
        found.append((following - moment).total_seconds() / 60)
        moment = following
    assert found == [30] * 6
