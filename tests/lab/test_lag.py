"""Lags keep each unit's order, are a matter of the seed alone, and have the size that was asked for."""

from datetime import datetime, timedelta, timezone
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from lab.lag import ConstantLag, LongTailedLag

START = datetime(2026, 1, 2, tzinfo=timezone.utc)
MOMENTS = st.lists(st.floats(0, 100), min_size=2, max_size=20).map(sorted)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@given(MOMENTS, st.integers(0, 2**32), st.floats(0, 30))
def test_nothing_overtakes_an_earlier_write_of_its_unit(moments: list[float], seed: int, seconds: float) -> None:
    lag = LongTailedLag(timedelta(seconds=seconds), seed)
    arrivals = [lag.arrival("queue/control-00", at(moment)) for moment in moments]
    assert arrivals == sorted(arrivals)
    assert all(arrival >= at(moment) for arrival, moment in zip(arrivals, moments, strict=True))


def test_the_same_seed_gives_the_same_arrivals_in_whatever_order_they_are_asked_for() -> None:
    first, second = LongTailedLag(timedelta(seconds=5), 7), LongTailedLag(timedelta(seconds=5), 7)
    asked = [(f"table/Hub/{n % 3}", at(n)) for n in range(60)]
    forwards = {question: first.arrival(*question) for question in asked}
    assert {question: second.arrival(*question) for question in reversed(asked)} == forwards


def test_another_seed_gives_other_arrivals() -> None:
    lags = [LongTailedLag(timedelta(seconds=5), seed) for seed in (1, 2)]
    assert lags[0].arrival("a", START) != lags[1].arrival("a", START)


def test_half_of_the_units_lag_about_the_median_and_a_few_far_longer() -> None:
    lag = LongTailedLag(timedelta(seconds=5), 1)
    lags = sorted((lag.arrival(str(unit), at(4.99)) - at(4.99)).total_seconds() for unit in range(2000))
    assert 4 < median(lags) < 6  # slow windows before hold some up
    assert lags[-200] > 8
    assert lags[-20] > 15
    assert lags[-1] <= 40


def test_a_constant_lag_is_the_same_for_everybody() -> None:
    assert ConstantLag(timedelta(seconds=5)).arrival("any", START) == at(5)


def test_without_a_lag_everything_is_there_at_once() -> None:
    assert LongTailedLag(timedelta(0), 1).arrival("any", START) == START
