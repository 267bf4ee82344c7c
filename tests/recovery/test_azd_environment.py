"""The values of an azd environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recovery import operator_errors as errors
from recovery.arm_fake import VALUES
from recovery.azd_environment import Environment


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*VALUES, "AZURE_ENV_NAME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / ".env").write_text('AZURE_SUBSCRIPTION_ID="sub"\nPLAIN=value\n# note\nEMPTY=""\n')
    return tmp_path


def test_values_are_read_with_and_without_quotes(folder: Path) -> None:
    values = Environment.load("demo", folder).values
    assert (values["AZURE_SUBSCRIPTION_ID"], values["PLAIN"], values["EMPTY"]) == ("sub", "value", "")


def test_the_selected_environment_is_the_default(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"defaultEnvironment": "demo"}))
    assert Environment.load(folder=folder).name == "demo"


def test_an_environment_that_is_not_there_is_told_how_to_make_one(folder: Path) -> None:
    with pytest.raises(errors.NotProvisioned, match="azd env select"):
        Environment.load("other", folder)


def test_a_value_that_provisioning_writes_is_told_how_to_fetch_it(folder: Path) -> None:
    with pytest.raises(errors.NotProvisioned, match="azd env refresh"):
        Environment.load("demo", folder).region("primary")


def test_changes_are_written_and_only_those_that_differ_are_named(folder: Path) -> None:
    environment = Environment.load("demo", folder)
    assert environment.change({"PLAIN": "value", "ACTIVE_REGION": "secondary"}) == [
        "azd env set ACTIVE_REGION secondary"
    ]
    assert Environment.load("demo", folder).values["ACTIVE_REGION"] == "secondary"
    assert Environment.load("demo", folder).values["PLAIN"] == "value"


def test_a_pipeline_works_from_its_own_variables_and_is_told_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)
    environment = Environment.load(folder=tmp_path)
    assert environment.file is None
    assert environment.change({"ACTIVE_REGION": "secondary"}) == ["azd env set ACTIVE_REGION secondary"]
