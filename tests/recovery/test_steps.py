"""Whatever fails and whenever a command is killed: never both apps, never a start before the move, and it converges."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recovery import failback, failover
from recovery import operator_errors as errors
from recovery.arm_fake import Killed, fault_names
from recovery.azure_drill import AzureExecutor
from recovery.drill import PLANNED_FAILOVER, UNPLANNED_FAILOVER, Drill, run_drill
from recovery.failover import Request
from recovery.operator_state import Begun
from tests.recovery.practice import PLANNED, UNPLANNED, Practice

REQUESTS = [PLANNED, UNPLANNED, Request("failover", "standby", planned=False, fence=True)]
ANSWERED = [name for name in fault_names() if not name.startswith("kill")]


def agree(request: Request) -> Request:
    return Request(**{**request.__dict__, "yes": True})


def run_to_the_end(practice: Practice, request: Request, tries: int = 30) -> None:
    """Types the command again after every kill and every error, as its messages say."""
    for _ in range(tries):
        try:
            if practice.state().begun is None:
                failover.run(request, practice.session())
            failover.run(agree(request), practice.session())
            return
        except (Killed, errors.OperatorError) as problem:
            if "already northeurope" in str(problem):
                return
    raise AssertionError("the command did not converge")


def requests_of(request: Request) -> int:
    with tempfile.TemporaryDirectory() as folder:
        practice = Practice(Path(folder))
        practice.fail_over(request)
        return len(practice.azure.calls)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.text)
@pytest.mark.parametrize("moment", ["kill before", "kill after"])
def test_killed_at_any_request_and_started_again_it_ends_where_it_should(request_: Request, moment: str) -> None:
    for number in range(requests_of(request_)):
        with tempfile.TemporaryDirectory() as folder:
            practice = Practice(Path(folder))
            practice.azure.faults[number] = moment
            run_to_the_end(practice, request_)
            assert practice.azure.violations == [], f"killed at request {number}"
            assert practice.azure.running() == ["func-neu-fake"], f"killed at request {number}"
            assert len([c for c in practice.changing_calls() if "/failover" in c]) <= 2
            holder = practice.session().fence.holder()
            assert holder is not None and (holder.region, holder.number) == ("northeurope", 1)


@pytest.mark.parametrize("fault", ANSWERED)
def test_one_bad_answer_at_any_request_does_no_harm(fault: str) -> None:
    for number in range(requests_of(PLANNED)):
        with tempfile.TemporaryDirectory() as folder:
            practice = Practice(Path(folder))
            practice.azure.faults[number] = fault
            run_to_the_end(practice, PLANNED)
            assert practice.azure.violations == []
            assert practice.verdict() == "failed over, protected", f"{fault} at request {number}"


FAULTS = st.dictionaries(st.integers(0, 120), st.sampled_from(list(fault_names())), max_size=12)


@settings(max_examples=50, deadline=None)
@given(faults=FAULTS, request_=st.sampled_from(REQUESTS))
def test_any_number_of_faults_and_kills_ends_with_the_standby_alone_at_work(
    faults: dict[int, str], request_: Request
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        practice = Practice(Path(folder))
        practice.azure.faults = dict(faults)
        run_to_the_end(practice, request_)
        assert practice.azure.violations == []
        assert practice.azure.running() == ["func-neu-fake"]
        assert practice.world.primary == "northeurope"


MOVES = st.lists(
    st.sampled_from(
        [
            "planned",
            "unplanned",
            "fenced",
            "failback",
            "failback unplanned",
            "reprotect",
            "settle",
            "lose",
            "return",
            "wait",
        ]
    ),
    min_size=1,
    max_size=10,
)


def move(practice: Practice, name: str) -> None:
    commands = {
        "planned": lambda: practice.fail_over(PLANNED),
        "unplanned": lambda: practice.fail_over(UNPLANNED),
        "fenced": lambda: practice.fail_over(REQUESTS[2]),
        "failback": lambda: practice.fail_back(),
        "failback unplanned": lambda: practice.fail_back(planned=False),
        "reprotect": practice.reprotect,
        "settle": practice.settle,
        "lose": lambda: practice.azure.lose_region("westeurope"),
        "return": lambda: practice.azure.bring_back("westeurope"),
        "wait": lambda: practice.azure.clock.sleep(1800),
    }
    commands[name]()


@settings(max_examples=80, deadline=None)
@given(moves=MOVES, faults=FAULTS)
def test_no_sequence_of_commands_disasters_and_kills_lets_both_apps_work(
    moves: list[str], faults: dict[int, str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        practice = Practice(Path(folder))
        practice.azure.faults = dict(faults)
        for name in moves:
            try:
                move(practice, name)
            except (Killed, errors.OperatorError):
                continue
        practice.azure.settle()
        assert practice.azure.violations == []
        assert len(practice.azure.running()) <= 1


def test_a_round_trip_ends_as_it_began(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.fail_over(UNPLANNED)
    assert practice.verdict() == "failed over, unprotected"
    practice.reprotect()
    assert practice.verdict() == "failed over, protected"
    practice.fail_back()
    assert practice.verdict() == "normal"
    assert practice.values()["ACTIVE_REGION"] == "primary"
    assert practice.azure.violations == []


def test_a_failback_gives_a_fenced_region_its_rights_back_before_it_starts(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.azure.lose_region("westeurope")
    practice.fail_over(REQUESTS[2])
    practice.azure.bring_back("westeurope")
    practice.reprotect()
    practice.settle()
    practice.fail_back()
    assert practice.azure.running() == ["func-weu-fake"]
    assert len(practice.world.roles) == 6
    assert practice.values()["FENCED_REGION"] == "none"


def test_a_fence_made_elsewhere_is_given_back_by_provisioning(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.fail_over(Request("failover", "standby", planned=False, fence=True))
    practice.reprotect()
    (tmp_path / "recovery.json").unlink()
    with pytest.raises(errors.Refused, match="FENCED_REGION none"):
        practice.fail_back()
    assert practice.azure.running() == []


def test_a_failover_that_azure_ends_without_moving_the_account_starts_nothing(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.azure._finish_failover = lambda failover: setattr(practice.world, "failing_over", None)  # type: ignore[method-assign]
    with pytest.raises(errors.OperatorError, match="without moving the account"):
        practice.fail_over(PLANNED)
    assert practice.azure.running() == []


def test_an_app_that_somebody_starts_meanwhile_keeps_the_other_one_stopped(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    finish = practice.azure._finish_failover

    def finish_and_start(failover_: dict[str, object]) -> None:
        finish(failover_)
        practice.world.apps["func-weu-fake"] = "Running"

    practice.azure._finish_failover = finish_and_start  # type: ignore[method-assign]
    with pytest.raises(errors.Refused, match="func-weu-fake in westeurope is Running"):
        practice.fail_over(PLANNED)
    assert practice.azure.running() == ["func-weu-fake"]
    run_to_the_end(practice, PLANNED)
    assert practice.azure.running() == ["func-neu-fake"]


@pytest.mark.parametrize("fault", ["drop after", "kill after"])
def test_a_lost_answer_does_not_begin_a_second_failover(tmp_path: Path, fault: str) -> None:
    practice = Practice(tmp_path)
    practice.fault_at("/failover?", fault)
    run_to_the_end(practice, PLANNED)
    assert len([call for call in practice.changing_calls() if "/failover" in call]) == 1
    assert practice.verdict() == "failed over, protected"


def next_move(practice: Practice) -> None:
    """Types what `status` says: the command that has begun, or to give it up, or the one that the state asks for."""
    begun = practice.state().begun
    if begun is not None:
        try:
            go_on(practice, begun)
        except errors.OperatorError:
            practice.settle()
        return
    name = practice.verdict()
    if name in ("failed over, unprotected", "home, unprotected", "re-protecting"):
        practice.reprotect()
    elif name == "failed over, protected":
        practice.fail_back()
    elif name in ("dark", "split", "split, fenced", "crossed"):
        practice.settle()
    else:
        practice.azure.clock.sleep(60)


def go_on(practice: Practice, begun: Begun) -> None:
    commands = {
        "failover": lambda: failover.run(agree(Request("failover", "standby", begun.planned)), practice.session()),
        "failback": lambda: failback.fail_back(practice.session(), begun.planned, yes=True),
        "reprotect": practice.reprotect,
        "settle": practice.settle,
    }
    commands[begun.command]()


def go_home(practice: Practice) -> None:
    for _ in range(60):
        try:
            if practice.state().begun is None and practice.verdict() == "normal":
                return
            next_move(practice)
        except (Killed, errors.OperatorError):
            continue
    raise AssertionError(f"still {practice.verdict()}")


def drill(practice: Practice, which: Drill) -> None:
    session = practice.session()
    run_drill(which, AzureExecutor(session, which, instances=1), session.clock, practice.said.append)


STARTS = {
    "failover": lambda practice: practice.fail_over(UNPLANNED),
    "round trip": lambda practice: (practice.fail_over(PLANNED), practice.fail_back()),
    "re-protection": lambda practice: (practice.fail_over(UNPLANNED), practice.reprotect()),
    "planned drill": lambda practice: drill(practice, PLANNED_FAILOVER),
    "unplanned drill": lambda practice: drill(practice, UNPLANNED_FAILOVER),
    "settle": lambda practice: (practice.world.apps.update({"func-weu-fake": "Stopped"}), practice.settle()),
}


@pytest.mark.parametrize("name", STARTS)
def test_after_a_kill_at_any_request_of_any_command_what_status_says_leads_home(name: str) -> None:
    number = 0
    while True:
        with tempfile.TemporaryDirectory() as folder:
            practice = Practice(Path(folder))
            practice.azure.faults[number] = "kill after" if number % 2 else "kill before"
            try:
                STARTS[name](practice)
            except Killed:
                pass
            unhurt = number >= len(practice.azure.calls)
            go_home(practice)
            assert practice.azure.violations == [], f"{name} killed at request {number}"
            assert practice.azure.running() == ["func-weu-fake"]
        if unhurt:
            return
        number += 1


@settings(max_examples=40, deadline=None)
@given(moves=MOVES, faults=FAULTS)
@example(moves=["lose", "fenced"], faults={})
@example(moves=["planned", "lose"], faults={12: "kill before"})
def test_from_wherever_a_bad_night_ends_what_status_says_leads_home(moves: list[str], faults: dict[int, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        practice = Practice(Path(folder))
        practice.azure.faults = dict(faults)
        for name in moves:
            try:
                move(practice, name)
            except (Killed, errors.OperatorError):
                continue
        practice.azure.bring_back("westeurope")
        practice.azure.faults = {}
        go_home(practice)
        assert practice.azure.violations == []
