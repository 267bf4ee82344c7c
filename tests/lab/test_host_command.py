"""Each error a person meets on the way to a running host is one clear line, the app's traceback before it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from lab import __main__ as commands
from tests.lab.worker.apps import write_app

APP = "app = func.FunctionApp()\n"


def run(*arguments: str) -> int:
    return commands.main(["host", "--storage", ":memory:", *arguments])


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_without_a_command_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main([]) == 2
    assert "host" in error_of(capsys)
    assert commands.main(["--help"]) == 0
    assert "drill" in capsys.readouterr().out
    assert commands.main(["nonsense"]) == 2


@pytest.mark.parametrize(
    "arguments", [["--port", "x"], ["--port", "70000"], ["--workers", "0"], ["--lease-seconds", "5"], ["--nonsense"]]
)
def test_wrong_arguments_are_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2
    assert "usage: host" in error_of(capsys)


def test_a_missing_app_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--app", "/nowhere/at/all") == 1
    assert error_of(capsys) == "host: There is no folder /nowhere/at/all. Give the app's folder with --app.\n"


def test_broken_json_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "host.json").write_text("{")
    assert run("--app", str(tmp_path)) == 1
    error = error_of(capsys)
    assert error.startswith(f"host: {tmp_path}/host.json, line 1, column 2: ") and error.count("\n") == 1


def test_an_app_that_does_not_import_shows_its_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_app(tmp_path, "import nothing_there\n")
    assert run("--app", str(tmp_path), "--port", "0") == 1
    error = error_of(capsys)
    assert 'function_app.py", line 3' in error
    assert error.endswith("function_app.py cannot be imported: ModuleNotFoundError: No module named 'nothing_there'\n")


def test_a_port_that_is_taken_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_app(tmp_path, APP)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run("--app", str(tmp_path), "--port", str(port)) == 1
    expected = f"host: Port {port} is taken. Stop the program that uses it, or give another one with --port.\n"
    assert error_of(capsys) == expected


def test_a_storage_account_that_cannot_be_opened_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_app(tmp_path, APP)
    assert commands.main(["host", "--app", str(tmp_path), "--storage", "ftp://x"]) == 1
    assert "is no storage account that can be opened" in error_of(capsys)
