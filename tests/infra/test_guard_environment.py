"""The preprovision hook."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.hooks.guard_environment import problems, problems_of_a_new_environment
from recovery import operator_errors as errors
from tests.recovery.practice import PLANNED, Practice

ROOT = Path(__file__).resolve().parents[2]


def test_a_first_deployment_has_nothing_to_undo(tmp_path: Path) -> None:
    arm = Practice(tmp_path).session().azure.arm
    assert problems_of_a_new_environment({"AZURE_ENV_NAME": "another"}, arm) == []


def test_a_fresh_clone_that_knows_no_names_does_not_undo_a_failover(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    arm = practice.session().azure.arm
    assert problems_of_a_new_environment({"AZURE_ENV_NAME": "fake"}, arm) == []
    practice.fail_over(PLANNED)
    assert "azd env refresh" in problems_of_a_new_environment({"AZURE_ENV_NAME": "fake"}, arm)[0]


def test_provisioning_from_a_clone_that_missed_the_failover_is_stopped(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.fail_over(PLANNED)
    practice.session().environment.change({"ACTIVE_REGION": "primary"})
    session = practice.session()
    assert "status --adopt" in problems(session.environment, session)[0]


def test_provisioning_what_is_true_goes_on(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.fail_over(PLANNED)
    session = practice.session()
    assert problems(session.environment, session) == []


def test_nobody_signed_in_stops_it_too(tmp_path: Path) -> None:
    practice = Practice(tmp_path)
    practice.credential.signed_in = False
    session = practice.session()
    with pytest.raises(errors.NotLoggedIn):
        problems(session.environment, session)


def test_azd_runs_it_as_a_file_from_anywhere(tmp_path: Path) -> None:
    script = ROOT / "infra" / "hooks" / "guard_environment.py"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "STORAGE_"))}
    ran = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
