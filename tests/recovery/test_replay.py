"""What the code awaits is found by replaying its history with the app's own orchestrators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recovery.awaits import AllOf, AnyOf, Leaf, deliveries, from_history, leaves
from recovery.errors import AppNotLoadable
from recovery.replay import load_app
from recovery.rules import judge
from tests.recovery import cuts, standby

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def app():
    return load_app(standby.GOLDEN)


def facts_of(name):
    cut = next(cut for cut in cuts.cuts() if cut.name == name)
    return cuts.facts(cut)[name]


def replayed(app, name):
    return app.replay(facts_of(name))


def test_a_race_of_an_event_and_a_timer_needs_one_of_them(app):
    assert replayed(app, "losttimer").tree == AnyOf((Leaf("event", name="Approval"), Leaf("timer", 1)))


def test_a_fan_out_needs_all_of_its_activities(app):
    tree = replayed(app, "m1b").tree
    assert isinstance(tree, AllOf) and len(list(leaves(tree))) == 120


def test_what_a_torn_checkpoint_never_recorded_is_told_apart_from_what_was_lost(app):
    facts = facts_of("m1b")
    found = deliveries(replace(facts, replayed=app.replay(facts)))
    assert [x.lost for x in found].count("work item") == 97
    assert [x.lost for x in found].count("command") == 23


def test_a_child_and_an_entity_call_are_awaited_by_number_and_name(app):
    assert replayed(app, "s1").tree == Leaf("child", 0, "child")
    assert replayed(app, "s5req").tree == Leaf("call", 0, "@counter@ks5req")


def test_the_input_of_a_lost_work_item_is_the_one_that_the_engine_had_sent(app):
    cut = next(cut for cut in cuts.cuts() if cut.name == "twowork")
    command = replayed(app, "twowork").commands[0]
    recorded = cut.queued[0][2]["TaskMessage"]["Event"]
    assert (command.name, command.input) == (recorded["Name"], recorded["Input"])


def test_code_that_does_not_fit_the_history_is_a_contradiction(app):
    facts = facts_of("losttimer")
    other = app.orchestrators | {"shop": app.orchestrators["sleeper"]}
    original, app.orchestrators = app.orchestrators, other
    try:
        start = dict(facts.instance.history[1], Input='{"secs": 3, "wait": 600}')
        history = (facts.instance.history[0], start, *facts.instance.history[2:])
        changed = replace(facts, instance=replace(facts.instance, history=history))
        result = app.replay(changed)
        verdict = judge(replace(changed, replayed=result))
    finally:
        app.orchestrators = original
    assert "TaskScheduled in the history and a timer in the code" in result.contradiction
    assert (verdict.kind, verdict.rule) == ("damaged", "code-contradicts-history")


def test_an_orchestrator_that_the_app_does_not_have_is_judged_by_its_history(app):
    facts = facts_of("losttimer")
    start = dict(facts.instance.history[1], Name="gone")
    history = (facts.instance.history[0], start, *facts.instance.history[2:])
    changed = replace(facts, instance=replace(facts.instance, history=history))
    assert app.replay(changed) is None
    assert judge(changed).rule == "awaited-lost"


def test_without_the_code_everything_open_is_taken_for_needed():
    assert from_history(facts_of("lostwork")) == AllOf((Leaf("activity", 0, "work"),))
    assert from_history(facts_of("losttimer")) == AnyOf((Leaf("timer", 1), Leaf("event", name="*")))
    assert from_history(facts_of("tailcut2")) == Leaf("command")


def test_a_folder_without_an_app_or_with_a_broken_one_is_named(tmp_path):
    with pytest.raises(AppNotLoadable, match="no function_app.py"):
        load_app(tmp_path)
    (tmp_path / "function_app.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(AppNotLoadable, match="cannot be loaded: ModuleNotFoundError"):
        load_app(tmp_path)
    (tmp_path / "function_app.py").write_text("x = 1\n")
    with pytest.raises(AppNotLoadable, match="holds 0 function apps"):
        load_app(tmp_path)


def test_the_deployed_app_has_every_orchestrator_of_the_catalogue():
    import workflows

    names = set(load_app(REPOSITORY).orchestrators)
    assert {workflow.name for workflow in workflows.CATALOGUE} <= names
