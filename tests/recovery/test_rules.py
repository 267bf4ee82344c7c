"""Every recorded cut gets the recorded outcome as its verdict, with the app's code and without it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from recovery import rules
from recovery.observed import Message, request_of, sent_at
from recovery.plans import make_plan
from recovery.repair_steps import Adopt, Delete, Purge
from recovery.replay import Command, Replayed, load_app
from taskhub import messages as m
from taskhub.history import to_entity
from taskhub.layout import row_key
from taskhub.messages import TaskMessage
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


def test_all_cuts_agree_three_of_them_with_what_was_seen_and_one_with_the_journals_entry():
    lines = agreement.lines()
    assert sum(line.agrees for line in lines) == 70
    rest = [line.explanation for line in lines if not line.agrees]
    assert sorted(text.split("(")[0].split(" for")[0] for text in rest) == [
        "agrees with the journal's entry", *["agrees with what was seen "] * 3
    ]  # fmt: skip


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
        "restart-queued", "child-restarts", "suspended", "waits-for-stuck-child", "not-all-seen", "partly-lost",
        "next-attempt", "entity-history-behind", "entity-history-damaged", "given-up",
            "start-not-seen",
    }  # fmt: skip
    assert {rule.name for rule in rules.RULES} - decided == elsewhere


def test_every_verdict_says_why():
    for line in agreement.lines():
        for verdict in line.verdicts:
            assert verdict.because and verdict.rule != "none"


# States that no recorded cut holds, built from those that there are.


def one(name):
    cut = next(cut for cut in cuts.cuts() if cut.name == name)
    return cuts.facts(cut)[name]


def message(kind, instance_id, execution_id=None, **event):
    task = TaskMessage(
        {"EventType": kind, "EventId": -1, "Timestamp": "2026-11-21T10:00:00Z", **event}, instance_id, execution_id
    )
    return Message(cuts.CONTROL, f"{kind}-{instance_id}", "", "", 0, cuts.NOW, cuts.NOW, task)


def with_messages(facts, *messages):
    return replace(facts, instance=replace(facts.instance, messages=(*facts.instance.messages, *messages)))


def test_a_suspended_instance_waits_even_when_an_answer_is_queued_and_goes_on_when_a_resume_is():
    suspended = with_messages(one("c16E"), message(m.EXECUTION_SUSPENDED, "c16E", Reason="why"))
    assert rules.judge(suspended).rule == "suspended"
    later = replace(message(m.EXECUTION_RESUMED, "c16E", Reason="on"), inserted=cuts.NOW + timedelta(seconds=1))
    assert rules.judge(with_messages(suspended, later)).rule == "awaited-queued"


def test_a_parent_of_a_stuck_child_waits_for_the_childs_repair():
    child = one("lostwork")
    parent = one("s1")
    parent = replace(parent, related={"s1-kid": child})
    verdict = rules.judge(parent)
    assert (verdict.kind, verdict.rule) == ("waiting", "waits-for-stuck-child")


def test_a_parent_of_a_child_whose_history_is_gone_sends_its_start_again():
    verdict = rules.judge(replace(one("s1"), related={"s1-kid": one("losthist")}))
    assert verdict.rule == "awaited-lost" and verdict.missing[0].lost == "start"


def test_a_second_start_of_a_running_child_begins_it_again():
    start = message(
        m.EXECUTION_STARTED,
        "c7E",
        "another",
        ParentInstance={"OrchestrationInstance": {"InstanceId": "p"}},
        Name="shop",
    )
    verdict = rules.judge(with_messages(one("c7E"), start))
    assert (verdict.kind, verdict.rule) == ("repeats", "child-restarts")


def as_child(facts, number, run="px"):
    """The same history, as that of a child that answers a number of a run of its parent."""
    parent = {"OrchestrationInstance": {"InstanceId": "p", "ExecutionId": run}, "TaskScheduleId": number}
    rows = [
        {**row, "ParentInstance": json.dumps(parent)} if row.get("EventType") == "ExecutionStarted" else row
        for row in facts.instance.history
    ]
    return replace(facts, instance=replace(facts.instance, history=tuple(rows)))


def test_a_start_for_another_attempt_of_the_parent_begins_the_child_anew_and_its_old_messages_go():
    parent = {"OrchestrationInstance": {"InstanceId": "p", "ExecutionId": "px"}, "TaskScheduleId": 5}
    start = message(m.EXECUTION_STARTED, "c7E", "another", ParentInstance=parent, Name="shop")
    verdict = rules.judge(with_messages(as_child(one("c7E"), 3), start))
    assert (verdict.kind, verdict.rule) == ("goes-on", "next-attempt")
    assert {x.task.kind for x in verdict.surplus if x.task} == {m.TASK_SCHEDULED}
    same = rules.judge(with_messages(as_child(one("c7E"), 5), start))
    assert same.rule == "child-restarts"


def parent_and_child(name):
    """A recorded parent that waits for a child, that child, and the number of the call."""
    kid = next(x for x in cuts.facts(next(c for c in cuts.cuts() if c.name == name)).values() if x.parent)
    (_, number) = next(key for key in one(name).open_items if key[0] == m.SUB_CREATED)
    code = Replayed(None, {number: Command("child", "kid", None)})
    return replace(one(name), replayed=code), kid, number


def start_of_child(parent, kid, number, run):
    address = {"OrchestrationInstance": {"InstanceId": parent.id, "ExecutionId": run}, "TaskScheduleId": number}
    return message(m.EXECUTION_STARTED, kid.id, f"for-{number}", ParentInstance=address, Name="kid")


def test_a_childs_end_answers_only_the_call_that_it_ran_for():
    parent, kid, number = parent_and_child("s3")
    of_this_run = (number, parent.execution, "completion")
    for answers, run, lost in (of_this_run, (number - 1, parent.execution, "start"), (number, "another", "start")):
        verdict = rules.judge(replace(parent, related={kid.id: as_child(kid, answers, run)}))
        assert [x.lost for x in verdict.missing] == [lost]


def test_a_row_without_history_that_ended_before_the_call_does_not_answer_it():
    parent, kid, _ = parent_and_child("s3")
    alone = replace(kid, instance=replace(kid.instance, history=(), sentinel=None))
    before = {**kid.row, "CreatedTime": kid.row["CreatedTime"] - timedelta(days=1)}
    for row, lost in ((kid.row, "completion"), (before, "start")):
        child = replace(alone, instance=replace(alone.instance, row=row))
        assert [x.lost for x in rules.judge(replace(parent, related={kid.id: child})).missing] == [lost]


def test_a_queued_start_of_a_child_for_another_call_gives_way_to_that_of_this_one():
    parent, kid, number = parent_and_child("s3")
    nothing = replace(kid, instance=replace(kid.instance, history=(), sentinel=None, row=None, messages=()))
    for answers, run, is_ready in ((number, parent.execution, True), (number + 2, parent.execution, False),
                                   (number, "another", False)):  # fmt: skip
        child = with_messages(nothing, start := start_of_child(parent, kid, answers, run))
        verdict = rules.judge(replace(parent, related={kid.id: child}))
        assert verdict.rule == ("awaited-queued" if is_ready else "awaited-lost")
        if not is_ready:
            steps = make_plan(verdict).steps
            assert [step.message for step in steps if hasattr(step, "message")] == [start]
            assert [step.task.kind for step in steps if hasattr(step, "task")] == [m.EXECUTION_STARTED]


def test_an_open_child_whose_start_for_another_call_is_queued_begins_anew_for_this_one():
    parent, kid, number = parent_and_child("s3")
    rows = [row for row in kid.instance.history if row.get("EventType") != "ExecutionCompleted"]
    running = replace(kid, instance=replace(kid.instance, history=tuple(rows), row={"RuntimeStatus": "Running"}))
    child = with_messages(running, start_of_child(parent, kid, number + 2, parent.execution))
    assert [x.lost for x in rules.judge(replace(parent, related={kid.id: child})).missing] == ["start"]


def test_a_child_for_a_call_that_its_parent_has_not_made_is_removed_and_begins_when_it_is_asked_for():
    parent, kid, number = parent_and_child("s3")
    rows = [row for row in kid.instance.history if row.get("EventType") != "ExecutionCompleted"]
    nothing = replace(kid, instance=replace(kid.instance, history=(), sentinel=None, row=None, messages=()))
    for answers, run, is_named in (
        (number + 4, parent.execution, True), (number, parent.execution, False), (number + 4, "another", False)
    ):  # fmt: skip
        address = {"InstanceId": parent.id, "ExecutionId": run}
        start = {"OrchestrationInstance": address, "TaskScheduleId": answers}
        mine = [
            {**row, "ParentInstance": json.dumps(start)} if row.get("EventType") == "ExecutionStarted" else row
            for row in rows
        ]
        at_work = replace(kid, instance=replace(kid.instance, history=tuple(mine)))
        to_begin = with_messages(nothing, start_of_child(parent, kid, answers, run))
        for child in (at_work, to_begin):
            verdict = rules.judge(replace(child, related={parent.id: parent}))
            assert ("ahead-of-its-parent" in {x.name for x in verdict.findings}) is is_named
            steps = [type(step) for step in make_plan(verdict).steps]
            if is_named:
                assert verdict.needs_repair and steps == ([Purge] if child is at_work else [Delete])
            assert (Purge in steps) is (is_named and child is at_work)


def test_what_a_child_ahead_of_its_parent_has_begun_is_removed_before_it():
    parent, kid, number = parent_and_child("s3")
    rows = [row for row in kid.instance.history if row.get("EventType") != "ExecutionCompleted"]
    running = as_child(replace(kid, instance=replace(kid.instance, history=tuple(rows))), number + 4, parent.execution)
    below = as_child(one("c7E"), 0, running.execution)
    other = as_child(one("lostwork"), 0, "another run")
    family = {x.id: x for x in (below, other)}
    grandparent = replace(parent, instance=replace(parent.instance, instance_id="p"))
    plan = make_plan(rules.judge(replace(running, related={**family, "p": grandparent})))
    assert [step.instance.instance_id for step in plan.steps if isinstance(step, Purge)] == ["c7E", kid.id]
    assert {step.message.task.kind for step in plan.steps if isinstance(step, Delete)} == {
        m.EXECUTION_STARTED, m.TASK_SCHEDULED,
    }  # fmt: skip
    assert plan.may_repeat == ("everything that c7E had done", f"everything that {kid.id} had done")


def test_a_child_whose_parent_has_its_end_in_the_row_is_left():
    parent, kid, number = parent_and_child("s3")
    rows = [row for row in kid.instance.history if row.get("EventType") != "ExecutionCompleted"]
    running = as_child(replace(kid, instance=replace(kid.instance, history=tuple(rows))), number + 4, parent.execution)
    ended = {**parent.row, "RuntimeStatus": "Completed"}
    over = replace(parent, instance=replace(parent.instance, instance_id="p", row=ended))
    verdict = rules.judge(replace(running, related={"p": over}))
    assert "ahead-of-its-parent" not in {x.name for x in verdict.findings}


def asked(caller, run, sent, entity_id="@ledger@a", **last):
    """A caller whose history holds a signal to an entity, and that entity with what it keeps of the caller."""
    request = {"id": "r1", "signal": True, "parent": caller.id, "parentExecution": run, "Timestamp": sent}
    signal = {**caller.instance.history[0], "RowKey": row_key(len(caller.instance.history)), "EventType": "EventSent",
              "EventId": 90, "Name": "op", "Input": json.dumps(request), "InstanceId": entity_id}  # fmt: skip
    state = {
        "exists": True,
        "sorter": {"ReceivedFromInstance": {caller.id: last}, "ReceiveHorizon": "2026-11-20T00:00:00Z"},
    }
    entity = one("s5state")
    row = {**entity.row, "Input": json.dumps(state)}
    entity = replace(entity, instance=replace(entity.instance, row=row, history=(), messages=(), instance_id=entity_id))
    whole = replace(caller.instance, history=(*caller.instance.history, signal))
    return replace(caller, instance=whole, related={entity_id: entity}, replayed=None)


SENT, LATER, EARLIER = "2026-11-21T10:00:00.0000000Z", "2026-11-21T10:00:05.0000000Z", "2026-11-21T09:00:00.0000000Z"


def test_an_entity_that_heard_from_a_later_run_is_told_of_the_run_that_is_here():
    caller = one("c7E")
    later = rules.judge(asked(caller, caller.execution, SENT, Last=LATER, ExecutionId="later"))
    assert "entity-of-a-later-run" in {x.name for x in later.findings} and later.needs_repair
    (step,) = [step for step in make_plan(later).steps if isinstance(step, Adopt)]
    assert (step.entity_id, step.caller, step.execution_id) == ("@ledger@a", caller.id, caller.execution)
    assert m.timestamp(step.last) == SENT


@pytest.mark.parametrize(
    "last", [{"Last": LATER, "ExecutionId": "mine"}, {"Last": EARLIER, "ExecutionId": "earlier"}, {}],
    ids=["this run", "an earlier run", "no run"],
)  # fmt: skip
def test_an_entity_that_heard_last_from_this_run_or_an_earlier_one_is_left(last):
    caller = one("c7E")
    last = {**last, "ExecutionId": caller.execution} if last.get("ExecutionId") == "mine" else last
    verdict = rules.judge(asked(caller, caller.execution, SENT, **last))
    assert "entity-of-a-later-run" not in {x.name for x in verdict.findings}


def test_what_an_entity_has_executed_is_told_by_the_state_that_its_repair_restores():
    caller = one("c7E")
    behind = asked(caller, caller.execution, SENT, Last=LATER, ExecutionId=caller.execution)
    assert "operations-lost" not in {x.name for x in rules.judge(behind).findings}
    unknown = asked(caller, caller.execution, SENT, Last=EARLIER, ExecutionId=caller.execution)
    assert "operations-lost" in {x.name for x in rules.judge(unknown).findings}


def test_a_lost_start_of_a_child_is_sent_under_the_time_at_which_it_was_asked_for():
    parent, _, number = parent_and_child("s3")
    parent = replace(parent, related={})
    (sent,) = [step.task for step in make_plan(rules.judge(parent)).steps if hasattr(step, "task")]
    assert sent_at(sent.event) == sent_at(parent.scheduled[m.SUB_CREATED, number]) < parent.now


def test_a_child_that_its_parent_starts_again_is_not_started_a_second_time():
    verdict = rules.judge(one("g5"))
    assert verdict.rule == "restart-without-message"
    assert [step for step in make_plan(verdict).steps if hasattr(step, "task")]
    assert not [step for step in make_plan(verdict, has_parent=True).steps if hasattr(step, "task")]


def test_a_status_that_the_code_has_set_and_the_row_does_not_show_is_written():
    facts = replace(one("losttimer2"), replayed=Replayed(None, custom_status={"at": 2}))
    verdict = rules.judge(facts)
    assert "custom-status-behind" in {x.name for x in verdict.findings}
    written = [step.columns for step in make_plan(verdict).steps if hasattr(step, "columns")]
    assert [columns.get("CustomStatus") for columns in written] == ['{"at": 2}']


def test_a_row_of_the_generation_before_gets_the_status_of_this_one():
    facts = replace(one("losttimer2"), replayed=Replayed(None, custom_status={"at": 2}))
    created = facts.row["CreatedTime"]
    for began, is_said in ((created - timedelta(hours=1), True), (created + timedelta(hours=1), False)):
        row = {**facts.row, "ExecutionId": "another", "CreatedTime": began}
        verdict = rules.judge(replace(facts, instance=replace(facts.instance, row=row)))
        assert ("custom-status-behind" in {x.name for x in verdict.findings}) is is_said


def with_rows(facts, *events):
    rows = list(facts.instance.history)
    for event in events:
        event = {"IsPlayed": False, "Timestamp": m.timestamp(cuts.NOW), **event}
        rows.append(to_entity(event, facts.id, row_key(len(rows)), facts.execution))
    row = {**facts.row, "RuntimeStatus": "Completed"}
    return replace(facts, instance=replace(facts.instance, history=tuple(rows), row=row))


def test_what_an_ended_instance_asked_of_an_entity_that_does_not_know_is_asked_again():
    cut = next(cut for cut in cuts.cuts() if cut.name == "s5dup")
    caller, entity = (cuts.facts(cut)[name] for name in ("s5dup", "@counter@ks5dup"))
    ended = with_rows(
        caller,
        {"EventType": m.EVENT_RAISED, "EventId": -1, "Name": request_of(caller.open_calls[0])["id"], "Input": "{}"},
        {"EventType": m.EXECUTION_COMPLETED, "EventId": 1, "OrchestrationStatus": "Completed", "Result": "1"},
    )
    behind = replace(entity, instance=replace(entity.instance, history=(), messages=(), row=None))
    verdict = rules.judge(replace(ended, related={entity.id: behind}))
    assert (verdict.rule, verdict.needs_repair) == ("ended", True)
    assert [x.lost for finding in verdict.findings for x in finding.missing] == ["request"]
    (sent,) = [step.task for step in make_plan(verdict).steps if hasattr(step, "task")]
    assert sent.instance_id == entity.id
    assert not rules.judge(replace(ended, related={entity.id: entity})).needs_repair


def entity_at(history_minutes, row_minutes, row_state):
    """An entity whose history and row were written some minutes ago, under different executions if not at once."""
    facts = cuts.facts(next(cut for cut in cuts.cuts() if cut.name == "s5dup"))["@counter@ks5dup"]
    began = [cuts.NOW - timedelta(minutes=minutes) for minutes in (history_minutes, row_minutes)]
    rows = [
        {**row, "_Timestamp": began[0]} if row.get("EventType") == "ExecutionStarted" else row
        for row in facts.instance.history
    ]
    row = {**facts.row, "CreatedTime": began[1], "ExecutionId": "another", "Input": row_state}
    return replace(facts, instance=replace(facts.instance, history=tuple(rows), row=row, messages=()))


def test_an_entity_whose_row_is_ahead_gets_its_history_from_the_row():
    facts = entity_at(9, 5, '{"exists":true,"state":"7"}')
    verdict = rules.judge(facts)
    assert (verdict.kind, verdict.rule) == ("damaged", "entity-history-behind")
    cut, written = make_plan(verdict).steps[:2]
    assert cut.position == 0 and written.events[1]["Input"] == '{"exists":true,"state":"7"}'


def test_an_entity_whose_row_is_behind_gets_its_row_from_the_history():
    facts = entity_at(5, 9, '{"exists":true,"state":"1"}')
    verdict = rules.judge(facts)
    assert verdict.rule == "entity" and verdict.needs_repair
    (step,) = make_plan(verdict).steps
    assert step.columns["Input"] == facts.start_event["Input"] and step.columns["ExecutionId"] == facts.execution


def test_a_row_ahead_of_its_history_is_said_to_hide_what_was_asked_of_entities():
    assert "work-not-in-history" in {x.name for x in rules.judge(one("c17L")).findings}


def test_a_start_over_a_finished_run_with_its_row_begins():
    facts = one("g5")
    start = message(m.EXECUTION_STARTED, "g5", facts.row_execution, Name="hello")
    assert rules.judge(with_messages(facts, start)).rule == "restart-queued"


def test_a_start_whose_payload_is_gone_is_an_error_loop():
    dead = Message(
        cuts.CONTROL,
        "1",
        "",
        "",
        0,
        cuts.NOW,
        cuts.NOW,
        None,
        "its blob is missing",
        "x/message-1-ExecutionStarted.json.gz",
    )
    verdict = rules.judge(with_messages(one("loststart"), dead))
    assert (verdict.outcome, verdict.rule) == ("error-loop", "blob-of-start-missing")


def test_a_message_that_was_dequeued_ten_times_is_poison():
    facts = one("c12E")
    (timer,) = facts.instance.messages
    facts = replace(facts, instance=replace(facts.instance, messages=(replace(timer, dequeue_count=11),)))
    assert "poison" in {finding.name for finding in rules.judge(facts).findings}


def test_a_message_in_another_control_queue_than_its_instances_is_named():
    facts = one("c16E")
    (event,) = facts.instance.messages
    facts = replace(facts, instance=replace(facts.instance, messages=(replace(event, is_misplaced=True),)))
    assert "wrong-queue" in {finding.name for finding in rules.judge(facts).findings}


def test_a_race_that_moves_without_its_lost_timer_goes_on_but_the_timer_is_missed():
    facts = one("c17Lev")
    running = replace(facts, instance=replace(facts.instance, row={**facts.row, "RuntimeStatus": "Running"}))
    verdict = rules.judge(replace(running, replayed=load_app(GOLDEN).replay(running)))
    assert (verdict.kind, verdict.rule, verdict.outcome) == ("lost", "partly-lost", "fine")


def test_a_row_that_holds_the_result_is_believed_even_when_something_queued_would_go_another_way():
    facts = one("c17L")
    fired = message(m.TIMER_FIRED, "c17L", facts.execution, TimerId=1, FireAt="2026-11-21T09:49:49Z")
    verdict = rules.judge(with_messages(facts, fired))
    assert (verdict.kind, verdict.rule, verdict.needs_repair) == ("completed", "result-in-row", True)


def test_the_table_in_the_documentation_is_the_one_that_these_tests_make():
    page = (GOLDEN.parents[2] / "docs" / "recovery.md").read_text(encoding="utf-8")
    shown = page.split("<!-- agreement: begin -->\n")[1].split("\n<!-- agreement: end -->")[0]
    assert shown == agreement.table()


def test_an_operation_that_an_entity_has_done_and_forgotten_is_asked_for_again():
    found = cuts.facts(
        next(cut for cut in cuts.cuts() if cut.title == "entity did the work, request and reply both still queued")
    )
    caller, entity = found["base-call"], found["@counter@base-key"]
    reply = next(x for x in caller.event_messages)
    row = dict(caller.instance.history[-1], RowKey="0000000000000004", EventType="EventRaised")
    row |= {"Name": reply.task.event["Name"], "Input": reply.task.event["Input"]}
    started = dict(entity.instance.history[1], Input='{"exists": true, "state": "0", "sorter": {}}')
    behind = replace(
        entity, instance=replace(entity.instance, history=(entity.instance.history[0], started), messages=())
    )
    answered = replace(caller.instance, history=(*caller.instance.history, row), messages=())
    verdict = rules.judge(replace(caller, instance=answered, related={entity.id: behind}))
    (finding,) = [finding for finding in verdict.findings if finding.name == "operations-lost"]
    assert verdict.outcome == "wrong-result" and verdict.needs_repair
    assert [x.leaf.number for x in finding.missing] == [0]
    done = replace(
        caller, instance=answered, related={entity.id: replace(entity, instance=replace(entity.instance, messages=()))}
    )
    assert not rules.judge(done).findings


def suspended(facts):
    """The same, suspended by its history, and its row says so."""
    last = facts.instance.history[-1]
    more = {**last, "RowKey": row_key(len(facts.instance.history)), "EventType": "ExecutionSuspended", "Reason": "why"}
    ended = {**last, "RowKey": row_key(len(facts.instance.history) + 1)}
    row = {**facts.row, "RuntimeStatus": "Suspended"}
    return replace(
        facts, instance=replace(facts.instance, history=(*facts.instance.history, more, ended), row=row), replayed=None
    )


def test_what_a_suspended_instance_needs_later_is_sent_while_it_is_suspended():
    verdict = rules.judge(suspended(one("losttimer2")))
    assert (verdict.kind, verdict.rule) == ("stuck", "awaited-lost") and "suspended" in verdict.because
    assert [step.task.kind for step in make_plan(verdict).steps if hasattr(step, "task")] == [m.TIMER_FIRED]
    whole = rules.judge(suspended(one("c16E")))
    assert (whole.kind, whole.rule, whole.needs_repair) == ("waiting", "suspended", False)


def test_a_suspended_history_whose_row_says_running_gets_its_status_so_that_somebody_resumes_it():
    facts = suspended(one("c16E"))
    running = {**facts.row, "RuntimeStatus": "Running"}
    verdict = rules.judge(replace(facts, instance=replace(facts.instance, row=running)))
    assert [x.name for x in verdict.findings] == ["row-running"]
    (step,) = make_plan(verdict).steps
    assert step.columns["RuntimeStatus"] == "Suspended"


def test_an_instance_that_was_suspended_and_begins_anew_is_suspended_again():
    lost = one("losthist")
    row = {**lost.row, "RuntimeStatus": "Suspended"}
    plan = make_plan(rules.judge(replace(lost, instance=replace(lost.instance, row=row))))
    assert [step.task.kind for step in plan.steps if hasattr(step, "task")] == [
        m.EXECUTION_STARTED, m.EXECUTION_SUSPENDED,
    ]  # fmt: skip


def test_a_history_is_not_given_up_while_its_start_may_be_among_messages_that_were_not_seen():
    verdict = rules.judge(replace(one("losthist"), unseen={"control": 1}))
    assert (verdict.kind, verdict.rule) == ("undecided", "history-lost")


def test_what_somebody_asked_of_an_instance_that_begins_anew_is_asked_again_behind_its_start():
    lost = one("losthist")
    row = {**lost.row, "RuntimeStatus": "Suspended"}
    resumed = replace(lost, instance=replace(lost.instance, row=row))
    for facts, kind in (
        (with_messages(lost, message(m.EXECUTION_SUSPENDED, "losthist")), m.EXECUTION_SUSPENDED),
        (with_messages(resumed, message(m.EXECUTION_RESUMED, "losthist")), m.EXECUTION_RESUMED),
    ):
        steps = make_plan(rules.judge(facts)).steps
        assert [step.task.kind for step in steps if hasattr(step, "task")] == [m.EXECUTION_STARTED, kind]
        assert isinstance(steps[-1], Delete) and steps[-1].message.task.kind == kind


def test_an_instance_without_history_that_somebody_asked_to_end_is_ended_and_the_request_goes_last():
    ask = message(m.EXECUTION_TERMINATED, "losthist", Input="enough")
    steps = make_plan(rules.judge(with_messages(one("losthist"), ask))).steps
    assert not [step for step in steps if hasattr(step, "task")]
    written, last = steps[-2:]
    assert (written.columns["RuntimeStatus"], written.columns["Output"]) == ("Terminated", "enough")
    assert isinstance(last, Delete) and last.message == ask
