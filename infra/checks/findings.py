"""What a check says: the check's name, the place, and what is wrong with the next step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong."""

    check: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message} [{self.check}]"


def place(root: Path, path: Path, line: int = 0) -> str:
    """`infra/main.bicep:12`, relative to the checked tree."""
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    return f"{name}:{line}" if line else name
