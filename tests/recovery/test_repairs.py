"""After the repair of a recorded cut a second look is clean, and a host finishes the instance with its right result."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from recovery import repairs
from recovery.examination import Doctor, reset_app_lease
from recovery.plans import make_plan
from recovery.proofs import settled
from recovery.repair_steps import Delete, Send
from recovery.replay import load_app
from recovery.rules import judge
from taskhub import messages as m
from taskhub.accounts import open_account
from taskhub.client import TaskHubClient
from taskhub.clock import ManualClock
from taskhub.errors import AccountUnreachable
from taskhub.hub import HubSettings, TaskHub
from tests.recovery import cuts, standby

SHOP = ["done pay", "timeout"]
HELLO = ["done Tokyo", "done Seattle", "done London"]
PARENT = ["parent", "done kid"]
# What each instance must end with, and how often its activities run in the new region; None: it waits for an event.
EXPECTED = {
    "lostwork": (SHOP, 1), "c5L": (SHOP, 1), "c7E": (SHOP, 1), "c4L": (SHOP, 1), "c9L": (SHOP, 0), "twowork": (SHOP, 1),
    "losttimer": (SHOP, 0), "losttimer2": ("slept", 0), "c12E": (SHOP, 1), "c16L": (["one", "two"], 0),
    "c16E": (["one", "two"], 0), "loststart": (SHOP, 1), "c2E": (SHOP, 1), "c2Eev": (["one", "two"], 0),
    "startev": (["one", "two"], 0), "evonly": (["one", "two"], 0), "losthist": (SHOP, 1), "losthistW": (SHOP, 1),
    "losthistR": (SHOP, 1), "losthistS": (SHOP, 1), "c6Enorow": (SHOP, 1), "pendrow": (SHOP, 0), "nosent": (SHOP, 0),
    "nosentS": (SHOP, 1), "tailcut": (SHOP, 0), "tailcutT": (SHOP, 0), "hole": (SHOP, 1), "hole2": (SHOP, 0),
    "headcut": (SHOP, 1), "c17E": (["done pay", "event", "yes"], 0), "c17Emsg": (["done pay", "event", "yes"], 0),
    "c17L": (["done pay", "event", "yes"], 0), "c17Lev": (["done pay", "event", "yes"], 0), "wrongx": (HELLO, 3),
    "tailnosent": (SHOP, 0), "tailcut2": (SHOP, 0), "nosentLost": (SHOP, 1), "holeT": (SHOP, 0), "onlytail": (SHOP, 1),
    "suspLost": (["one", "two"], 0), "s1": (PARENT, 1), "s2": (PARENT, 1), "s2b": (PARENT, 1), "s3": (PARENT, 0),
    "s4": (PARENT, 1), "s6": ("done kid", 1), "g1w": (2, 2), "g1r": (2, 2), "g1none": (2, 2), "g1ok": (2, 2),
    "g2": (2, 2), "g4": (HELLO, 3), "g5": (HELLO, 3), "m1a": (120, 120), "m1b": (120, 120), "m1c": (120, 120),
}  # fmt: skip
EVENTS = {  # events that the instance still needs from outside after the cut
    "c16L": ["two"], "c16E": ["two"], "c2Eev": ["two"], "startev": ["two"], "evonly": ["two"],
    "suspLost": ["one", "two"],
}  # fmt: skip
WITH_CALLS = {"s5req", "s5rep", "s5dup", "s5state", "s5norow", "s5early"}


@pytest.fixture(scope="module")
def app():
    return load_app(standby.GOLDEN)


@asynccontextmanager
async def poured(cut, encoding="base64"):
    clock = ManualClock(cuts.NOW)
    account = await open_account(":memory:", clock)
    hub = TaskHub(account, cuts.settings(), clock)
    await cuts.pour(cut, hub, encoding)
    try:
        yield hub
    finally:
        await account.close()


def named(name):
    return next(cut for cut in cuts.cuts() if cut.name == name)


@pytest.mark.parametrize("cut", cuts.cuts(), ids=lambda cut: cut.name)
async def test_after_the_repair_a_second_look_is_clean(cut, app):
    async with poured(cut) as hub:
        doctor = Doctor(hub, app.replay)
        repaired = await doctor.repair(await doctor.examine())
        assert repaired.is_clean, repaired.left
        again = await doctor.repair(await doctor.examine())
        assert list(again.plans) == []


@pytest.mark.filterwarnings("ignore:Potential duplicate Task completion")
@pytest.mark.parametrize("name", EXPECTED)
def test_after_the_repair_a_host_finishes_with_the_right_result_and_runs_nothing_twice(name, app):
    cut = named(name)

    async def prepare(hub, clock):
        await cuts.pour(cut, hub)
        doctor = Doctor(hub, app.replay)
        await doctor.repair(await doctor.examine())

    instance = min(cut.ids, key=len)
    events = [(instance, "Approval", data) for data in EVENTS.get(name, [])]
    found = standby.take_over(prepare, cut.ids, events)
    output, runs = EXPECTED[name]
    assert (found.state(instance), found.output(instance)) == ("Completed", output)
    assert found.runs["work"] == runs
    assert found.left == 0


def test_every_recorded_instance_that_can_end_is_in_the_table():
    others = {"lostevent", "c23", "c23row", "c22", "failrew", "failrow", "rowfail"}
    assert {cut.name for cut in cuts.cuts()} - set(EXPECTED) - WITH_CALLS == others


@pytest.mark.parametrize("name", ["c23row", "c22"])
def test_a_terminate_request_that_somebody_made_is_honoured(name, app):
    async def prepare(hub, clock):
        await cuts.pour(named(name), hub)
        doctor = Doctor(hub, app.replay)
        await doctor.repair(await doctor.examine())

    assert standby.take_over(prepare, [name]).state(name) == "Terminated"


@pytest.mark.parametrize("name", ["lostwork", "s3", "losthist", "hole", "g1w", "evonly"])
async def test_a_repair_that_is_killed_after_any_step_converges_when_it_is_begun_again(name, app, monkeypatch):
    killed_at = 0
    while True:
        async with poured(named(name)) as hub:
            doctor = Doctor(hub, app.replay)
            if not await _killed_after(killed_at, doctor, monkeypatch):
                break
            repaired = await doctor.repair(await doctor.examine())
            assert repaired.is_clean, (killed_at, repaired.left)
            assert await _starts_and_work(hub) <= 1
        killed_at += 1
    assert killed_at >= 1


async def test_on_azurite_a_repair_that_is_killed_after_any_step_leaves_each_event_once(azurite, app, monkeypatch):
    account = await open_account(azurite)
    try:
        killed_at, was_killed = 0, True
        while was_killed:
            hub = TaskHub(account, HubSettings(f"Killed{killed_at}", 1))
            await hub.create()
            client, (control,) = TaskHubClient(hub), hub.names.control_queues
            await client.start("waiter2", "i", "null")
            for message in await account.queues.get(control, 1, timedelta(minutes=1)):
                await account.queues.delete(control, message)
            await hub.merge_row("i", {"RuntimeStatus": "Running"})
            for data in ("1", "2"):
                await client.raise_event("i", "Approval", data)
            was_killed = await _killed_after(killed_at, Doctor(hub, app.replay), monkeypatch)
            doctor = Doctor(hub, app.replay)
            assert (await doctor.repair(await doctor.examine())).is_clean
            tasks = [await hub.read(message) for message in await account.queues.peek(control, 32)]
            assert sorted(str(x.event["Input"]) for x in tasks if x.kind == m.EVENT_RAISED) == ["1", "2"]
            assert sum(x.kind == m.EXECUTION_STARTED for x in tasks) == 1
            killed_at += 1
        assert killed_at >= 6
    finally:
        await account.close()


async def _killed_after(steps, doctor, monkeypatch):
    """Repairs until `steps` steps are done; False when it was not killed."""
    done = 0

    def stopping(original):
        async def step(*arguments):
            nonlocal done
            if done == steps:
                raise AccountUnreachable("killed")
            done += 1
            await original(*arguments)

        return step

    with monkeypatch.context() as patch:
        for kind, original in dict(repairs._DO).items():
            patch.setitem(repairs._DO, kind, stopping(original))
        try:
            await doctor.repair(await doctor.examine())
        except AccountUnreachable:
            return True
    return False


async def _starts_and_work(hub):
    count = 0
    for queue in (*hub.names.control_queues, hub.names.workitems):
        for message in await hub.account.queues.peek(queue):
            count += (await hub.read(message)).kind in (0, 4)
    return count


@pytest.mark.filterwarnings("ignore:Potential duplicate Task completion")
@pytest.mark.parametrize("number", range(0, 879, 9))
def test_a_repaired_prefix_state_completes_and_the_activity_runs_at_most_once(number, app):
    state = cuts.prefix_states()[number]
    if not (
        state.cut.rows
        or state.cut.histories
        or any(x[2]["TaskMessage"]["Event"]["EventType"] == 0 for x in state.cut.queued)
    ):
        return  # nothing tells what it was: only a journal can start it
    clean = []

    async def prepare(hub, clock):
        await cuts.pour(state.cut, hub)
        doctor = Doctor(hub, app.replay)
        clean.append((await doctor.repair(await doctor.examine())).left)

    found = standby.take_over(prepare, ["cut-0000"])
    assert clean == [{}]
    assert found.state("cut-0000") == "Completed"
    assert found.output("cut-0000")[0] == "done pay"
    assert found.runs["work"] <= 1 and found.left == 0


@pytest.mark.parametrize("cut", cuts.cuts(), ids=lambda cut: cut.name)
async def test_no_repair_sends_work_whose_result_is_recorded(cut, app):
    for facts in cuts.facts(cut).values():
        for step in make_plan(judge(facts)).steps:
            if isinstance(step, Send) and step.task.kind == 4:
                assert (4, step.task.event["EventId"]) not in facts.answered


async def test_a_plan_says_which_activity_may_run_twice_before_anything_is_done(app):
    async with poured(named("lostwork")) as hub:
        doctor = Doctor(hub, app.replay)
        found = await doctor.examine()
        plans = [plan async for _, plan in doctor.plans(found)]
        assert plans[0].may_repeat == ("activity work (number 0)",)
        assert (await doctor.examine()).broken == 1


async def test_without_the_code_and_without_stored_inputs_a_lost_work_item_is_left_and_said():
    async with poured(named("lostwork")) as hub:
        doctor = Doctor(hub)
        repaired = await doctor.repair(await doctor.examine())
        assert not repaired.is_clean
        assert "give --app" in repaired.left["lostwork"]


async def test_every_repair_leaves_a_record_with_what_it_removed(app):
    async with poured(named("c16L")) as hub:
        doctor = Doctor(hub, app.replay)
        repaired = await doctor.repair(await doctor.examine())
        container = f"{hub.names.hub.lower()}-recovery"
        names = [blob.name async for blob in hub.account.blobs.list(container)]
        assert f"{container}/{names[0]}".startswith(repaired.audit)
        record = json.loads(await hub.account.blobs.get(container, names[0]))
        assert record["rule"] == "event-twice"
        assert "RXZlbnRSYWlzZWQ" in record["removedMessages"][0]["text"] or record["removedMessages"][0]["text"]
        assert record["done"]


async def test_an_entitys_answer_that_the_operator_knows_is_given_instead_of_asking_again():
    cut = named("s5rep")
    async with poured(cut) as hub:
        doctor = Doctor(hub, replies={"s5rep": "5"})
        repaired = await doctor.repair(await doctor.examine())
        assert repaired.is_clean
        (plan,) = repaired.plans
        assert plan.may_repeat == ()
        assert json.loads(plan.steps[0].task.event["Input"]) == {"result": "5"}


async def test_a_lost_answer_is_asked_for_again_under_a_later_time_and_that_is_said():
    async with poured(named("s5rep")) as hub:
        doctor = Doctor(hub)
        repaired = await doctor.repair(await doctor.examine())
        (plan,) = repaired.plans
        request = json.loads(plan.steps[0].task.event["Input"])
        assert request["Timestamp"] > request["Predecessor"]
        assert "operation 'add'" in plan.may_repeat[0]


async def test_the_repaired_messages_are_written_as_the_hub_writes_them(app):
    for encoding, begins in (("text", "{"), ("base64", "eyI")):
        async with poured(named("c12E"), encoding) as hub:
            doctor = Doctor(hub, app.replay)
            await doctor.repair(await doctor.examine())
            (message,) = await hub.account.queues.peek(hub.names.workitems)
            assert message.text.startswith(begins)


async def test_a_leftover_of_a_path_that_is_certain_is_kept_and_of_another_is_removed(app):
    states = {state.counts: state for state in cuts.prefix_states()}
    certain = states[6, 3, 1, 2]  # the activity's result is queued and so is the timer that follows from it
    (facts,) = cuts.facts(certain.cut).values()
    facts = replace(facts, replayed=app.replay(facts))
    plan = make_plan(settled(judge(facts), app.replay))
    assert not [step for step in plan.steps if isinstance(step, Delete)]
    lost = states[7, 3, 1, 2]  # the result is gone: the timer is of a path that need not come again
    (facts,) = cuts.facts(lost.cut).values()
    facts = replace(facts, replayed=app.replay(facts))
    plan = make_plan(settled(judge(facts), app.replay))
    assert [step.message.describe() for step in plan.steps if isinstance(step, Delete)] == ["TimerFired#1"]


async def test_a_swap_of_the_app_lease_that_nobody_can_finish_is_cleared():
    async with poured(named("c16E")) as hub:
        names = hub.names
        assert not await reset_app_lease(hub)
        await hub.account.blobs.put(names.app_lease, names.app_lease_info, b'{"OwnerId":"a","DesiredSwapId":"b"}')
        assert await reset_app_lease(hub)
        assert await hub.account.blobs.get(names.app_lease, names.app_lease_info) == b"{}"


ENTITY_CUTS = [cut for cut in cuts.cuts() if cut.name in WITH_CALLS]
# The caller adds 5 to a counter that holds nothing; it ends with what the counter then holds.
APPLIED_TWICE = {  # the answer is in no part of the hub, or the caller begins anew, as the engine does
    "entity did the work; reply lost", "entity did the work, reply lost",
    "entity did the work; its request is still queued (delete not replicated)",
    "entity History lost, row there; request queued", "entity History there, row lost; request queued",
    "reply queued, caller's History missing, caller's start redelivered",
}  # fmt: skip


def finished(cut, app, replies):
    """Repairs an entity's cut and lets a host work: what the caller ended with, the state, and what was said before."""
    said = []

    async def prepare(hub, clock):
        await cuts.pour(cut, hub)
        doctor = Doctor(hub, app.replay, replies=replies)
        repaired = await doctor.repair(await doctor.examine())
        assert repaired.is_clean, repaired.left
        said.extend(text for plan in repaired.plans for text in plan.may_repeat)

    caller = next(name for name in cut.ids if not name.startswith("@"))
    entity = next((name for name in cut.ids if name.startswith("@")), "@counter@" + cut.name)
    found = standby.take_over(prepare, [caller, entity])
    assert (found.state(caller), found.left, found.runs) == ("Completed", 0, {})
    stored = found.status[entity]
    return found.output(caller), json.loads(json.loads(stored.input)["state"]) if stored else None, said


@pytest.mark.parametrize("cut", ENTITY_CUTS, ids=lambda cut: f"{cut.name}: {cut.title}")
def test_after_the_repair_of_an_entitys_cut_its_caller_ends_and_what_is_done_twice_was_said_before(cut, app):
    output, state, said = finished(cut, app, {})
    twice = cut.title in APPLIED_TWICE
    assert output == (10 if twice else 5)
    assert state in (output, None)
    assert bool(said) == twice


@pytest.mark.parametrize(
    "cut", [x for x in ENTITY_CUTS if x.title in APPLIED_TWICE and x.name != "s5early"], ids=lambda cut: cut.title
)
def test_with_the_answer_that_the_operator_knows_nothing_is_applied_twice(cut, app):
    caller = next(name for name in cut.ids if not name.startswith("@"))
    assert finished(cut, app, {caller: "5"}) == (5, 5, [])
