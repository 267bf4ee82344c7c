"""Geo-redundancy again after an unplanned failover."""

from __future__ import annotations

from pathlib import Path

import pytest

from recovery import operator_errors as errors
from recovery import reprotect
from recovery.arm_fake import Killed
from tests.recovery.practice import UNPLANNED, Practice


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    made = Practice(tmp_path)
    made.fail_over(UNPLANNED)
    made.azure.calls.clear()
    return made


def test_it_waits_until_the_copy_is_live(practice: Practice) -> None:
    practice.reprotect()
    assert practice.verdict() == "failed over, protected"
    assert practice.values()["STORAGE_SKU"] == "Standard_RAGRS"
    assert practice.values()["DEPLOY_SECONDARY_ENDPOINTS"] == "true"


def test_without_yes_it_only_says_what_it_would_do(practice: Practice) -> None:
    reprotect.run(practice.session())
    assert practice.changing_calls() == []
    assert "Standard_LRS -> Standard_RAGRS" in practice.text()


def test_killed_during_the_copy_it_goes_on_and_asks_once(practice: Practice) -> None:
    practice.azure.faults[8] = "kill after"
    with pytest.raises(Killed):
        practice.reprotect()
    practice.reprotect()
    assert len(practice.changing_calls()) == 1
    assert practice.verdict() == "failed over, protected"


def test_a_protected_account_is_left_alone(practice: Practice) -> None:
    practice.reprotect()
    with pytest.raises(errors.Refused, match="it is protected"):
        practice.reprotect()


def test_zones_are_regained_at_home_only(practice: Practice) -> None:
    session = practice.session()
    session.state.original_sku = "Standard_RAGZRS"
    session.state.save()
    practice.reprotect()
    assert practice.world.sku == "Standard_RAGRS"


def test_zones_can_be_asked_for_at_home(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    reprotect.run(practice.session(), "Standard_RAGZRS", yes=True)
    assert practice.world.sku == "Standard_RAGZRS"
    assert practice.verdict() == "normal"


def test_an_account_that_was_not_readable_becomes_geo_redundant_without_a_readable_copy(practice: Practice) -> None:
    session = practice.session()
    session.state.original_sku = "Standard_GRS"
    session.state.save()
    practice.reprotect()
    assert practice.world.sku == "Standard_GRS"
    assert practice.values()["DEPLOY_SECONDARY_ENDPOINTS"] == "false"


def test_a_failover_that_has_begun_comes_first(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.azure.lose_region("westeurope")
    with pytest.raises(errors.Refused):
        practice.fail_over(UNPLANNED)
    practice.world.geo_status = "Bootstrap"
    with pytest.raises(errors.Refused, match="has not ended"):
        practice.reprotect()
