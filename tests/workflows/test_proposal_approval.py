"""The proposal: who must approve, reminders, escalation, replacement, withdrawal, and decisions that come too late."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.workflows.conftest import Outside
from tests.workflows.driver import World
from tests.workflows.endpoints import Answer, call
from workflows import people, proposal_approval
from workflows.responses import InvalidInput

DAYS = 86_400
PEOPLE = {"ada": "grace", "grace": "edsger", "edsger": "alan", "alan": None, "linus": "edsger"}
PROPOSAL = {"title": "Oven", "author": "ada", "amount": 500}


@pytest.fixture(autouse=True)
def directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIRECTORY", json.dumps(PEOPLE))


@pytest.fixture(params=["buffered", "as azure", "twice"])
def hub(request: pytest.FixtureRequest, outside: Outside) -> World:
    return World(as_azure=request.param == "as azure", twice=request.param == "twice")


def submit(hub: World, **changes: Any) -> None:
    hub.start("proposal_approval", proposal_approval.check({**PROPOSAL, **changes}), "P-1")
    hub.settle()


def decide(hub: World, by: str, decision: str = "approve", **more: Any) -> Answer:
    data = {"by": by, "decision": decision, **more}
    answer = call(hub, "decide_proposal", data, route={"id": "P-1"})
    hub.settle()
    return answer


def output(hub: World) -> dict[str, Any]:
    assert hub.instances["P-1"].status == "Completed", hub.instances["P-1"].output
    return hub.instances["P-1"].output


def trail(hub: World) -> list[tuple[str, str]]:
    return [(entry["what"], entry["who"]) for entry in output(hub)["trail"]]


def mails(outside: Outside) -> list[tuple[str, str]]:
    return [(mail["to"], mail["subject"].split(":")[0]) for mail in outside.world.state["messages"]]


def test_a_small_amount_needs_the_manager_alone_and_the_author_is_told(hub: World, outside: Outside) -> None:
    submit(hub)
    assert hub.instances["P-1"].custom_status["reviewer"] == "grace"
    assert decide(hub, "grace", comment="fine").status == 202
    assert (output(hub)["outcome"], output(hub)["decided_by"]) == ("approved", "grace")
    assert output(hub)["trail"][1]["comment"] == "fine"
    assert mails(outside) == [("grace", "Please review"), ("ada", "Your proposal is approved")]


@pytest.mark.parametrize("amount, approvers", [(1000, 1), (1000.01, 2), (50_000, 2), (50_001, 3)])
def test_the_amount_decides_how_many_levels_must_approve(amount: float, approvers: int, outside: Outside) -> None:
    hub = World()
    submit(hub, amount=amount)
    for person in ("grace", "edsger", "alan")[:approvers]:
        assert hub.instances["P-1"].status == "Running"
        decide(hub, person)
    assert output(hub)["outcome"] == "approved"


def test_the_top_of_the_directory_decides_alone(outside: Outside) -> None:
    hub = World()
    submit(hub, author="edsger", amount=1_000_000)
    decide(hub, "alan")
    assert output(hub)["outcome"] == "approved"


def test_one_rejection_ends_it(hub: World, outside: Outside) -> None:
    submit(hub, amount=5000)
    decide(hub, "grace")
    decide(hub, "edsger", "reject", comment="too dear")
    assert (output(hub)["outcome"], output(hub)["decided_by"]) == ("rejected", "edsger")
    assert mails(outside)[-1] == ("ada", "Your proposal is rejected")


def test_a_reviewer_is_reminded_once(hub: World, outside: Outside) -> None:
    submit(hub)
    hub.pass_time(timedelta(days=4))
    assert mails(outside) == [("grace", "Please review"), ("grace", "Still waiting for your review")]
    decide(hub, "grace")
    assert ("reminded", "grace") in trail(hub)


def test_after_the_limit_the_manager_s_manager_takes_over(hub: World) -> None:
    submit(hub)
    hub.pass_time(timedelta(days=5, seconds=1))
    assert hub.instances["P-1"].custom_status["reviewer"] == "edsger"
    assert decide(hub, "grace").status == 409
    decide(hub, "edsger")
    assert trail(hub)[-1] == ("approve", "edsger") and ("timeout", "grace") in trail(hub)


def test_a_limit_longer_than_the_longest_timer_is_kept(hub: World) -> None:
    submit(hub, limit_seconds=20 * DAYS, remind_after_seconds=12 * DAYS)
    hub.pass_time(timedelta(days=19))
    assert hub.instances["P-1"].custom_status["reviewer"] == "grace"
    hub.pass_time(timedelta(days=2))
    assert hub.instances["P-1"].custom_status["reviewer"] == "edsger"


def test_at_the_top_it_is_rejected_by_timeout(hub: World, outside: Outside) -> None:
    submit(hub)
    hub.pass_time(timedelta(days=20))
    assert (output(hub)["outcome"], output(hub)["decided_by"]) == ("timed_out", "nobody in time")
    assert mails(outside)[-1] == ("ada", "Your proposal is timed out")


def test_a_reviewer_can_be_replaced_and_the_limit_begins_again(hub: World, outside: Outside) -> None:
    submit(hub)
    hub.pass_time(timedelta(days=4))
    answer = call(hub, "reassign_proposal", {"by": "grace", "to": "linus"}, route={"id": "P-1"})
    assert answer.status == 202
    hub.pass_time(timedelta(days=1, hours=1))
    assert hub.instances["P-1"].custom_status["reviewer"] == "linus"
    assert decide(hub, "grace").status == 409 and decide(hub, "linus").status == 202
    assert output(hub)["decided_by"] == "linus"


def test_a_review_goes_to_nobody_outside_the_directory_and_never_to_the_author(outside: Outside) -> None:
    hub = World()
    submit(hub)
    stranger = call(hub, "reassign_proposal", {"by": "grace", "to": "eve"}, route={"id": "P-1"})
    author = call(hub, "reassign_proposal", {"by": "grace", "to": "ada"}, route={"id": "P-1"})
    assert (stranger.status, stranger.fields(), author.status) == (400, ["to"], 409)
    for to in ("eve", "ada", None):
        hub.raise_event("P-1", "proposal", {"kind": "reassign", "by": "grace", "to": to}, by_client=False)
    hub.settle()
    assert hub.instances["P-1"].custom_status["reviewer"] == "grace"


def test_the_author_can_withdraw_and_nobody_else(hub: World) -> None:
    submit(hub)
    assert call(hub, "withdraw_proposal", {"by": "grace"}, route={"id": "P-1"}).status == 409
    assert call(hub, "withdraw_proposal", {"by": "ada"}, route={"id": "P-1"}).status == 202
    hub.settle()
    assert output(hub)["outcome"] == "withdrawn"


def test_a_late_decision_is_told_who_decided_and_when(hub: World) -> None:
    submit(hub)
    decide(hub, "grace")
    before = dict(output(hub))
    late = decide(hub, "grace", "reject")
    assert (late.status, late.body["outcome"], late.body["decided_by"]) == (410, "approved", "grace")
    assert late.body["decided_at"] == before["decided_at"] and output(hub) == before


def test_a_second_decision_on_a_level_that_is_done_says_who_has_it_now(hub: World) -> None:
    submit(hub, amount=5000)
    decide(hub, "grace")
    second = decide(hub, "grace", "reject")
    assert (second.status, second.body["reviewer"]) == (409, "edsger")
    assert second.body["decisions"][0]["by"] == "grace"


def test_two_decisions_at_the_same_moment_count_as_the_first(hub: World) -> None:
    submit(hub, amount=5000)
    for decision in ("approve", "reject"):
        data = {"by": "grace", "decision": decision}
        assert call(hub, "decide_proposal", data, route={"id": "P-1"}).status == 202
    hub.settle()
    decide(hub, "edsger")
    assert output(hub)["outcome"] == "approved" and ("ignored", "grace") in trail(hub)


def test_an_event_delivered_twice_counts_once(hub: World) -> None:
    submit(hub, amount=5000, author="linus")
    event = {"kind": "approve", "by": "edsger", "id": "d-1"}
    for _ in range(2):
        hub.raise_event("P-1", "proposal", event)
    hub.settle()
    assert len(hub.instances["P-1"].custom_status["decisions"]) == 1


def test_nonsense_sent_past_the_endpoint_changes_nothing(hub: World) -> None:
    submit(hub)
    odd = {"id": [], "kind": "reject"}
    for nonsense in ("approve", None, 5, {"kind": "approve"}, {"kind": "eat", "by": "grace"}, odd):
        hub.raise_event("P-1", "proposal", nonsense, by_client=False)
    hub.settle()
    decide(hub, "grace")
    assert output(hub)["outcome"] == "approved"


def test_who_cannot_be_told_can_still_decide(outside: Outside) -> None:
    hub = World()
    outside.fail("notification", "always", times=0)
    submit(hub)
    hub.pass_time(timedelta(minutes=5))
    decide(hub, "grace")
    hub.pass_time(timedelta(minutes=5))
    assert output(hub)["outcome"] == "approved" and ("not told", "grace") in trail(hub)


@pytest.mark.parametrize(
    "change, field",
    [
        ({"author": "eve"}, "author"),
        ({"author": "alan"}, "author"),
        ({"amount": -1}, "amount"),
        ({"amount": "much"}, "amount"),
        ({"title": None}, "title"),
        ({"limit_seconds": 0}, "limit_seconds"),
        ({"limit_seconds": 60, "remind_after_seconds": 61}, "remind_after_seconds"),
        ({"prio": 1}, "prio"),
    ],
)
def test_a_proposal_with_something_wrong_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        proposal_approval.check({**PROPOSAL, **change})
    assert [problem.field for problem in refused.value.problems] == [field]


@pytest.mark.parametrize("function", ["decide_proposal", "reassign_proposal", "withdraw_proposal"])
def test_an_empty_request_is_refused_and_an_unknown_proposal_is_404(function: str) -> None:
    hub = World()
    assert call(hub, function, {}, route={"id": "P-1"}).status == 400
    full = {"decide_proposal": {"by": "a", "decision": "reject"}, "reassign_proposal": {"by": "a", "to": "alan"}}
    assert call(hub, function, full.get(function, {"by": "a"}), route={"id": "P-1"}).status == 404


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ada": 5}'])
def test_a_directory_that_cannot_be_read_is_503_and_names_the_setting(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIRECTORY", text)
    answer = call(World(), "start_proposal", PROPOSAL)
    assert answer.status == 503 and "DIRECTORY" in answer.body["message"]


def test_a_directory_that_goes_round_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIRECTORY", '{"a": "b", "b": "c", "c": "b"}')
    assert people.managers("a") == ["b", "c"]
