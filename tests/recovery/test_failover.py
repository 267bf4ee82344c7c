"""Failing over: the order, the agreement, the refusals."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from recovery import failover
from recovery import operator_errors as errors
from recovery.arm_fake import Killed
from recovery.failover import Request
from tests.recovery.practice import PLANNED, UNPLANNED, Practice

FENCED = Request("failover", "standby", planned=False, fence=True)


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    return Practice(tmp_path)


def kinds(practice: Practice) -> list[str]:
    return [call.rsplit("/", 1)[1] for call in practice.changing_calls()]


def test_the_old_stops_and_the_new_takes_over_before_the_account_moves_and_starts_after(practice: Practice) -> None:
    practice.fail_over(UNPLANNED)
    assert kinds(practice) == ["stop", "fence.json", "000001.json", "failover", "start"]
    assert practice.azure.violations == []


def test_a_planned_failover_says_so_and_an_unplanned_one_never_does(practice: Practice) -> None:
    practice.fail_over(PLANNED)
    assert [call for call in practice.changing_calls() if "failoverType=Planned" in call]
    other = Practice(practice.folder)
    other.fail_over(UNPLANNED)
    assert not [call for call in other.changing_calls() if "failoverType" in call]


def test_without_yes_everything_is_shown_and_nothing_is_changed(practice: Practice) -> None:
    assert failover.run(UNPLANNED, practice.session()) == 0
    assert practice.changing_calls() == []
    for words in ("last sync time", "40 s of accepted work", "POST sites/func-weu-fake/stop", "--unplanned --yes"):
        assert words in practice.text()


def test_yes_is_refused_until_somebody_has_looked(practice: Practice) -> None:
    with pytest.raises(errors.Refused, match="Look first"):
        failover.run(Request("failover", "standby", planned=False, yes=True), practice.session())
    assert practice.changing_calls() == []


def test_what_was_shown_half_an_hour_ago_has_to_be_shown_again(practice: Practice) -> None:
    failover.run(UNPLANNED, practice.session())
    practice.azure.clock.sleep(timedelta(minutes=31).total_seconds())
    with pytest.raises(errors.Refused, match="Look first"):
        failover.run(Request("failover", "standby", planned=False, yes=True), practice.session())


def test_agreeing_to_a_planned_failover_is_not_agreeing_to_an_unplanned_one(practice: Practice) -> None:
    failover.run(PLANNED, practice.session())
    with pytest.raises(errors.Refused, match="Look first"):
        failover.run(Request("failover", "standby", planned=False, yes=True), practice.session())


def test_a_later_azd_up_keeps_the_failover(practice: Practice) -> None:
    practice.fail_over(UNPLANNED)
    values = practice.values()
    assert (values["ACTIVE_REGION"], values["STORAGE_SKU"]) == ("secondary", "Standard_LRS")
    assert values["DEPLOY_SECONDARY_ENDPOINTS"] == "false"


def test_a_planned_failover_waits_until_the_copy_holds_the_last_write(practice: Practice) -> None:
    practice.world.lag_seconds = 600
    practice.fail_over(PLANNED)
    assert "the copy to hold the last write" in practice.text()
    assert practice.verdict() == "failed over, protected"


def test_a_lost_region_that_cannot_be_stopped_is_not_failed_away_from_without_a_fence(practice: Practice) -> None:
    practice.azure.lose_region("westeurope")
    with pytest.raises(errors.Refused, match="--fence"):
        practice.fail_over(UNPLANNED)
    assert "failover" not in kinds(practice)


def test_a_lost_region_is_fenced_and_stays_harmless_when_it_comes_back(practice: Practice) -> None:
    practice.azure.lose_region("westeurope")
    practice.fail_over(FENCED)
    practice.azure.bring_back("westeurope")
    assert practice.azure.running() == ["func-neu-fake"]
    assert practice.azure.violations == []
    assert practice.values()["FENCED_REGION"] == "primary"


def test_a_refused_fence_can_be_added_to_the_command_that_has_begun(practice: Practice) -> None:
    practice.azure.lose_region("westeurope")
    with pytest.raises(errors.Refused):
        practice.fail_over(UNPLANNED)
    failover.run(Request("failover", "standby", planned=False, fence=True, yes=True), practice.session())
    assert practice.azure.running() == ["func-neu-fake"]


def test_an_app_that_only_the_management_plane_has_lost_is_fenced_too(practice: Practice) -> None:
    practice.world.silent.append("westeurope")
    practice.fail_over(FENCED)
    assert practice.azure.violations == []
    assert practice.azure.running() == ["func-neu-fake"]


def test_another_command_waits_for_the_one_that_has_begun(practice: Practice) -> None:
    practice.azure.lose_region("westeurope")
    with pytest.raises(errors.Refused):
        practice.fail_over(UNPLANNED)
    with pytest.raises(errors.Refused, match="failover --unplanned --yes, or give it up"):
        practice.fail_back()


def test_the_environment_of_another_clone_is_refused(practice: Practice) -> None:
    practice.fail_over(PLANNED)
    practice.session().environment.change({"ACTIVE_REGION": "primary"})
    before = practice.changing_calls()
    with pytest.raises(errors.Refused, match="status --adopt"):
        practice.fail_back()
    assert practice.changing_calls() == before


def test_nobody_signed_in_is_told_how_to_sign_in(practice: Practice) -> None:
    practice.credential.signed_in = False
    with pytest.raises(errors.NotLoggedIn, match="azd auth login"):
        practice.fail_over(UNPLANNED)


def test_a_wrong_subscription_is_told_where_to_look(practice: Practice) -> None:
    practice.session().environment.change({"AZURE_SUBSCRIPTION_ID": "another"})
    with pytest.raises(errors.NotVisible, match="az account show"):
        practice.fail_over(UNPLANNED)


BAD_WORLDS = {
    "not geo-redundant": ({"sku": "Standard_LRS", "geo_status": "", "secondary": ""}, "reprotect"),
    "standby running": ({"apps": {"func-weu-fake": "Running", "func-neu-fake": "Running"}}, "settle --yes"),
    "last sync time unknown": ({"sync_known": False}, "--accept-unknown-loss"),
    "failover in progress": (
        {"failing_over": {"planned": True, "due": 9e9, "shows": 0, "synced": 0}},
        "status --watch",
    ),
    "management plane silent": ({"storage_silent": True}, "support request"),
}


@pytest.mark.parametrize("why", BAD_WORLDS)
def test_nothing_is_changed_when(practice: Practice, why: str) -> None:
    changes, words = BAD_WORLDS[why]
    for name, value in changes.items():
        setattr(practice.world, name, value)
    with pytest.raises(errors.Refused, match=words):
        practice.fail_over(UNPLANNED)
    assert practice.changing_calls() == []


def test_a_silent_app_after_the_start_is_said_and_not_undone(practice: Practice) -> None:
    practice.fail_over(UNPLANNED)
    assert "/api/health answers 200" in practice.text()


def test_held_before_the_start_the_hub_can_be_looked_at_while_no_app_runs(practice: Practice) -> None:
    failover.run(UNPLANNED, practice.session())
    failover.run(Request("failover", "standby", planned=False, hold=True, yes=True), practice.session())
    assert practice.azure.running() == []
    assert practice.world.primary == "northeurope"
    failover.run(Request("failover", "standby", planned=False, yes=True), practice.session())
    assert practice.azure.running() == ["func-neu-fake"]


def test_a_planned_failover_overtaken_by_the_disaster_becomes_an_unplanned_one(practice: Practice) -> None:
    practice.fault_at("/failover?", "kill before")
    with pytest.raises(Killed):
        practice.fail_over(PLANNED)
    practice.unharmed()
    practice.azure.lose_region("westeurope")
    practice.fail_over(FENCED)
    assert practice.azure.running() == ["func-neu-fake"]
    assert practice.verdict() == "failed over, unprotected"


def test_an_old_region_that_falls_silent_after_the_stop_is_not_trusted_to_stay_stopped(practice: Practice) -> None:
    finish = practice.azure._finish_failover

    def finish_and_fall_silent(failover_: dict[str, object]) -> None:
        finish(failover_)
        practice.world.silent.append("westeurope")

    practice.azure._finish_failover = finish_and_fall_silent  # type: ignore[method-assign]
    with pytest.raises(errors.Refused, match="unknown: two apps .* --fence"):
        practice.fail_over(UNPLANNED)
    assert practice.azure.running() == []
    failover.run(Request("failover", "standby", planned=False, fence=True, yes=True), practice.session())
    assert practice.azure.running() == ["func-neu-fake"]
