"""The scripts prepare their own environment, once, and say what is wrong with the Python they were given."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"


@pytest.fixture
def environment(tmp_path: Path) -> ModuleType:
    """The module behind the scripts, for a project that is nothing but requirements."""
    specification = importlib.util.spec_from_file_location("_environment", SCRIPTS / "_environment.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements.txt").write_text("one==1\n")
    (tmp_path / "requirements" / "lab.txt").write_text("-r ../requirements.txt\n-c constraints.txt\ntwo==2\n")
    (tmp_path / "requirements" / "constraints.txt").write_text("three==3\n")
    (tmp_path / "requirements" / "test.txt").write_text("-r lab.txt\nfour==4\n")
    module.ROOT, module.VENV = tmp_path, tmp_path / ".venv"
    module.PYTHON = module.VENV / "bin" / "python"
    return module


@pytest.fixture
def installed(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was installed, with an environment that exists and a pip that only notes."""
    done: list[str] = []
    environment.PYTHON.parent.mkdir(parents=True)
    environment.PYTHON.touch()
    (environment.VENV / ".ready").touch()
    monkeypatch.setattr(environment, "_install", done.append)
    return done


def test_a_second_run_installs_nothing(environment: ModuleType, installed: list[str]) -> None:
    environment.prepare("lab")
    environment.prepare("lab")
    assert installed == ["lab"]


def test_a_set_that_came_with_another_one_is_not_installed_again(environment: ModuleType, installed: list[str]) -> None:
    environment.prepare("test")
    environment.prepare("lab")
    assert installed == ["test"]


@pytest.mark.parametrize("file", ["requirements.txt", "requirements/lab.txt", "requirements/constraints.txt"])
def test_whatever_file_of_the_requirements_changes_they_are_installed_again(
    environment: ModuleType, installed: list[str], file: str
) -> None:
    environment.prepare("lab")
    (environment.ROOT / file).write_text("-r ../requirements.txt\n" if "lab" in file else "five==5\n")
    environment.prepare("lab")
    assert installed == ["lab", "lab"]


def test_an_installation_that_failed_is_tried_again(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    environment.PYTHON.parent.mkdir(parents=True)
    environment.PYTHON.symlink_to(sys.executable)
    (environment.VENV / ".ready").touch()
    monkeypatch.setattr(environment.subprocess, "call", lambda *_: 1)
    for _ in range(2):
        with pytest.raises(SystemExit, match="pip could not install"):
            environment.prepare("lab")


def test_azurite_is_installed_once_and_its_absence_is_no_failure(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (environment.ROOT / "package-lock.json").write_text("{}")
    (environment.ROOT / "node_modules").mkdir()
    called: list[int] = []
    answers = [1, 0]
    monkeypatch.setattr(environment.shutil, "which", lambda name: "/usr/bin/npm")
    monkeypatch.setattr(environment.subprocess, "call", lambda *_, **__: called.append(1) or answers[len(called) - 1])
    for _ in range(3):
        environment.prepare_azurite()
    assert len(called) == 2
    assert "The tests on Azurite are skipped." in capsys.readouterr().err


def test_an_old_python_is_told_which_one_is_needed() -> None:
    program = f"import sys; sys.version_info = (3, 6, 1); sys.path.insert(0, {str(SCRIPTS)!r}); import _bootstrap"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "This is Python 3.6; the project needs Python 3.10 or newer." in ended.stderr


@pytest.mark.skipif(os.name != "posix", reason="Windows has no executable bit.")
@pytest.mark.parametrize(
    "script", sorted(path.name for path in SCRIPTS.iterdir() if path.is_file() and not path.suffix)
)
def test_every_script_is_executable_and_says_what_it_does(script: str) -> None:
    path = SCRIPTS / script
    assert os.access(path, os.X_OK)
    assert path.read_text().splitlines()[1].startswith('"""')


def test_the_pipelines_call_the_test_command_of_the_readme() -> None:
    command = "python scripts/test"
    assert f"$ {command}\n" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == command
    assert f"run: {command}\n" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()
