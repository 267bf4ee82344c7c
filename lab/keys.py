"""The host's keys, for those who want them asked for as on Azure: master, function and system key."""

from __future__ import annotations

import hmac
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.client_binding import SYSTEM_KEY
from lab.errors import SettingsError
from lab.incoming import Incoming


@dataclass(frozen=True)
class Keys:
    """What callers must present; the master key opens everything."""

    master: str
    function: str
    system: str

    def allow(self, request: Incoming, level: str) -> bool:
        """Whether a request may call a function of a level (ANONYMOUS, FUNCTION, ADMIN)."""
        if level.upper() == "ANONYMOUS":
            return True
        return self._presented(request, [self.master] if level.upper() == "ADMIN" else [self.master, self.function])

    def allow_hook(self, request: Incoming) -> bool:
        """Whether a request may call the Durable extension's webhook."""
        return self._presented(request, [self.master, self.system])

    def lines(self) -> list[str]:
        """What is printed at start."""
        return [
            "Keys are asked for, in the header x-functions-key or the query parameter code:",
            f"\tfunction: {self.function}",
            f"\t{SYSTEM_KEY} (webhook): {self.system}",
            f"\tmaster: {self.master}",
        ]

    def _presented(self, request: Incoming, valid: list[str]) -> bool:
        presented = request.header("x-functions-key") or request.parameter("code") or ""
        return any(hmac.compare_digest(presented.encode(), key.encode()) for key in valid)


def keep_keys(file: Path) -> Keys:
    """The keys in a file, made when it does not exist, so that links stay valid over a restart. SettingsError."""
    try:
        return Keys(**json.loads(file.read_text("utf-8")))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"{file} does not hold the host's keys: {error}. Delete it and start again.") from error
    keys = Keys(*(secrets.token_urlsafe(40) for _ in range(3)))
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        json.dump(asdict(keys), out, indent=2)
    return keys
