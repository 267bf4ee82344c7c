"""Every recorded cut gets the recorded outcome as its verdict, with the app's code and without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recovery import rules
from recovery.replay import load_app
from tests.recovery import agreement, cuts

GOLDEN = Path(__file__).resolve().parent.parent / "function_apps" / "golden"


@pytest.fixture(scope="module")
def app():
    return load_app(GOLDEN)


def test_all_recorded_cuts_are_judged():
    assert len(cuts.cuts()) == 74
    assert len(cuts.prefix_states()) == 879


@pytest.mark.parametrize("line", agreement.lines(), ids=lambda line: f"{line.cut.name}-{line.cut.outcome}")
def test_a_recorded_cut_gets_the_recorded_outcome_without_the_code(line):
    assert line.agrees or line.explanation, [(x.instance_id, x.kind, x.rule, x.because) for x in line.verdicts]


def test_every_recorded_cut_gets_the_recorded_outcome_with_the_code(app):
    wrong = [line.cut.name for line in agreement.lines(app.replay) if not (line.agrees or line.explanation)]
    assert wrong == []


def test_no_more_than_four_cuts_need_an_explanation():
    assert sum(line.agrees for line in agreement.lines()) == 70


@pytest.mark.parametrize("code", ["with the code", "without the code"])
def test_each_of_the_879_states_ends_as_foretold(app, code):
    assert agreement.counts(app.replay if code == "with the code" else None) == {True: 879}


def test_the_path_of_each_of_the_879_states_is_foretold():
    for state in cuts.prefix_states():
        if state.history == "completed":
            (facts,) = cuts.facts(state.cut).values()
            assert state.path == ("event" if facts.raised or facts.event_messages else "timeout"), state.counts


def test_how_often_the_activity_runs_again_is_foretold_in_each_of_the_879_states():
    wrong = [state.counts for state in cuts.prefix_states() if agreement.foretold_runs(state) != state.activity_runs]
    assert wrong == []


def test_a_lost_event_is_found_with_the_journal():
    cut = next(cut for cut in cuts.cuts() if cut.name == "lostevent")
    (facts,) = cuts.facts(cut).values()
    verdict = rules.judge(replace(facts, journal_events=("Approval",)))
    assert (verdict.kind, verdict.outcome, verdict.rule) == ("stuck", "stuck", "awaited-lost")


def test_no_conclusion_is_drawn_while_messages_could_not_be_seen():
    for name in ("lostwork", "losttimer2", "s1", "loststart"):
        cut = next(cut for cut in cuts.cuts() if cut.name == name)
        (facts,) = cuts.facts(cut).values()
        verdict = rules.judge(replace(facts, unseen={"control": 1, "workitems": 1}))
        assert verdict.kind == "undecided", name


def test_a_row_that_says_completed_proves_nothing_about_an_open_history():
    states = [state for state in cuts.prefix_states() if state.row == "Completed" and state.history == "open"]
    assert len(states) == 38
    assert {agreement.foretold(state) for state in states} == {"open"}


def test_every_rule_decides_some_state_or_is_tested_by_name():
    decided = {verdict.rule for line in agreement.lines() for verdict in line.verdicts}
    decided |= {rules.judge(f).rule for state in cuts.prefix_states() for f in cuts.facts(state.cut).values()}
    elsewhere = {
        "unreadable-row", "blob-of-history-missing", "blob-of-start-missing", "code-contradicts-history",
        "restart-queued", "child-restarts", "suspended", "waits-for-stuck-child", "not-all-seen",
    }  # fmt: skip
    assert {rule.name for rule in rules.RULES} - decided == elsewhere


def test_every_verdict_says_why():
    for line in agreement.lines():
        for verdict in line.verdicts:
            assert verdict.because and verdict.rule != "none"
