"""Failovers from random seeds: whatever is lost and killed, every accepted request ends once, with its right result."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from lab.simulate import Way, describe, main, play, run_seeds, shrink
from lab.simulation import programs
from lab.simulation.plan import Plan, draw, from_json, simpler

SEEDS = 200
FOUND = Path(__file__).with_name("found_plans.jsonl")  # plans that found a mistake once, as they were drawn then


def found_plans() -> list[Plan]:
    return [from_json(line) for line in FOUND.read_text().splitlines()]


def test_every_accepted_request_ends_once_with_its_right_result() -> None:
    first = random.randrange(1_000_000_000)
    seeds = list(range(first, first + SEEDS))
    failing = [seed for seed, verdict in run_seeds(seeds, Way(), os.cpu_count() or 1) if verdict.problems]
    if failing:
        small = shrink(draw(failing[0]))
        pytest.fail(f"{len(failing)} of {SEEDS} seeds fail\n{describe(small, play(small), Way())}")


@pytest.mark.parametrize("plan", found_plans(), ids=lambda plan: str(plan.seed))
def test_a_plan_that_failed_once_stays_mended(plan: Plan) -> None:
    assert play(plan).problems == []


def test_a_seed_gives_the_same_run_again() -> None:
    assert draw(7) == draw(7)
    assert play(draw(7)) == play(draw(7))


def test_a_plan_is_stored_and_read_again() -> None:
    for seed in range(20):
        assert from_json(draw(seed).to_json()) == draw(seed)


def test_without_doctor_and_journal_something_is_lost_or_stuck() -> None:
    assert any(play(draw(seed), Way(doctor=False, journal=False)).problems for seed in range(40))


def test_a_failing_plan_shrinks_to_what_has_a_part_in_it() -> None:
    way = Way(doctor=False, journal=False)
    plan = next(draw(seed) for seed in range(100) if play(draw(seed), way).problems)
    small = shrink(plan, way)
    assert play(small, way).problems
    assert all(not play(other, way).problems for other in simpler(small))


def test_a_replayed_seed_says_what_happened_and_how_to_replay_it(capsys: pytest.CaptureFixture[str]) -> None:
    way = Way(doctor=False, journal=False)
    seed = next(seed for seed in range(100) if play(draw(seed), way).problems)
    assert main(["--seed", str(seed), "--without-doctor", "--without-journal"]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert f"replay: python -m lab simulate --seed {seed} --without-doctor --without-journal" in told
    assert f"seed {seed}:" in told and "West Europe is lost" in told


def test_the_drawn_programs_hold_every_kind_of_step() -> None:
    drawn = [programs.draw(random.Random(seed), ("@ledger@a",))[0]["steps"] for seed in range(300)]
    kinds = {step["do"] for steps in drawn for step in steps}
    assert kinds == {
        "act", "fan", "timer", "hurry", "retry", "call", "signal", "wait", "race", "gather", "child", "children",
        "again", "throw",
    }  # fmt: skip


def test_a_wrong_result_of_a_program_is_noticed() -> None:
    steps = [{"do": "act", "k": 0, "seconds": 0}, {"do": "wait", "k": 1, "name": "wait-1"}]
    right, wrong = programs.Truth(), programs.Truth()
    right.look(steps, "p", "", [{"did": "p/0", "run": 1}, json.dumps({"event": 0})])
    wrong.look(steps, "p", "", [{"did": "p/1", "run": 1}, json.dumps({"event": 0})])
    assert right.wrong == [] and right.must == {"p/0"} and right.used == {("", "wait-1", '{"event": 0}'): 1}
    assert wrong.wrong == ["p/0: {'did': 'p/1', 'run': 1}"]
