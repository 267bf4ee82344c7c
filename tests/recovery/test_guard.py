"""What azd up must not undo."""

from __future__ import annotations

from pathlib import Path

import pytest

from recovery.guard import after_deployment, before_provisioning
from tests.recovery.practice import PLANNED, UNPLANNED, Practice


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    return Practice(tmp_path)


def before(practice: Practice) -> str:
    session = practice.session()
    return "\n".join(before_provisioning(session.environment, session.azure.observe()))


def after(practice: Practice) -> str:
    session = practice.session()
    return "\n".join(after_deployment(session.environment, session.azure.observe()))


def test_provisioning_what_is_true_is_allowed(practice: Practice) -> None:
    assert before(practice) == ""
    practice.fail_over(UNPLANNED)
    assert before(practice) == ""


def test_a_failover_made_from_another_clone_is_not_undone(practice: Practice) -> None:
    practice.fail_over(PLANNED)
    practice.session().environment.change({"ACTIVE_REGION": "primary"})
    assert "ACTIVE_REGION is primary, but the account is in northeurope" in before(practice)


def test_a_conversion_in_the_middle_of_an_outage_is_not_asked_for(practice: Practice) -> None:
    practice.fail_over(UNPLANNED)
    practice.session().environment.change({"STORAGE_SKU": "Standard_RAGRS", "DEPLOY_SECONDARY_ENDPOINTS": "true"})
    assert "STORAGE_SKU is Standard_RAGRS, but the account is Standard_LRS" in before(practice)
    assert "no readable secondary" in before(practice)


def test_a_fence_is_not_undone(practice: Practice) -> None:
    practice.world.roles = [row for row in practice.world.roles if row["properties"]["principalId"] != "principal-weu"]
    assert "would give its rights back" in before(practice)


def test_nothing_is_provisioned_while_the_account_moves_or_does_not_answer(practice: Practice) -> None:
    practice.world.failing_over = {"planned": True, "due": 9e9, "shows": 0, "synced": 0}
    assert "in progress" in before(practice)
    practice.world.storage_silent = True
    assert "does not answer" in before(practice)


def test_after_a_deployment_the_standby_is_stopped_and_the_other_runs(practice: Practice) -> None:
    assert after(practice) == ""
    practice.world.apps["func-neu-fake"] = "Running"
    assert "func-neu-fake in northeurope is Running, not Stopped" in after(practice)
