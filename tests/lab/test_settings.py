"""Settings come from host.json, local.settings.json, flags and the environment, and what is wrong is said clearly."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lab import settings
from lab.errors import AppError, NotJson, SettingsError
from lab.settings import Flags, Settings


def load(
    folder: Path, host: Any = None, local: Any = None, environ: dict[str, str] | None = None, **flags: Any
) -> Settings:
    for name, content in (("host.json", host), ("local.settings.json", local)):
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / name).write_text(text, "utf-8")
    return settings.load(Flags(app=folder, **flags), environ or {})


def test_without_any_file_the_platforms_defaults_hold(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert (found.port, found.route_prefix, found.durable.hub) == (7071, "api", "TestHubName")
    assert (found.function_timeout, found.worker_processes) == (timedelta(minutes=30), 1)
    assert found.storage == str(tmp_path / ".lab" / "account.db")
    assert found.python == Path(sys.executable)
    assert found.notes == ()


def test_a_missing_folder_is_told() -> None:
    with pytest.raises(AppError, match="There is no folder /nowhere/at/all. Give the app's folder with --app."):
        settings.load(Flags(app=Path("/nowhere/at/all")), {})


def test_broken_json_is_told_with_file_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(NotJson, match=r"host.json, line 2, column 7: .* Correct the JSON and start again.") as caught:
        load(tmp_path, '{"version": "2.0",\n "a": }')
    assert (caught.value.line, caught.value.column) == (2, 7)


def test_a_settings_file_holds_an_object(tmp_path: Path) -> None:
    with pytest.raises(NotJson, match="an object is expected, not list"):
        load(tmp_path, "[]")


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    assert load(tmp_path, '\ufeff{"extensions": {"http": {"routePrefix": "x"}}}').route_prefix == "x"


def test_the_route_prefix_may_be_empty(tmp_path: Path) -> None:
    assert load(tmp_path, {"EXTENSIONS": {"Http": {"ROUTEPREFIX": ""}}}).route_prefix == ""


def test_an_extension_that_is_no_object_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="an object is expected"):
        load(tmp_path, {"extensions": {"durableTask": 5}})


def test_values_are_the_apps_environment_and_the_real_one_wins(tmp_path: Path) -> None:
    local = {"Values": {"A": "local", "B": "local", "N": 5, "T": True, "NONE": None}}
    found = load(tmp_path, None, local, {"B": "outside", "UNRELATED": "x"}).environment
    assert {name: found[name] for name in ("A", "B", "N", "T")} == {"A": "local", "B": "outside", "N": "5", "T": "true"}
    assert "UNRELATED" not in found and "NONE" not in found


def test_values_hold_texts_only(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Values holds texts only; A is none"):
        load(tmp_path, None, {"Values": {"A": {"b": 1}}})


def test_encrypted_settings_are_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="func settings decrypt"):
        load(tmp_path, None, {"IsEncrypted": True, "Values": {}})


def test_the_port_is_the_flags_or_the_files(tmp_path: Path) -> None:
    local = {"Host": {"LocalHttpPort": 7080}}
    assert load(tmp_path, None, local).port == 7080
    assert load(tmp_path, None, local, port=7081).port == 7081
    assert load(tmp_path, None, local, port=0).environment["WEBSITE_HOSTNAME"] == "localhost:0"
    assert load(tmp_path, None, local).worker_id.endswith(":7080")


def test_app_settings_override_host_json_as_on_azure(tmp_path: Path) -> None:
    name = "AzureFunctionsJobHost__extensions__durableTask__"
    environ = {f"{name}hubName": "Other", f"{name}storageProvider__partitionCount": "7"}
    found = load(tmp_path, {"extensions": {"durabletask": {"HubName": "Mine"}}}, None, environ)
    assert (found.durable.hub, found.durable.partition_count) == ("Other", 7)


def test_an_override_that_does_not_fit_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not fit host.json: version is no object"):
        load(tmp_path, {"version": "2.0"}, None, {"AzureFunctionsJobHost__version__x": "1"})


@pytest.mark.parametrize(
    ("flag", "values", "storage"),
    [
        (":memory:", {}, ":memory:"),
        ("UseDevelopmentStorage=true", {}, "UseDevelopmentStorage=true"),
        ("AzureWebJobsStorage", {"AzureWebJobsStorage": "AccountName=a;AccountKey=k"}, "AccountName=a;AccountKey=k"),
        ("AzureWebJobsStorage", {"AzureWebJobsStorage__accountName": "acc"}, "identity:acc"),
        ("some/file.db", {}, "some/file.db"),
    ],
)
def test_storage_is_an_account_or_the_setting_that_names_one(
    tmp_path: Path, flag: str, values: dict[str, str], storage: str
) -> None:
    assert load(tmp_path, None, {"Values": values}, storage=flag).storage == storage


@pytest.mark.parametrize("count", ["0", "-1", "many", "1.5", "11"])
def test_a_wrong_number_of_worker_processes_is_told(tmp_path: Path, count: str) -> None:
    with pytest.raises(SettingsError, match="FUNCTIONS_WORKER_PROCESS_COUNT"):
        load(tmp_path, None, None, {"FUNCTIONS_WORKER_PROCESS_COUNT": count})


def test_worker_processes_come_from_the_setting_or_the_flag(tmp_path: Path) -> None:
    environ = {"FUNCTIONS_WORKER_PROCESS_COUNT": "2"}
    assert load(tmp_path, None, None, environ).worker_processes == 2
    assert load(tmp_path, None, None, environ, workers=3).worker_processes == 3


def test_an_interpreter_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="There is no Python interpreter"):
        load(tmp_path, python=tmp_path / "python")


def test_a_virtual_environment_may_be_named_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").write_text("")
    assert load(tmp_path, python=tmp_path / "venv").python == tmp_path / "venv" / "bin" / "python"


@pytest.mark.parametrize(
    ("text", "timeout"),
    [
        ("00:10:00", timedelta(minutes=10)), ("1.00:00:00", timedelta(days=1)), ("00:00:01", timedelta(seconds=1)),
        ("-1", None), (-1, None), ("-1.00:00:00", None), (None, timedelta(minutes=30)), (2, timedelta(days=2)),
    ],
)  # fmt: skip
def test_the_function_timeout_is_a_time_span_or_none(tmp_path: Path, text: object, timeout: timedelta | None) -> None:
    assert load(tmp_path, {"functionTimeout": text}).function_timeout == timeout


@pytest.mark.parametrize("text", ["soon", "", "00:00:00", "00:00:00.5", "-00:10:00", "00:99:00", True, 1.5, [1]])
def test_a_function_timeout_that_is_none_is_told(tmp_path: Path, text: object) -> None:
    with pytest.raises(SettingsError, match=r"functionTimeout is .*; a time span of 00:00:01 or more .* or -1"):
        load(tmp_path, {"functionTimeout": text})


def test_an_app_setting_overrides_the_function_timeout(tmp_path: Path) -> None:
    environ = {"AzureFunctionsJobHost__functionTimeout": "00:01:00"}
    assert load(tmp_path, {"functionTimeout": "-1"}, None, environ).function_timeout == timedelta(minutes=1)
