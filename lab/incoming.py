"""One HTTP request as it arrived, its path and query read as the Functions host (Kestrel, ASP.NET) reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl, quote, unquote_to_bytes

ENCODED_SLASH = re.compile(r"(%2[fF])")
ESCAPE = re.compile(r"(%[0-9a-fA-F]{2})")
PATH_LETTERS = "!$&'()*+,-./:;=@_~"


@dataclass(frozen=True)
class Incoming:
    """A request before anybody has decided what it is for."""

    method: str
    scheme: str
    host: str  # with the port, as the caller wrote it
    target: str  # path and query, as sent
    headers: list[tuple[str, str]]
    body: bytes

    @cached_property
    def raw_path(self) -> str:
        return self.target.partition("?")[0]

    @cached_property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}"

    @cached_property
    def url(self) -> str:
        """The caller's own URL; its path is escaped anew where it has to be, its query is as sent."""
        _, mark, query = self.target.partition("?")
        return self.origin + encode_path(self.path) + mark + query

    @cached_property
    def path(self) -> str:
        """The path with its escapes undone (an escaped slash stays escaped) and its dot segments folded."""
        return fold_dots(decode_path(self.raw_path))

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's values; a repeated name's are joined with commas. Names keep the letters of their first use."""
        found: dict[str, list[str]] = {}
        names: dict[str, str] = {}
        pairs = parse_qsl(self.target.partition("?")[2], keep_blank_values=True, errors="replace")
        for name, value in pairs:
            found.setdefault(names.setdefault(name.lower(), name), []).append(value)
        return {name: ",".join(values) for name, values in found.items()}

    @cached_property
    def _lower_query(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.query.items()}

    def parameter(self, name: str) -> str | None:
        """A query parameter, its name in any letters."""
        return self._lower_query.get(name.lower())

    def header(self, name: str) -> str | None:
        """A header's first value."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def decode_path(raw: str) -> str:
    """Undoes the escapes of a path, except those of slashes and those that are not UTF-8."""
    if "%" not in raw:
        return raw
    return "".join(part if ENCODED_SLASH.fullmatch(part) else _unescape(part) for part in ENCODED_SLASH.split(raw))


def encode_path(path: str) -> str:
    """Escapes what a path may not hold as it is; escapes that are still in it stay (ASP.NET's PathString)."""
    return "".join(part if ESCAPE.fullmatch(part) else quote(part, safe=PATH_LETTERS) for part in ESCAPE.split(path))


def _unescape(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        return text


def fold_dots(path: str) -> str:
    """A path without `.` and `..` segments (RFC 3986, 5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    parts = path.split("/")
    for position, part in enumerate(parts):
        if part == "..":
            if len(kept) > 1:
                kept.pop()
        elif part != ".":
            kept.append(part)
            continue
        if position == len(parts) - 1:
            kept.append("")
    return "/".join(kept)
