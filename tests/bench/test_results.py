"""Figures become ratios and verdicts by what was measured beside them."""

from __future__ import annotations

import pytest

from bench.results import CHAINS, OVER_ONE, OVER_SDK, PUTS, UPSERTS, Column, Results


def results_of(*columns: Column) -> Results:
    return Results(list(columns))


def test_a_ratio_is_taken_of_figures_of_the_same_round() -> None:
    one, two = Column("file", 1), Column("file", 2)
    results = results_of(one, two)
    for chains, chains_of_two, alone in ((50.0, 90.0, 100.0), (10.0, 15.0, 20.0), (60.0, 96.0, 100.0)):
        results.compare([one, two], {1: chains, 2: chains_of_two}, alone)
    assert one.measured[OVER_SDK] == [0.5, 0.5, 0.6]
    assert one.median(OVER_SDK) == 0.5
    assert two.measured[OVER_ONE] == [1.8, 1.5, 1.6]


def test_a_part_that_failed_gives_no_ratio_and_is_told() -> None:
    one, two = Column("file", 1), Column("file", 2, failures=["chain: the host did not start"])
    results = results_of(one, two)
    results.compare([one, two], {1: 50.0, 2: 0.0}, 100.0)
    assert OVER_SDK not in two.measured and OVER_ONE not in two.measured
    assert results.failures == ["file, 2 workers: chain: the host did not start"]
    assert "FAILED  file, 2 workers" in results.drawn()


@pytest.mark.parametrize(
    ("name", "value", "met"),
    [
        (OVER_SDK, 0.5, True),
        (OVER_SDK, 0.49, False),
        ("sequential activities/s", 349.0, False),
        ("fan-out of 10,000, seconds", 9.9, True),
        ("fan-out of 10,000, seconds", 10.1, False),
        ("latency over HTTP, median ms", 11.0, False),
    ],
)
def test_a_target_is_met_from_its_limit_on(name: str, value: float, met: bool) -> None:
    column = Column("file", 1)
    column.add({name: value})
    [target] = results_of(column).targets()
    assert target.met is met


def test_targets_on_azurite_grow_and_shrink_with_what_a_plain_client_reaches() -> None:
    column = Column("azurite", 1)
    column.add({CHAINS: 10.0, "latency over HTTP, median ms": 50.0})
    results = results_of(column)
    results.add_ceilings({PUTS: 560.0 / 2, UPSERTS: 660.0 / 2})
    chains, latency = results.targets()
    assert results.azurite_scale() == 0.5
    assert chains.limit == pytest.approx(8.2) and chains.met
    assert latency.limit == pytest.approx(61.0) and latency.met


def test_without_a_plain_client_beside_it_nothing_is_said_of_azurite() -> None:
    column = Column("azurite", 1)
    column.add({CHAINS: 10.0})
    assert results_of(column).targets() == []


def test_programs_get_every_single_value() -> None:
    column = Column("file", 1)
    column.add({CHAINS: 40.0})
    column.add({CHAINS: 50.0})
    told = results_of(column).as_json()
    assert told["figures"]["file, 1 worker"][CHAINS] == 45.0
    assert told["all_values"]["file, 1 worker"][CHAINS] == [40.0, 50.0]
