"""Every verdict of the doctor is a fate, and what is wrong beside it widens what may happen."""

from __future__ import annotations

from typing import get_args

import pytest

from lab.drills.foretold import FATES, LATER, foretell
from lab.drills.ground_truth import Fate
from recovery.examination import Line
from recovery.rules import Kind


def line(kind: str, outcome: str = "fine", rule: str = "some-rule", findings: str = "") -> Line:
    return Line("drill-0001", kind, outcome, rule, "because", findings, True)


def test_every_verdict_has_a_fate() -> None:
    assert {kind for kind, outcome in FATES if outcome == "*"} == set(get_args(Kind))
    assert {fate for fates in (*FATES.values(), *LATER.values()) for fate in fates} <= set(get_args(Fate))


@pytest.mark.parametrize(
    ("found", "fate", "or_else"),
    [
        (None, "completed before", ()),
        (line("completed"), "completed before", ()),
        (line("waiting"), "completed", ()),
        (line("waiting", "stuck"), "stuck", ()),
        (line("waiting", "unreachable"), "stuck", ()),
        (line("stuck", "stuck"), "stuck", ()),
        (line("lost", "lost"), "lost", ()),
        (line("lost", "duplicates", "partly-lost"), "completed", ("stuck",)),
        (line("damaged", "wrong-result"), "wrong", ("stuck",)),
        (line("goes-on", findings="open-and-lost: timer 3"), "completed", ("stuck",)),
        (line("goes-on", findings="ahead-of-history: TaskCompleted#3"), "completed", ("wrong", "stuck")),
        (line("stuck", "stuck", findings="open-and-lost: timer 3"), "stuck", ()),
    ],
)
def test_a_verdict_foretells_a_fate_and_what_may_come_instead(
    found: Line | None, fate: str, or_else: tuple[str, ...]
) -> None:
    truth = foretell(found)
    assert (truth.fate, truth.or_else) == (fate, or_else)


def test_what_never_ends_says_which_rule_said_so() -> None:
    assert foretell(line("stuck", "stuck", "awaited-lost")).why == "stuck (awaited-lost): because"
    assert foretell(line("goes-on")).why == ""


def test_a_damaged_child_or_entity_can_spoil_its_caller_but_not_help_it() -> None:
    assert foretell(line("goes-on"), [line("damaged", "wrong-result")]).or_else == ("wrong", "stuck")
    assert foretell(line("goes-on"), [line("waiting")]).or_else == ()
    assert foretell(line("stuck", "stuck"), [line("damaged", "wrong-result")]).or_else == ()


def test_a_timer_that_races_with_an_event_is_no_longer_needed_when_the_event_comes() -> None:
    lost = Line("drill-0001", "stuck", "stuck", "awaited-lost", "timer (number 3): its message is not queued", "", True)
    assert foretell(lost, is_told=True).or_else == ("completed",)
    assert foretell(lost).or_else == ()
    assert foretell(line("stuck", "stuck", "awaited-lost"), is_told=True).or_else == ()


def test_what_the_doctor_cannot_see_of_blobs_may_make_a_result_wrong() -> None:
    assert foretell(line("goes-on"), has_blobs=True).or_else == ("wrong",)
    assert foretell(None, has_blobs=True).or_else == ()
    assert foretell(line("lost", "lost"), has_blobs=True).or_else == ()
