"""Options of the whole test run, and the drills that several tests look at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
DRILL = ["-m", "lab", "drill", "--instances", "60", "--lag", "1", "--seed", "7"]
RAW = ["--without-doctor", "--without-journal"]
DRILL_SECONDS = 180


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=8, help="how often the kill test kills its host (8)")
    parser.addoption("--kill-seed", type=int, help="the moments at which it does; drawn and printed otherwise")
    parser.addoption("--conformance", choices=("sample", "all"), default="sample", help="how much Azurite is asked")
    parser.addoption("--heavy", action="store_true", help="the robustness tests at their full sizes (minutes)")


@dataclass(frozen=True)
class Drilled:
    """A drill that has been run: what it printed, its exit code and its report."""

    output: str
    exit_code: int
    folder: Path

    @property
    def findings(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "drill-report.json").read_text())
        return found


@pytest.fixture(scope="session")
def drills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Drilled]:
    """As it comes, twice with nothing to help, and a few others, side by side: busy machines must change nothing."""
    wanted: dict[str, list[str]] = {
        "first": [], "raw": RAW, "raw again": RAW, "planned": ["--planned"], "no lag": [*RAW, "--lag", "0"],
        "doctor alone": ["--without-journal", "--instances", "30"],
    }  # fmt: skip
    running = {}
    for name, more in wanted.items():
        folder = tmp_path_factory.mktemp(name.replace(" ", "-"))
        running[name] = folder, subprocess.Popen(
            [sys.executable, *DRILL, *more], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=_environment(),
        )  # fmt: skip
    try:
        found = {}
        for name, (folder, process) in running.items():
            output, _ = process.communicate(timeout=DRILL_SECONDS)
            found[name] = Drilled(output, process.returncode, folder)
        return found
    finally:
        for _, process in running.values():
            process.kill()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
