"""What is true, and what to type next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recovery import operator_errors as errors
from recovery import status
from tests.recovery.practice import PLANNED, UNPLANNED, Practice


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    return Practice(tmp_path)


def test_normal_is_fine(practice: Practice) -> None:
    assert status.run(practice.session()) == 0
    assert practice.said[0].startswith("NORMAL")


def test_what_has_to_be_done_is_a_failure_with_the_next_command(practice: Practice) -> None:
    practice.fail_over(UNPLANNED)
    practice.said.clear()
    assert status.run(practice.session()) == 1
    assert "next: python -m recovery reprotect" in practice.text()


def test_watching_ends_when_the_state_is_fine(practice: Practice) -> None:
    practice.fail_over(UNPLANNED)
    practice.session().azure.convert("Standard_RAGRS")
    assert status.run(practice.session(), watch=True) == 0


def test_a_command_that_has_begun_is_named(practice: Practice) -> None:
    practice.azure.lose_region("westeurope")
    with pytest.raises(errors.Refused):
        practice.fail_over(UNPLANNED)
    status.run(practice.session())
    assert "a failover began at" in practice.text()


def test_an_environment_that_would_undo_the_failover_is_named_and_put_right_by_adopting(practice: Practice) -> None:
    practice.fail_over(PLANNED)
    practice.session().environment.change({"ACTIVE_REGION": "primary", "STORAGE_SKU": "Standard_GRS"})
    status.run(practice.session(), adopt=True)
    assert "azd up would undo the failover" in practice.text()
    assert practice.values()["ACTIVE_REGION"] == "secondary"
    assert practice.values()["STORAGE_SKU"] == "Standard_RAGRS"


def test_adopting_takes_a_fence_over(practice: Practice) -> None:
    practice.world.roles = [row for row in practice.world.roles if row["properties"]["principalId"] != "principal-weu"]
    status.run(practice.session(), adopt=True)
    assert practice.values()["FENCED_REGION"] == "primary"


def test_a_copy_too_far_behind_is_a_failure_for_a_watch(practice: Practice) -> None:
    practice.world.lag_seconds = 1200
    assert status.run(practice.session(), max_lag_seconds=900) == 1
    assert "1200 s behind" in practice.text()
    assert status.run(practice.session(), max_lag_seconds=1300) == 0


def test_an_unknown_last_sync_time_is_a_failure_for_a_watch(practice: Practice) -> None:
    practice.world.sync_known = False
    assert status.run(practice.session(), max_lag_seconds=900) == 1


def test_the_wait_for_the_app_lease_is_read_from_host_json(practice: Practice, tmp_path: Path) -> None:
    options = {"acquireInterval": "00:00:10", "leaseInterval": "00:00:20"}
    host = tmp_path / "host.json"
    host.write_text(json.dumps({"extensions": {"durableTask": {"appLeaseOptions": options}}}))
    status.run(practice.session(), host_json=host)
    assert "works after at most 30 s" in practice.text()


def test_without_app_lease_options_the_wait_is_the_engines_own(practice: Practice, tmp_path: Path) -> None:
    host = tmp_path / "host.json"
    host.write_text(json.dumps({"extensions": {"durableTask": {}}}))
    status.run(practice.session(), host_json=host)
    assert "works after at most 360 s" in practice.text()


def test_a_silent_management_plane_is_a_state_and_not_an_error(practice: Practice) -> None:
    practice.world.storage_silent = True
    assert status.run(practice.session()) == 1
    assert practice.said[0].startswith("UNREADABLE")
