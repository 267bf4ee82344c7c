"""What a drill is: a value that reads as the runbook. `run.py` is the only code that executes one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.drills.scene import Scene

Step = Callable[["Scene"], Awaitable[None]]  # its docstring's first line is what people are told about it
Check = Callable[["Scene"], "str | None"]  # what is wrong, None when nothing is


@dataclass(frozen=True)
class Drill:
    """A failure brought about on purpose.

    `work` sets the scene, `gate` says whether the region may be lost now, `fault` is the failure, `recovery` what
    people do about it, `verdict` what must hold in the end.
    """

    name: str
    question: str
    planned: bool
    work: tuple[Step, ...]
    gate: tuple[Step, ...]
    fault: tuple[Step, ...]
    recovery: tuple[Step, ...]
    verdict: tuple[Check, ...]
