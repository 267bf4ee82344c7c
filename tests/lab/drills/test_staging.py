"""One drill value, two executors: the lab knows a meaning for every step that the runbook's drills take before home."""

import pytest

from lab.drills import DRILLS
from lab.drills.staging import stage
from recovery import drill


def test_the_labs_drills_are_those_of_the_runbook() -> None:
    assert {one.name for one in DRILLS} == set(drill.DRILLS)
    assert all(one.question == drill.DRILLS[one.name].question for one in DRILLS)


def test_the_region_is_stopped_when_it_is_planned_and_lost_when_it_is_not() -> None:
    faults = {one.planned: [step.__name__ for step in one.fault] for one in DRILLS}
    assert faults == {True: ["stop_west_europe"], False: ["lose_west_europe"]}


def test_a_step_without_a_meaning_is_refused() -> None:
    strange = drill.Drill("x", "?", True, ("dance",), (), (), (), ())
    with pytest.raises(KeyError, match="dance"):
        stage(strange, ())
