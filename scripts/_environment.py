"""The virtual environment `.venv`: made when it is missing, filled when the requirements changed, then used.

Plain Python on Linux, macOS and Windows; nothing but the standard library. A second run only compares a fingerprint.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")
NO_VENV = """This Python cannot make virtual environments ({}).
On Debian and Ubuntu: sudo apt-get install python3-venv; elsewhere: install Python from python.org."""


def run(requirements: str, *command: str) -> int:
    """Runs Python with `command` and the script's own arguments in the environment; on POSIX it does not return."""
    prepare(requirements)
    arguments = [str(PYTHON), *command, *sys.argv[1:]]
    if os.name == "posix":
        # In place of this process, so that its id, its signals and its exit code are the command's own.
        os.execve(PYTHON, arguments, environment())
    try:
        return subprocess.call(arguments, env=environment())
    except KeyboardInterrupt:
        return 130


def prepare(requirements: str) -> None:
    """Makes sure that `.venv` holds what `requirements/NAME.txt` asks for; says what it does when it does something."""
    wanted = fingerprint(requirements)
    noted = VENV / f".installed-{requirements}"
    if _works() and noted.exists() and noted.read_text() == wanted:
        return
    if not _works():
        _create()
    say(f"Installing requirements/{requirements}.txt into .venv (once; again when it changes) …")
    _install(requirements)
    for name in (requirements, *_contained(requirements)):
        (VENV / f".installed-{name}").write_text(fingerprint(name))


def prepare_azurite() -> None:
    """Installs the storage emulator of package.json if there is npm; the tests that need it are skipped otherwise."""
    npm, lock = shutil.which("npm"), ROOT / "package-lock.json"
    noted, wanted = ROOT / "node_modules" / ".installed", hashlib.sha256(lock.read_bytes()).hexdigest()
    if npm is None or (noted.exists() and noted.read_text() == wanted):
        return
    say("Installing Azurite into node_modules (once; again when package-lock.json changes) …")
    if subprocess.call([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=ROOT) == 0:
        noted.write_text(wanted)
    else:
        say("npm could not install Azurite; its own words are above. The tests on Azurite are skipped.")


def environment() -> dict[str, str]:
    """The variables with which commands run: the project's packages are found from any directory."""
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    places = [str(ROOT), *(path for path in others if path != str(ROOT))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), "VIRTUAL_ENV": str(VENV)}


def fingerprint(requirements: str) -> str:
    """Changes with any of the files that say what to install, and with the environment's Python."""
    digest = hashlib.sha256(_version().encode())
    for file in _files(ROOT / "requirements" / f"{requirements}.txt"):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def say(text: str) -> None:
    """To the person, not into the output of the command."""
    print(text, file=sys.stderr, flush=True)


def _files(file: Path) -> Iterator[Path]:
    """The file, and those it names with -r or -c."""
    yield file
    for line in file.read_text().splitlines():
        option, _, name = line.partition(" ")
        if option in ("-r", "-c"):
            yield from _files((file.parent / name.strip()).resolve())


def _contained(requirements: str) -> list[str]:
    """The other sets that come with this one."""
    files = _files(ROOT / "requirements" / f"{requirements}.txt")
    return [file.stem for file in files if file.parent.name == "requirements" and file.stem != requirements]


def _version() -> str:
    """The version of Python that the environment was made with, as it says itself."""
    try:
        lines = (VENV / "pyvenv.cfg").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition("=")[2].strip() for line in lines if line.startswith("version")), "")


def _works() -> bool:
    """Whether there is an environment whose Python still exists (it goes when Python is upgraded) and has pip."""
    return PYTHON.exists() and (VENV / ".ready").exists()


def _create() -> None:
    """A new environment; one that another tool left there is kept if it is good enough."""
    if PYTHON.exists() and subprocess.run([PYTHON, "-c", NEW_ENOUGH], capture_output=True).returncode == 0:
        say("Using the virtual environment .venv that is there.")
    else:
        say(f"Creating the virtual environment .venv with Python {sys.version.split()[0]} …")
        try:
            venv.create(VENV, with_pip=True, clear=True, symlinks=os.name == "posix")
        except (subprocess.CalledProcessError, ImportError, OSError) as error:
            sys.exit(NO_VENV.format(error))
    (VENV / ".ready").touch()


NEW_ENOUGH = "import sys, pip; sys.exit(sys.version_info < (3, 10))"


def _install(requirements: str) -> None:
    command = [str(PYTHON), *PIP, "install", "--quiet", "-r", str(ROOT / "requirements" / f"{requirements}.txt")]
    if subprocess.call(command) != 0:
        sys.exit("pip could not install the requirements; its own words are above. Run the same command again.")
