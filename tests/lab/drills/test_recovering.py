"""The night's order: failover, doctor, journal, standby; without one of them, the rest stays as it is."""

from __future__ import annotations

import pytest

from lab.drills import checks
from lab.drills.drill import Drill
from lab.drills.planned_failover import PLANNED_FAILOVER
from lab.drills.recovering import with_tools
from lab.drills.unplanned_failover import UNPLANNED_FAILOVER


def steps(drill: Drill) -> list[str]:
    return [step.__name__ for step in drill.recovery]


def test_doctor_and_journal_work_on_the_promoted_hub_before_a_host_does() -> None:
    assert steps(with_tools(UNPLANNED_FAILOVER, True, True))[:5] == [
        "fail_the_account_over", "look_at_what_arrived", "see_the_doctor", "reconcile_with_the_journal",
        "start_north_europe",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("doctor", "journal", "taken"),
    [
        (True, False, ["see_the_doctor", "look_once_more"]),
        (False, True, ["reconcile_with_the_journal", "look_once_more"]),
    ],
)
def test_each_can_be_left_out_and_what_is_left_is_looked_at_once_more(
    doctor: bool, journal: bool, taken: list[str]
) -> None:
    drill = with_tools(UNPLANNED_FAILOVER, doctor, journal)
    assert [name for name in steps(drill) if name not in steps(UNPLANNED_FAILOVER)] == taken
    assert checks.every_request_has_its_verdict in drill.verdict


def test_with_both_nothing_may_be_lost() -> None:
    verdict = with_tools(UNPLANNED_FAILOVER, True, True).verdict
    assert checks.nothing_is_lost in verdict and checks.effects_happened_once in verdict


def test_without_both_and_when_it_is_planned_the_drill_is_as_azure_has_it() -> None:
    assert with_tools(UNPLANNED_FAILOVER, False, False) is UNPLANNED_FAILOVER
    assert with_tools(PLANNED_FAILOVER, True, True) is PLANNED_FAILOVER
