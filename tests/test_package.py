"""What is deployed: the app and what it imports, whichever tool publishes it."""

from pathlib import Path

import pathspec

from infra.hooks.build_package import sources

ROOT = Path(__file__).resolve().parent.parent


def test_what_core_tools_publishes_is_what_the_package_holds() -> None:
    ignored = pathspec.PathSpec.from_lines("gitignore", (ROOT / ".funcignore").read_text().splitlines())
    shipped = {path for path in sources(ROOT) if not ignored.match_file(path.as_posix())}
    assert shipped == set(sources(ROOT))
    operator = [path for path in (ROOT / "recovery").glob("*.py") if path.relative_to(ROOT) not in shipped]
    assert operator and all(ignored.match_file(path.relative_to(ROOT).as_posix()) for path in operator)


def test_the_operators_tools_the_lab_and_the_tests_are_not_deployed() -> None:
    folders = {path.parts[0] for path in sources(ROOT)}
    assert folders <= {"function_app.py", "host.json", "requirements.txt", "workflows", "recovery"}
