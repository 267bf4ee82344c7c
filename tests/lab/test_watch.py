"""Watching an app's files: what counts as a change, and when it is told."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import virtual_time
from lab.virtual_time import VirtualClock
from lab.watch import Watch, snapshot


@pytest.fixture
def app(tmp_path: Path) -> Path:
    for name in ("function_app.py", "host.json", "shared/models.py", "README.md", ".venv/lib/x.py", "env2/pyvenv.cfg",
                 "env2/x.py", "node_modules/p/package.json", "__pycache__/x.py", ".lab/keys.json"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    return tmp_path


def changes(app: Path, *acts: Callable[[], object]) -> tuple[list[str], float]:
    """What is told, and when, of changes that are made one second apart."""

    async def main(clock: VirtualClock) -> tuple[list[str], float]:
        telling = asyncio.create_task(Watch(app).changed())
        begin = clock.now()
        for act in acts:
            await asyncio.sleep(1)
            act()
        found = await asyncio.wait_for(telling, 60)
        return [path.as_posix() for path in found], (clock.now() - begin).total_seconds()

    return virtual_time.run(main)


def test_an_apps_files_are_its_code_and_settings(app: Path) -> None:
    assert sorted(path.relative_to(app).as_posix() for path in snapshot(app)) == [
        "function_app.py",
        "host.json",
        "shared/models.py",
    ]


def test_a_change_is_told_within_two_seconds(app: Path) -> None:
    names, seconds = changes(app, lambda: (app / "shared/models.py").write_text("22"))
    assert names == ["shared/models.py"]
    assert seconds <= 3


def test_a_change_that_keeps_the_size_is_noticed_by_its_time(app: Path) -> None:
    assert changes(app, lambda: os.utime(app / "host.json", (1, 1)))[0] == ["host.json"]


def test_new_and_deleted_files_are_changes(app: Path) -> None:
    def both() -> None:
        (app / "new.py").write_text("1")
        (app / "function_app.py").unlink()

    assert changes(app, both)[0] == ["function_app.py", "new.py"]


def test_what_is_not_the_apps_is_no_change(app: Path) -> None:
    def elsewhere() -> None:
        for name in ("README.md", ".venv/lib/x.py", "env2/x.py", "node_modules/p/package.json", ".lab/keys.json"):
            (app / name).write_text("22")

    with pytest.raises(asyncio.TimeoutError):
        changes(app, elsewhere)
