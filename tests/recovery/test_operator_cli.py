"""The commands as typed, on the small Azure that is kept between them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recovery.__main__ import COMMANDS, main
from recovery.operator_cli import _Voice

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    def run(line: str) -> tuple[int, str]:
        code = main([*line.split(), "--fake", "--folder", str(tmp_path)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def test_a_whole_outage_as_the_messages_say(typed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert typed("status")[0] == 0
    assert "Nothing was changed" in typed("failover --unplanned")[1]
    code, text = typed("failover --unplanned --yes")
    assert code == 0 and "next: python -m recovery reprotect --fake" in text
    assert typed("status")[0] == 1
    assert typed("reprotect --yes")[0] == 0
    assert typed("failback")[0] == 0
    assert "normal:" in typed("failback --yes")[1]
    assert typed("status")[0] == 0


def test_who_practises_is_told_commands_that_practise(typed) -> None:  # type: ignore[no-untyped-def]
    for line in ("failover --unplanned", "failover --unplanned --yes", "failback", "settle", "drill --yes", "status"):
        told = typed(line)[1]
        assert told.count("python -m recovery ") == told.count(" --fake"), told


def test_a_drill_is_shown_first_and_then_writes_its_report(typed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    report = tmp_path / "report.json"
    assert typed(f"drill --yes --report {report}")[0] == 1
    assert not report.exists()
    typed("drill")
    code, text = typed(f"drill --yes --instances 3 --report {report}")
    assert code == 0, text
    document = json.loads(report.read_text())
    assert document["passed"] and document["verdicts"] == {"completed": 3}
    page = report.with_suffix(".html").read_text()
    assert "fail the account over" in page and all(one["instance"] in page for one in document["requests"])


def test_agreeing_to_a_planned_drill_is_not_agreeing_to_an_unplanned_one(typed) -> None:  # type: ignore[no-untyped-def]
    typed("drill --planned")
    assert "Look first" in typed("drill --unplanned --yes")[1]


def test_a_refusal_is_one_line_on_the_error_output_and_exit_code_1(typed) -> None:  # type: ignore[no-untyped-def]
    code, text = typed("failback")
    assert code == 1
    why = "The account's primary is already westeurope. See what is left with: python -m recovery status --fake"
    assert text == f"failback: {why}\n"


def test_the_kind_of_a_failover_has_to_be_said(typed) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit) as ended:
        typed("failover")
    assert ended.value.code == 2


def test_an_unknown_command_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fly"]) == 2
    listed = capsys.readouterr().err
    assert [name for name in COMMANDS if name not in listed] == []


def test_choosing_a_command_imports_no_other_commands_module(tmp_path: Path) -> None:
    program = (
        "import sys, recovery.__main__ as m; m.main(['status', '--fake', '--folder', sys.argv[1]]); "
        "print(sorted(sys.modules))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    loaded = ran.stdout.splitlines()[-1]
    assert "recovery.status" in loaded
    for other in ("recovery.failover", "recovery.azure_drill", "azure.identity", "lab"):
        assert f"'{other}'" not in loaded


@pytest.mark.parametrize("verb", ["status", "failover", "failback"])
def test_the_scripts_are_the_commands(verb: str) -> None:
    ran = subprocess.run([sys.executable, str(ROOT / "scripts" / verb), "--help"], capture_output=True, text=True)
    assert ran.returncode == 0
    assert f"python -m recovery {verb}" in ran.stdout


def test_recovery_imports_nothing_of_the_lab() -> None:
    for path in (ROOT / "recovery").rglob("*.py"):
        words = [line for line in path.read_text().splitlines() if line.startswith(("import lab", "from lab"))]
        assert words == [], path


def test_a_long_wait_is_told_every_ten_minutes_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    voice = _Voice()
    for minute in range(25):
        voice(f"the move: {minute} min 07 s")
    voice("moved")
    assert capsys.readouterr().out.splitlines() == [
        "the move: 0 min 07 s",
        "the move: 10 min 07 s",
        "the move: 20 min 07 s",
        "moved",
    ]
