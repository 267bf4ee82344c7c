"""What a command has begun and not finished, in a file, so that a killed command goes on where it was.

The file is a memory of intentions and addresses, never of facts: what is true is read from Azure each time.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

PREVIEW_VALID = timedelta(minutes=30)


@dataclass
class Begun:
    """A command that was agreed to and has not ended."""

    command: str
    target: str
    planned: bool
    started: str
    fence: bool = False
    without_take_over: bool = False
    sku: str = ""
    old_region_confirmed: bool = False
    stopped_at: str = ""
    account_begun: bool = False
    operation: str = ""
    loss: str = ""
    timings: dict[str, float] = field(default_factory=dict)


@dataclass
class OperatorState:
    """The file's content."""

    path: Path | None = None
    begun: Begun | None = None
    shown: str = ""
    shown_at: str = ""
    removed_roles: list[dict[str, Any]] = field(default_factory=list)
    original_sku: str = ""

    @classmethod
    def load(cls, path: Path) -> OperatorState:
        """The state of this deployment; empty when there is no file."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(path)
        begun = document.pop("begun", None)
        return cls(path=path, begun=Begun(**begun) if begun else None, **document)

    def save(self) -> None:
        """Replaces the file as a whole: a kill leaves the old one or the new one."""
        if self.path is None:
            return
        document = {k: v for k, v in asdict(self).items() if k != "path"}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replacement = self.path.with_suffix(".new")
        replacement.write_text(json.dumps(document, indent=1), encoding="utf-8")
        os.replace(replacement, self.path)

    def remember_shown(self, what: str, now: datetime) -> None:
        """The operator has seen what this command would do and lose."""
        self.shown, self.shown_at = what, now.isoformat()
        self.save()

    def was_shown(self, what: str, now: datetime) -> bool:
        """Whether that was the same command, not long ago."""
        return self.shown == what and now - datetime.fromisoformat(self.shown_at) <= PREVIEW_VALID

    def end(self) -> None:
        """The command is finished."""
        self.begun, self.shown, self.shown_at = None, "", ""
        self.save()
