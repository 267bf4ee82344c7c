"""The state of two regions and the next command."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from recovery.regions import Account, App, Observation, Region, loss, refusal, verdict

NOW = datetime(2026, 1, 2, 3, 0, tzinfo=timezone.utc)
HOME = Region("primary", "westeurope", "rg-weu", "func-weu", "weu.example", "p-weu")
STANDBY = Region("standby", "northeurope", "rg-neu", "func-neu", "neu.example", "p-neu")
RUNNING, STOPPED, UNKNOWN = App.RUNNING, App.STOPPED, App.UNKNOWN


def account(primary: str = "westeurope", sku: str = "Standard_RAGRS", **more: object) -> Account:
    geo = sku != "Standard_LRS"
    values: dict[str, object] = {
        "geo_status": "Live" if geo else "",
        "last_sync": NOW - timedelta(seconds=40) if geo else None,
        "can_fail_over": geo or None,
        "can_fail_over_planned": geo or None,
        **more,
    }
    return Account(primary, "northeurope" if primary == "westeurope" else "westeurope", sku, **values)  # type: ignore[arg-type]


def seen(
    of: Account | None = None, home: App = RUNNING, standby: App = STOPPED, fenced: str = "", silent: bool = False
) -> Observation:
    apps = {"primary": home, "standby": standby}
    where = None if silent else of or account()
    return Observation(HOME, STANDBY, where, apps, frozenset([fenced] if fenced else []))


STATES = {
    "normal": seen(),
    "failed over, unprotected": seen(account("northeurope", "Standard_LRS"), STOPPED, RUNNING),
    "failed over, protected": seen(account("northeurope"), STOPPED, RUNNING),
    "re-protecting": seen(account("northeurope", geo_status="Bootstrap"), STOPPED, RUNNING),
    "home, unprotected": seen(account(sku="Standard_LRS")),
    "failing over": seen(account(failover_in_progress=True), STOPPED, STOPPED),
    "split": seen(None, RUNNING, RUNNING),
    "split, fenced": seen(None, RUNNING, RUNNING, fenced="primary"),
    "dark": seen(None, STOPPED, STOPPED),
    "crossed": seen(None, STOPPED, RUNNING),
    "unclear": seen(None, UNKNOWN, STOPPED),
    "unreadable": seen(None, RUNNING, STOPPED, silent=True),
}


@pytest.mark.parametrize("name", STATES)
def test_every_state_has_its_name(name: str) -> None:
    assert verdict(STATES[name]).name == name


@pytest.mark.parametrize("name", [name for name in STATES if name != "normal"])
def test_every_state_but_normal_names_the_next_command(name: str) -> None:
    assert verdict(STATES[name]).next_command.startswith("python -m recovery ")


def test_only_normal_and_failed_over_with_a_copy_may_stay() -> None:
    assert {name for name, state in STATES.items() if verdict(state).fine} == {"normal", "failed over, protected"}


def test_after_an_unplanned_failover_a_silent_old_region_does_not_hide_the_missing_copy() -> None:
    state = seen(account("northeurope", "Standard_LRS"), UNKNOWN, RUNNING)
    assert verdict(state).name == "failed over, unprotected"


def test_a_lost_primary_region_leads_to_the_unplanned_failover() -> None:
    assert "failover --unplanned --fence" in verdict(STATES["unclear"]).next_command


def test_an_account_that_is_converting_is_being_reprotected() -> None:
    state = seen(account("northeurope", "Standard_LRS", converting=True), STOPPED, RUNNING)
    assert verdict(state).name == "re-protecting"


REFUSALS = {
    "the account does not answer": (seen(silent=True), False, "support request"),
    "a failover is in progress": (seen(account(failover_in_progress=True)), False, "status --watch"),
    "the account is there already": (seen(account("northeurope"), STOPPED, RUNNING), False, "already northeurope"),
    "the standby runs": (seen(None, RUNNING, RUNNING), False, "settle --yes"),
    "the account is locally redundant": (seen(account(sku="Standard_LRS")), False, "reprotect"),
    "the account is converting": (seen(account(converting=True)), False, "reprotect"),
    "planned, with a region lost": (seen(account(status_of_primary="unavailable")), True, "--unplanned"),
    "planned, while the copy is made": (seen(account(geo_status="Bootstrap")), True, "Wait for it"),
    "planned, with an old copy": (seen(account(last_sync=NOW - timedelta(minutes=31))), True, "30 minutes"),
    "planned, with an unknown copy": (seen(account(last_sync=None)), True, "unknown"),
    "planned, blocked by a feature": (seen(account(can_fail_over_planned=False)), True, "blocks it"),
    "unplanned, but Azure says no": (seen(account(can_fail_over=False)), False, "cannot fail over now"),
    "unplanned, with an unknown loss": (seen(account(last_sync=None)), False, "--accept-unknown-loss"),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_a_failover_is_refused_with_the_next_step_when(why: str) -> None:
    state, planned, words = REFUSALS[why]
    assert words in refusal(state, STANDBY, planned, False, NOW)


@pytest.mark.parametrize("planned", [True, False])
def test_a_failover_from_normal_is_not_refused(planned: bool) -> None:
    assert refusal(seen(), STANDBY, planned, False, NOW) == ""


def test_an_unknown_loss_can_be_accepted_for_an_unplanned_failover_only() -> None:
    state = seen(account(last_sync=None))
    assert refusal(state, STANDBY, False, True, NOW) == ""
    assert refusal(state, STANDBY, True, True, NOW) != ""


def test_the_loss_is_told_in_seconds() -> None:
    assert "40 s of accepted work" in loss(account(), NOW, planned=False)
    assert "nothing that was accepted is lost" in loss(account(), NOW, planned=True)
    assert "nobody can say" in loss(account(last_sync=None), NOW, planned=False)
