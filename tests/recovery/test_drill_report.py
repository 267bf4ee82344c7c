"""The page of a drill on Azure says what happened, and lets nothing of an answer become markup."""

from __future__ import annotations

from recovery.drill import DrillReport, Facts, StepReport
from recovery.drill_report import html

STEPS = [
    StepReport("gate", "the copy is live", 1.0, True, "fresh"),
    StepReport("fault", "stop the active region", 20.0, True, "stopped"),
    StepReport("recovery", "start the standby", 40.0, False, "<b>no answer</b>"),
]
FACTS = Facts("2026-01-02T03:00:00+00:00", {"a": "completed", "b": "lost", "<c>": "stuck"})
REPORT = DrillReport("unplanned failover", "What is lost?", "azure", "2026-01-02T04:00:00", False, STEPS, FACTS)


def test_the_page_names_every_step_and_every_instance_with_its_verdict() -> None:
    page = html(REPORT)
    assert all(step.step in page for step in STEPS)
    assert "60 s without an app" in page and "2026-01-02T03:00:00" in page
    assert page.count(">completed</span>") == 2  # in the summary and beside its instance


def test_what_an_answer_said_stays_text() -> None:
    page = html(REPORT)
    assert "<b>no answer" not in page and "&lt;b&gt;no answer" in page
    assert "<c>" not in page


def test_a_failed_drill_names_its_problems_first() -> None:
    page = html(REPORT)
    assert page.index("start the standby: &lt;b&gt;") < page.index("Step by step")
