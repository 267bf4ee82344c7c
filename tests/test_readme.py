"""Everything the README says can be done is done here: its commands, its outputs' shapes, its paths and links."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

import workflows
from lab.drills.region import free_port
from tests.conftest import Drilled

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECONDS = 30.0


@dataclass
class Command:
    """One line after a `$`, and what the README shows below it."""

    line: str
    shown: list[str] = field(default_factory=list)


def section(title: str) -> str:
    """The text under a heading; the empty title is everything before the first one."""
    parts = re.split(r"^## (.*)$", README, flags=re.M)
    return parts[0] if not title else parts[parts.index(title) + 1]


def commands(title: str) -> list[Command]:
    found: list[Command] = []
    for block in re.findall(r"```console\n(.*?)```", section(title), re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip().startswith("$ "):
                found.append(Command(line.strip()[2:]))
            elif line.strip():
                found[-1].shown.append(line)
    return found


def shape(shown: str) -> re.Pattern[str]:
    """`…` stands for anything, and spaces between JSON's parts for nothing."""
    return re.compile(".*".join(re.escape(part) for part in packed(shown).split("…")), re.S)


def packed(text: str) -> str:
    return re.sub(r"(?<=[:,])\s+", "", text.strip())


class Terminal:
    """Carries out the README's commands, with a port and an account that nobody else uses."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.host: subprocess.Popen[bytes] | None = None

    def do(self, command: Command) -> None:
        if command.line.startswith("python scripts/host"):
            self.start_host()
        elif command.line.startswith("kill -9"):
            self.kill_host()
        else:
            self.expect(command)

    def start_host(self) -> None:
        script = [sys.executable, str(ROOT / "scripts" / "host")]
        account = ["--port", str(self.port), "--storage", str(self.folder / "account.db")]
        with (self.folder / "host.log").open("ab") as log:
            self.host = subprocess.Popen([*script, *account], cwd=ROOT, stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        while not self.is_healthy():
            assert time.monotonic() < deadline and self.host.poll() is None, (self.folder / "host.log").read_text()
            time.sleep(0.1)

    def is_healthy(self) -> bool:
        try:
            return requests.get(f"http://localhost:{self.port}/api/health", timeout=5).ok
        except requests.RequestException:
            return False

    def kill_host(self) -> None:
        assert self.host is not None
        self.host.kill()
        self.host.wait()

    def expect(self, command: Command) -> None:
        """What the command prints has the README's shape, at once or soon."""
        wanted, deadline = shape("\n".join(command.shown).replace("7071", str(self.port))), time.monotonic() + SECONDS
        while not wanted.fullmatch(packed(printed := self.output(command))):
            assert time.monotonic() < deadline, f"{command.line} printed {printed!r}, not {command.shown}"
            time.sleep(0.2)

    def output(self, command: Command) -> str:
        line = command.line.replace("7071", str(self.port))
        return subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    if os.name != "posix" or not shutil.which("curl"):
        pytest.skip("The README's lines are for a POSIX shell with curl.")
    if not (ROOT / ".venv").exists():
        pytest.skip("The scripts have not been installed here: run python scripts/test.")
    terminal = Terminal(tmp_path)
    yield terminal
    if terminal.host is not None:
        terminal.kill_host()


def test_running_it_by_hand_goes_as_the_readme_shows_it(terminal: Terminal) -> None:
    lines = commands("Run it by hand")
    assert sum(line.line.startswith("curl") for line in lines) >= 4
    for command in lines:
        terminal.do(command)


def test_the_first_screen_shows_the_drill_as_it_is(drills: dict[str, Drilled]) -> None:
    shown = next(command for command in commands("") if command.line.startswith("python scripts/drill"))
    labels = [line[:18].strip() for line in shown.shown[1:]]
    printed = drills["first"].output.splitlines()
    begin = next(number for number, line in enumerate(printed) if line.startswith("accepted"))
    assert [label for line in printed[begin:] if (label := line[:18].strip())][: len(labels)] == labels
    assert shown.shown[0] == next(line for line in printed if line.startswith("unplanned")).strip()


@pytest.mark.parametrize("command", [command.line for title in ("", "Develop") for command in commands(title)])
def test_every_script_of_the_first_screen_is_there(command: str) -> None:
    assert (ROOT / command.split()[1]).is_file()


@pytest.mark.parametrize("folder", re.findall(r"^\| `(\w+/)` \|", README, re.M))
def test_every_folder_of_the_map_is_there(folder: str) -> None:
    assert (ROOT / folder).is_dir()


@pytest.mark.parametrize("link", sorted({link for link in re.findall(r"\]\((?!http)([^)#]+)", README)}))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


@pytest.mark.parametrize(
    "word", sorted(set(re.findall(r"[\w/]+\.py\b|`[\w/]+/`|worker/", section("The path of a request"))))
)
def test_every_file_in_the_drawing_is_there(word: str) -> None:
    name = word.strip("`")
    assert (ROOT / name).exists() or (ROOT / "lab" / name).exists()


def test_the_scripts_named_in_the_map_are_all_that_there_are() -> None:
    named = re.search(r"one verb each: (.*?) \|", README)
    assert named
    there = {path.name for path in (ROOT / "scripts").iterdir() if "." not in path.name and path.is_file()}
    assert set(re.findall(r"`(\w+)`", named[1])) == there


def test_the_table_of_the_workflows_is_the_catalogue() -> None:
    assert workflows.table() in section("The workflows")


def test_the_triggers_are_shown_as_they_are_in_the_code() -> None:
    code = (ROOT / "workflows" / "nightly.py").read_text(encoding="utf-8")
    shown = re.findall(r"```python\n(.*?)\n```", section("The workflows"), re.S)
    assert len(shown) == 2 and all(line in code for line in shown)
