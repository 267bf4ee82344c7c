"""What the hub holds of accepted events and signals is spoken for once; what it cannot tell is said."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from recovery.facts import Facts
from recovery.journal import Entry, as_sent
from recovery.matching import NAMESAKE, match_events, match_signals
from recovery.observed import Instance, Message
from recovery.passes import Passes
from taskhub import entities
from taskhub import messages as m
from taskhub.history import to_entity
from taskhub.layout import row_key
from taskhub.messages import TaskMessage
from tests.recovery import cuts

ACCEPTED = cuts.NOW - timedelta(minutes=10)


def entry(kind, instance_id, name, data, at=ACCEPTED):
    return Entry(kind, instance_id, name, as_sent(data), at.isoformat(), 1)


def history(instance_id, *events):
    rows = []
    for event in events:
        rows.append(to_entity({"IsPlayed": False, **event}, instance_id, row_key(len(rows)), "x1"))
    return tuple(rows)


def started(instance_id, at, number=None):
    parent = {"InstanceId": "top", "ExecutionId": "x1", "Name": "top", "TaskScheduleId": number}
    return m.execution_started(at, instance_id, "x1", "work", None, "", None, None if number is None else parent)


def running(instance_id, at, number=None):
    rows = history(instance_id, started(instance_id, at, number))
    return Facts(Instance(instance_id, {"RuntimeStatus": "Running"}, rows))


def queued(entity_id, operation, data, at):
    event = m.event(m.EVENT_RAISED, at, Name="op", Input=entities.signal(operation, as_sent(data)))
    return Message("control", f"{data}{at}", "", "", 0, at, at, TaskMessage(event, entity_id, None))


def test_an_event_for_an_instance_that_nothing_is_known_of_waits_until_it_has_begun():
    (outcome,) = match_events([entry("event", "top-kid", "go", 1)], Facts(Instance("top-kid")))
    assert outcome.state == "uncertain" and "once that has begun" in outcome.why


def test_an_event_for_a_child_that_its_parent_has_begun_anew_is_raised_again():
    later = ACCEPTED + timedelta(minutes=5)
    created = {**m.event(m.SUB_CREATED, later, 3, Name="work", InstanceId="top-kid")}
    top = Facts(Instance("top", None, history("top", started("top", ACCEPTED), created)))
    kid = replace(running("top-kid", later, 3), related={"top": top})
    assert [x.state for x in match_events([entry("event", "top-kid", "go", 1)], kid)] == ["raised"]
    unrelated = replace(kid, related={})  # then an earlier generation may have used it
    assert [x.state for x in match_events([entry("event", "top-kid", "go", 1)], unrelated)] == ["there"]


def test_a_generation_that_a_host_began_before_the_journal_was_compared_proves_nothing():
    repaired, generation = ACCEPTED + timedelta(minutes=5), ACCEPTED + timedelta(minutes=6)
    early, late = repaired + timedelta(seconds=1), generation + timedelta(minutes=1)
    event = entry("event", "a", "go", 1)
    for passes, state in (
        (Passes(), "there"), (Passes(repaired), "uncertain"), (Passes(repaired, early), "there"),
        (Passes(repaired, late), "uncertain"), (Passes(generation + timedelta(minutes=1)), "there"),
    ):  # fmt: skip
        (outcome,) = match_events([event], running("a", generation), passes=passes)
        assert outcome.state == state, passes
    (outcome,) = match_events([event], running("a", generation), raise_uncertain=True, passes=Passes(repaired))
    assert outcome.state == "raised"


def test_raised_events_of_one_name_are_named_for_the_sdk_confuses_those_that_come_early():
    entries = [entry("event", "a", "go", 1), entry("event", "a", "GO", 2), entry("event", "a", "other", 3)]
    outcomes = match_events(entries, running("a", ACCEPTED - timedelta(minutes=1)))
    assert [x.state for x in outcomes] == ["raised"] * 3
    assert [NAMESAKE in x.why for x in outcomes] == [True, True, False]


def entity(*messages):
    turn = cuts.NOW - timedelta(minutes=5)
    return Facts(Instance("@c@k", {}, history("@c@k", started("@c@k", turn)), messages=messages))


def test_a_queued_signal_that_came_after_the_entitys_last_turn_is_there():
    facts = entity(queued("@c@k", "add", 1, cuts.NOW))
    assert [x.state for x in match_signals([entry("signal", "@c@k", "add", 1)], facts)] == ["there"]


def test_a_queued_signal_from_before_the_entitys_last_turn_may_be_done_twice_and_is_named():
    facts = entity(queued("@c@k", "add", 1, ACCEPTED))
    (outcome,) = match_signals([entry("signal", "@c@k", "add", 1)], facts)
    assert outcome.state == "uncertain" and "done again" in outcome.why


def test_a_queued_signal_speaks_for_one_entry_of_its_operation_and_data_only():
    facts = entity(queued("@c@k", "add", 1, cuts.NOW))
    entries = [entry("signal", "@c@k", name, data) for name, data in (("add", 1), ("add", 1), ("sub", 1), ("add", 11))]
    assert [x.state for x in match_signals(entries, facts)] == ["there", "reported", "reported", "reported"]


def test_a_call_of_an_orchestration_is_no_clients_signal():
    message = queued("@c@k", "add", 1, cuts.NOW)
    request = {**json.loads(message.task.event["Input"]), "parent": "top"}
    call = replace(message, task=replace(message.task, event={**message.task.event, "Input": json.dumps(request)}))
    assert [x.state for x in match_signals([entry("signal", "@c@k", "add", 1)], entity(call))] == ["reported"]
