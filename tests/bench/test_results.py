"""Figures become ratios and verdicts by what was measured beside them."""

from __future__ import annotations

import pytest

from bench.results import (
    BEST,
    CHAINS,
    CPU,
    OVER_ONE,
    OVER_SDK,
    PUTS,
    SDK,
    UPSERTS,
    WORK,
    WORK_ALONE,
    WORK_OVER_ALONE,
    WORK_OVER_ONE,
    Column,
    Results,
    best_ratio,
)


def results_of(*columns: Column) -> Results:
    return Results(list(columns))


def test_a_ratio_is_taken_of_figures_of_the_same_round() -> None:
    one, two = Column("file", 1), Column("file", 2)
    results = results_of(one, two)
    for chains, chains_of_two, alone in ((50.0, 90.0, 100.0), (10.0, 15.0, 20.0), (60.0, 96.0, 100.0)):
        results.compare([one, two], CHAINS, {1: chains, 2: chains_of_two}, {SDK: alone})
    assert one.measured[OVER_SDK] == [0.5, 0.5, 0.6]
    assert one.median(OVER_SDK) == 0.5
    assert two.measured[OVER_ONE] == [1.8, 1.5, 1.6]


def test_a_part_that_failed_gives_no_ratio_and_is_told() -> None:
    one, two = Column("file", 1), Column("file", 2, failures=["chain: the host did not start"])
    results = results_of(one, two)
    results.compare([one, two], CHAINS, {1: 50.0, 2: 0.0}, {SDK: 100.0})
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


def test_what_two_workers_can_reach_is_arithmetic() -> None:
    assert best_ratio(8.0, 6.0, 0.0, processes=2, cores=2) == pytest.approx(1.0)  # the host is the ceiling
    assert best_ratio(1.0, 9.0, 0.0, processes=2, cores=2) == pytest.approx(2 * 9 / (1 + 9))  # the workers' core was
    assert best_ratio(1.0, 9.0, 0.0, processes=2, cores=8) == pytest.approx(2.0)
    assert best_ratio(6.0, 8.0, 2.0, processes=2, cores=2) == pytest.approx(1.0)  # both cores are busy already


def test_two_workers_chains_stand_beside_what_they_can_reach() -> None:
    one, two = Column("file", 1), Column("file", 2)
    one.add(dict(zip(CPU, (8.0, 6.0, 0.5), strict=True)))
    results_of(one, two).compare([one, two], CHAINS, {1: 100.0, 2: 105.0}, {SDK: 200.0})
    assert two.median(BEST) is not None and BEST not in one.measured


def test_cpu_bound_work_is_compared_with_one_process_and_one_worker() -> None:
    one, two = Column("file", 1), Column("file", 2)
    results = results_of(one, two)
    results.compare([one, two], WORK, {1: 90.0, 2: 162.0}, {SDK: 1.0, WORK_ALONE: 100.0})
    assert one.median(WORK_OVER_ALONE) == 0.9
    assert two.median(WORK_OVER_ONE) == pytest.approx(1.8)
    [target] = [target for target in results.targets() if target.name == WORK_OVER_ONE]
    assert (target.limit, target.met) == (1.6, True)


def test_the_table_shows_each_target_beside_its_figure() -> None:
    column = Column("file", 1)
    column.add({"external events/s": 450.0, "starts/s at the webhook": 900.0})
    lines = {line[:40].strip(): line[40:].split() for line in results_of(column).drawn().splitlines()}
    assert lines["external events/s"] == ["450", "≥", "500"]
    assert lines["starts/s at the webhook"] == ["900", "–"]
