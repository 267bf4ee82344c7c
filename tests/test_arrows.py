"""The arrows between the packages point one way: lab → recovery → taskhub, and what ships knows nothing of the lab."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Package -> what it may not import. A name stands for everything below it.
FORBIDDEN = {
    "function_app.py": ("lab", "tests", "taskhub"),
    "workflows": ("lab", "tests", "taskhub"),
    "recovery": ("lab", "tests", "workflows"),
    "taskhub": ("lab", "recovery", "tests", "workflows"),
    "infra": ("lab", "tests"),
    "lab": ("tests", "workflows"),
}
SHIPPED_OF_RECOVERY = ("recovery.fence", "recovery.journal")


def imports(source: str, package: str) -> Iterator[str]:
    """The absolute names of all modules that the source imports, wherever in it; `package` resolves relative ones."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def files(top: str) -> list[Path]:
    place = ROOT / top
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def all_imports(top: str) -> Iterator[tuple[Path, str]]:
    for file in files(top):
        package = ".".join(file.relative_to(ROOT).parent.parts)
        for name in imports(file.read_text(encoding="utf-8"), package):
            yield file.relative_to(ROOT), name


def is_below(name: str, top: str) -> bool:
    return name == top or name.startswith(f"{top}.")


@pytest.mark.parametrize("top", FORBIDDEN)
def test_a_package_imports_nothing_that_stands_left_of_it(top: str) -> None:
    assert files(top), f"{top} is gone; correct the table"
    wrong = [
        f"{file}: {name}" for file, name in all_imports(top) if any(is_below(name, left) for left in FORBIDDEN[top])
    ]
    assert not wrong


@pytest.mark.parametrize("top", ["function_app.py", "workflows"])
def test_what_ships_imports_only_what_ships_of_recovery(top: str) -> None:
    used = [(file, name) for file, name in all_imports(top) if is_below(name, "recovery")]
    assert not [use for use in used if not any(is_below(use[1], shipped) for shipped in SHIPPED_OF_RECOVERY)]


def test_imports_are_found_wherever_and_however_they_are_written() -> None:
    source = "def f():\n    from lab import host\nimport lab.server\nfrom ..lab import x\nfrom . import y\n"
    assert list(imports(source, "taskhub.accounts")) == [
        "lab.server",
        "taskhub.lab.x",
        "taskhub.accounts.y",
        "lab.host",
    ]
