"""The real compiler's word, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_real_compiler_builds_and_lints_the_templates() -> None:
    bicep = shutil.which("bicep")
    if bicep is None:
        pytest.skip("the Bicep compiler is not installed; the deploy workflow runs it")
    for verb in (["build", "--stdout"], ["lint"]):
        ran = subprocess.run([bicep, *verb, str(ROOT / "infra" / "main.bicep")], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        assert "Error" not in ran.stderr
