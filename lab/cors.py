"""Cross-origin requests: what the host answers a browser when local.settings.json or a flag names origins.

As Core Tools do it: ASP.NET Core's CORS middleware before everything else, any method and any header allowed, on every
route of the host. Without origins there is none of it, and OPTIONS reaches the functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.errors import SettingsError
from lab.host_json import value

Header = tuple[str, str]
ANY = "*"


@dataclass(frozen=True)
class Cors:
    """Whose pages may call the host."""

    origins: tuple[str, ...] = ()  # in small letters; ("*",) for all
    credentials: bool = False

    def is_preflight(self, method: str, headers: Mapping[str, str]) -> bool:
        """Whether the request only asks what would be allowed; it is answered with 204 and goes no further."""
        is_question = method.upper() == "OPTIONS" and "Access-Control-Request-Method" in headers
        return bool(self.origins) and is_question and "Origin" in headers

    def headers(self, method: str, headers: Mapping[str, str]) -> list[Header]:
        """What the answer to a request says of its origin, nothing when that is not allowed. `headers`: any case."""
        origin = headers.get("Origin")
        if origin is None or not self._allows(origin):
            return []
        found = [("Access-Control-Allow-Origin", ANY if self.origins == (ANY,) else origin)]
        if self.credentials:
            found.append(("Access-Control-Allow-Credentials", "true"))
        if len(self.origins) > 1:
            found.append(("Vary", "Origin"))
        if self.is_preflight(method, headers):
            asked = headers.get("Access-Control-Request-Headers", "")
            if names := ",".join(name.strip() for name in asked.split(",") if name.strip()):
                found.append(("Access-Control-Allow-Headers", names))
            found.append(("Access-Control-Allow-Methods", headers["Access-Control-Request-Method"]))
        return found

    def _allows(self, origin: str) -> bool:
        return self.origins == (ANY,) or origin in self.origins


def read_cors(local_host: Mapping[str, Any], flag: str | None, credentials: bool, notes: list[str]) -> Cors:
    """The origins of `--cors`, or else of Host.CORS in local.settings.json. SettingsError."""
    text = value(local_host, "CORS", None) if flag is None else flag
    if text is not None and not isinstance(text, str):
        raise SettingsError(f"local.settings.json: Host.CORS is {text!r}; origins in one text are expected.")
    origins = tuple(origin.strip().lower() for origin in (text or "").split(",") if origin.strip())
    for origin in origins:
        if origin.endswith("/"):
            notes.append(f"CORS: no browser sends the origin {origin} with a slash at its end, so it allows nobody.")
    with_credentials = credentials or _flag(value(local_host, "CORSCredentials", False))
    if origins == (ANY,) and with_credentials:
        raise SettingsError("CORS for every origin (*) cannot go with credentials. Name the origins one by one.")
    return Cors(origins, with_credentials and bool(origins))


def _flag(found: object) -> bool:
    if isinstance(found, str) and found.lower() in ("true", "false"):
        return found.lower() == "true"
    if not isinstance(found, bool):
        raise SettingsError(f"local.settings.json: Host.CORSCredentials is {found!r}; true or false is expected.")
    return found
