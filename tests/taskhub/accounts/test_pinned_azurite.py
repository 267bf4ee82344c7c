"""Azurite is pinned, installs from any registry, and its script says what is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.taskhub.accounts.conftest import ROOT


def test_the_lock_file_pins_azurite_and_names_no_registry() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["devDependencies"]["azurite"]
    assert packages["node_modules/azurite"]["version"] == wanted == "3.35.0"
    assert not [name for name, package in packages.items() if "resolved" in package]


def test_without_node_the_script_says_what_to_install(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "azurite")]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "Install it from nodejs.org" in done.stderr
