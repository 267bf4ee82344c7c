"""The journal's account of the small Azure: names and texts, each request with the fault that was ordered for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from recovery.records import RecordChanged

Stored = dict[str, str]
Request = Callable[[str, str, Callable[[Stored], Any]], Any]  # method, name, what it does to what is stored


class FakeRecords:
    """The records of the journal's account; a version is the text itself."""

    description = "stjfake"

    def __init__(self, request: Request) -> None:
        self._request = request

    def put(self, name: str, data: bytes, version: str | None = None, only_new: bool = False) -> str:
        def change(stored: Stored) -> str:
            found = stored.get(name)
            if (only_new and found is not None) or (version is not None and found != version):
                raise RecordChanged(f"{name} was changed meanwhile")
            stored[name] = data.decode()
            return stored[name]

        return str(self._request("PUT", name, change))

    def get(self, name: str) -> tuple[bytes, str] | None:
        found = self._request("GET", name, lambda stored: stored.get(name))
        return None if found is None else (found.encode(), found)

    def names(self, prefix: str = "") -> Iterator[str]:
        yield from self._request("GET", prefix, lambda stored: [n for n in sorted(stored) if n.startswith(prefix)])

    def delete(self, name: str) -> None:
        self._request("DELETE", name, lambda stored: stored.pop(name, None))
