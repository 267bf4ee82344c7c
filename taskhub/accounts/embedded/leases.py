"""Leases on blobs and containers: who holds them and until when, by the rules of the blob service.

The rules are those of "Lease Blob" and "Lease Container": a lease that ran out stays renewable and releasable for its
last holder until somebody else takes it or writes the blob; a broken one can only be taken anew or released.
"""

from __future__ import annotations

import uuid
from typing import NamedTuple

from taskhub.accounts.embedded.engine import Engine
from taskhub.errors import Conflict, NotFound, PreconditionFailed

SECOND = 1_000_000
FOR_EVER = -1
BROKEN = 0  # in the column `seconds`


class Lease(NamedTuple):
    """A lease as the file keeps it: `expires` in microseconds, None: never."""

    id: str
    seconds: int
    expires: int | None

    def runs(self, now: int) -> bool:
        return self.seconds != BROKEN and (self.expires is None or self.expires > now)


class Leases:
    """The leases of an account; every method runs within a transaction. The blob "" is the container itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._db = engine.db

    def acquire(self, container: str, name: str | None, seconds: int, lease_id: str | None) -> str:
        lease = self._find(container, name or "")
        wanted = lease_id or str(uuid.uuid4())
        if lease and lease.runs(self._engine.now) and lease.id != wanted:
            raise Conflict(f"{_what(container, name)} is leased by somebody else.")
        self._keep(container, name, wanted, seconds)
        return wanted

    def renew(self, container: str, name: str | None, lease_id: str) -> None:
        lease = self._find(container, name or "")
        if lease is None or lease.id != lease_id or lease.seconds == BROKEN:
            raise Conflict(f"{_what(container, name)}: lease {lease_id} is not held and cannot be renewed.")
        self._keep(container, name, lease_id, lease.seconds)

    def change(self, container: str, name: str | None, lease_id: str, new_id: str) -> None:
        lease = self._find(container, name or "")
        if lease is None or not lease.runs(self._engine.now) or lease.id not in (lease_id, new_id):
            raise Conflict(f"{_what(container, name)}: lease {lease_id} is not held and cannot be changed.")
        self._keep(container, name, new_id, lease.seconds)

    def release(self, container: str, name: str | None, lease_id: str) -> None:
        lease = self._find(container, name or "")
        if lease is None or lease.id != lease_id:
            raise Conflict(f"{_what(container, name)}: lease {lease_id} is not held and cannot be released.")
        self._forget(container, name or "")

    def break_(self, container: str, name: str | None) -> None:
        self._db.execute(
            "UPDATE leases SET seconds = ? WHERE container = ? AND blob = ?", (BROKEN, container, name or "")
        )

    def active(self, container: str, blob: str) -> bool:
        """Whether somebody holds the lease now."""
        lease = self._read(container, blob)
        return lease is not None and lease.runs(self._engine.now)

    def check_write(self, container: str, blob: str, lease_id: str | None) -> None:
        """Refuses a write that the blob's lease forbids; a lease that ran out ends for good with a write."""
        lease = self._read(container, blob)
        running = lease is not None and lease.runs(self._engine.now)
        if running and lease is not None and lease.id != lease_id:
            raise PreconditionFailed(f"Blob {container}/{blob} is leased by somebody else.")
        if not running and lease_id is not None:
            raise PreconditionFailed(f"Blob {container}/{blob}: lease {lease_id} is no longer held.")
        if not running and lease is not None:
            self._forget(container, blob)

    def _find(self, container: str, blob: str) -> Lease | None:
        """The lease on something that exists."""
        if blob:
            found = self._db.execute("SELECT 1 FROM blobs WHERE container = ? AND name = ?", (container, blob))
        else:
            found = self._db.execute("SELECT 1 FROM containers WHERE name = ?", (container,))
        if found.fetchone() is None:
            raise NotFound(f"{_what(container, blob)} does not exist in {self._engine.description}.")
        return self._read(container, blob)

    def _read(self, container: str, blob: str) -> Lease | None:
        row = self._db.execute(
            "SELECT id, seconds, expires FROM leases WHERE container = ? AND blob = ?", (container, blob)
        ).fetchone()
        return None if row is None else Lease(*row)

    def _keep(self, container: str, name: str | None, lease_id: str, seconds: int) -> None:
        expires = None if seconds == FOR_EVER else self._engine.now + seconds * SECOND
        self._db.execute(
            "INSERT OR REPLACE INTO leases (container, blob, id, seconds, expires) VALUES (?, ?, ?, ?, ?)",
            (container, name or "", lease_id, seconds, expires),
        )

    def _forget(self, container: str, blob: str) -> None:
        self._db.execute("DELETE FROM leases WHERE container = ? AND blob = ?", (container, blob))


def _what(container: str, name: str | None) -> str:
    return f"Blob {container}/{name}" if name else f"Container {container}"
