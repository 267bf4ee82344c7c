"""Watches the files of an app, so that the host can load it anew when somebody has changed it (`--watch`)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

POLL_SECONDS = 0.5
SUFFIXES = frozenset([".py", ".json", ".env"])
NOT_THE_APP = frozenset(["__pycache__", "node_modules", "site-packages", "venv", "env"])
Snapshot = dict[Path, tuple[int, int]]  # modification time in nanoseconds, size


class Watch:
    """An app's folder, and how its files were when they were last looked at.

    Folders that begin with a dot, virtual environments and node_modules are no part of it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known = snapshot(root)

    async def changed(self) -> list[Path]:
        """Returns when files have changed and have then been left alone for a moment; which, relative to the root."""
        found: set[Path] = set()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            current = await asyncio.get_running_loop().run_in_executor(None, snapshot, self._root)
            before, self._known = self._known, current
            differing = {path for path in before.keys() | current.keys() if before.get(path) != current.get(path)}
            found |= differing
            if found and not differing:
                return sorted(path.relative_to(self._root) for path in found)


def snapshot(root: Path) -> Snapshot:
    """The app's files with their time and size."""
    found: Snapshot = {}
    for path in _files(root):
        try:
            state = path.stat()
        except OSError:  # gone since it was listed
            continue
        found[path] = (state.st_mtime_ns, state.st_size)
    return found


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if _is_of_the_app(Path(folder), name)]
        yield from (Path(folder) / name for name in files if Path(name).suffix in SUFFIXES or name == ".env")


def _is_of_the_app(folder: Path, name: str) -> bool:
    if name.startswith(".") or name in NOT_THE_APP:
        return False
    return not (folder / name / "pyvenv.cfg").exists()
