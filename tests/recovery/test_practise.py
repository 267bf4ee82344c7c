"""Disasters for the small Azure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recovery.__main__ import main

Type = Callable[[str], tuple[int, str]]


@pytest.fixture
def typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Type:
    def run(line: str) -> tuple[int, str]:
        fake = [] if line.startswith("practise") else ["--fake"]
        code = main([*line.split(), *fake, "--folder", str(tmp_path)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def test_the_runbook_can_be_practised_from_the_loss_to_the_way_home(typed: Type) -> None:
    typed("practise lose westeurope")
    assert "UNCLEAR" in typed("status")[1]
    typed("failover --unplanned")
    assert "--fence" in typed("failover --unplanned --yes")[1]
    assert typed("failover --unplanned --fence --yes")[0] == 0
    assert "must never happen" not in typed("practise return westeurope")[1]
    assert "SPLIT, FENCED" in typed("status")[1]
    assert typed("settle --yes")[0] == 0
    assert typed("reprotect --yes")[0] == 0
    typed("failback")
    assert "normal:" in typed("failback --yes")[1]


def test_a_reset_makes_everything_new(typed: Type) -> None:
    typed("practise lose westeurope")
    typed("practise reset")
    assert typed("status")[0] == 0
