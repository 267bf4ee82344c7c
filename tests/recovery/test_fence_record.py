"""Failover, failback and settle take the fence over for the region that is to work, before its app is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from recovery import failover, settle, status
from recovery import operator_errors as errors
from recovery.failover import Request
from recovery.fence import Epoch
from tests.recovery.practice import PLANNED, UNPLANNED, Practice

LEFT_ALONE = Request("failover", "standby", planned=False, without_take_over=True)
COMMAND = "python -m recovery fence --journal identity:stjfake --take-over northeurope --address https://func-neu-fake.example"


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    return Practice(tmp_path)


def holder(practice: Practice) -> Epoch:
    found = practice.session().fence.holder()
    assert found is not None
    return found


def test_what_is_shown_says_who_will_work_and_writes_nothing(practice: Practice) -> None:
    failover.run(UNPLANNED, practice.session())
    assert "PUT the fence's record: northeurope works" in practice.text()
    assert practice.session().fence.holder() is None


def test_there_and_back_the_record_says_who_works_with_its_address(practice: Practice) -> None:
    practice.fail_over(PLANNED)
    there = holder(practice)
    assert (there.region, there.number, there.address) == ("northeurope", 1, "https://func-neu-fake.example")
    practice.fail_back()
    assert (holder(practice).region, holder(practice).number) == ("westeurope", 2)
    assert "the fence says since" in practice.text()


def test_an_unreachable_journal_is_told_before_anything_is_changed(practice: Practice) -> None:
    practice.world.journal_silent = True
    failover.run(UNPLANNED, practice.session())
    assert COMMAND in practice.text()  # to be seen with what would be lost, not first with --yes
    with pytest.raises(errors.Refused, match="Public access is not permitted.*--without-take-over") as refused:
        practice.fail_over(UNPLANNED)
    assert COMMAND in str(refused.value)
    assert practice.changing_calls() == [] and practice.state().begun is None


def test_somebody_inside_takes_over_and_the_command_goes_on_without(practice: Practice) -> None:
    practice.world.journal_silent = True
    practice.fail_over(LEFT_ALONE)
    assert practice.azure.running() == ["func-neu-fake"]
    assert "left alone, as asked" in practice.text()
    assert practice.world.journal == {}


def test_a_journal_that_falls_silent_meanwhile_starts_nothing_until_somebody_decides(practice: Practice) -> None:
    stop = practice.azure._become

    def stop_and_fall_silent(site: str, state: str) -> None:
        stop(site, state)
        practice.world.journal_silent = True

    practice.azure._become = stop_and_fall_silent  # type: ignore[method-assign]
    with pytest.raises(errors.Refused, match="--take-over northeurope"):
        practice.fail_over(UNPLANNED)
    assert practice.azure.running() == []
    agreed = Request("failover", "standby", planned=False, without_take_over=True, yes=True)
    failover.run(agreed, practice.session())
    assert practice.azure.running() == ["func-neu-fake"]


def test_settling_makes_the_accounts_region_the_one_that_works(practice: Practice) -> None:
    practice.fail_over(PLANNED)
    practice.fail_back()
    practice.session().fence.take_over(practice.session().azure.standby)
    assert status.run(practice.session()) == 1
    assert "the fence keeps westeurope out" in practice.text()
    settle.run(practice.session())
    assert holder(practice).region == "northeurope"
    practice.settle()
    assert holder(practice).region == "westeurope"


def test_settling_without_the_journal_is_refused_or_leaves_it_alone(practice: Practice) -> None:
    practice.world.apps["func-weu-fake"] = "Stopped"
    practice.world.journal_silent = True
    with pytest.raises(errors.Refused, match="--without-take-over"):
        practice.settle()
    assert practice.changing_calls() == []
    settle.run(practice.session(), yes=True, without_take_over=True)
    assert practice.azure.running() == ["func-weu-fake"]


def test_status_says_who_holds_the_fence_or_why_it_cannot(practice: Practice) -> None:
    status.run(practice.session())
    assert "fence: nobody has taken over yet" in practice.text()
    practice.fail_over(PLANNED)
    practice.said.clear()
    status.run(practice.session())
    assert "fence: northeurope works since 20" in practice.text() and "(epoch 1" in practice.text()
    practice.world.journal_silent = True
    practice.said.clear()
    status.run(practice.session())
    assert "fence: cannot be read from here" in practice.text()
    assert "python -m recovery fence --journal identity:stjfake" in practice.text()


def test_a_deployment_without_a_journal_has_no_fence_and_fails_over_all_the_same(practice: Practice) -> None:
    practice.session().environment.change({"JOURNAL_ACCOUNT_NAME": ""})
    practice.fail_over(PLANNED)
    status.run(practice.session())
    assert "fence: off" in practice.text()
    assert not [call for call in practice.azure.calls if "journal/" in call]


def test_a_damaged_record_is_told_before_anything_is_changed_with_what_replaces_it(practice: Practice) -> None:
    practice.world.journal["app/fence.json"] = '{"region": "westeurope", "num'
    with pytest.raises(errors.Refused, match="nobody can say which region works: .* makes no sense") as refused:
        practice.fail_over(UNPLANNED)
    assert f"{COMMAND} --first-use --replace-damaged. Then run this command again" in str(refused.value)
    assert practice.changing_calls() == [] and practice.state().begun is None
    assert status.run(practice.session()) == 1
    assert "fence: damaged (" in practice.text()
    back = "--take-over westeurope --address https://func-weu-fake.example --first-use --replace-damaged"
    assert back in practice.text()


def test_the_command_to_type_inside_needs_no_confirmation_of_the_deployments_own_names(practice: Practice) -> None:
    practice.world.journal_silent = True
    with pytest.raises(errors.Refused, match=f"{COMMAND} --first-use. Then run this command again"):
        practice.fail_over(UNPLANNED)
