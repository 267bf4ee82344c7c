"""The blob service of an embedded account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from taskhub.accounts import Blob
from taskhub.accounts.embedded.engine import Engine
from taskhub.accounts.embedded.leases import Leases
from taskhub.accounts.embedded.times import from_micros
from taskhub.accounts.limits import check_container
from taskhub.errors import AccountError, Conflict, NotFound, PreconditionFailed

MAX_NAME = 1024  # characters

_PROPERTIES = "container, name, size, etag, written"


class EmbeddedBlobs:
    """Containers, blobs and their leases in the account's file."""

    def __init__(self, engine: Engine, account_name: str) -> None:
        self._engine = engine
        self._db = engine.db
        self._leases = Leases(engine)
        self._address = f"https://{account_name}.blob.core.windows.net"

    async def create(self, container: str) -> bool:
        return await self._engine.write(self._create, container)

    async def drop(self, container: str) -> None:
        await self._engine.write(self._drop, container)

    async def names(self, prefix: str = "") -> list[str]:
        return list(await self._engine.read(self._names, prefix))

    async def put(
        self,
        container: str,
        name: str,
        data: bytes,
        lease_id: str | None = None,
        if_match: str | None = None,
        only_new: bool = False,
    ) -> str:
        return await self._engine.write(self._put, container, name, bytes(data), lease_id, if_match, only_new)

    async def get(self, container: str, name: str) -> bytes:
        return await self._engine.read(self._get, container, name)

    async def properties(self, container: str, name: str) -> Blob | None:
        return await self._engine.read(self._properties, container, name)

    async def delete(self, container: str, name: str, lease_id: str | None = None) -> bool:
        return await self._engine.write(self._delete, container, name, lease_id)

    async def list(self, container: str, prefix: str = "") -> AsyncIterator[Blob]:
        for blob in await self._engine.read(self._list, container, prefix):
            yield blob

    async def acquire_lease(self, container: str, name: str | None, seconds: int, lease_id: str | None = None) -> str:
        if seconds != -1 and not 15 <= seconds <= 60:
            raise AccountError(f"A lease lasts 15 to 60 seconds, or for ever (-1), not {seconds}.")
        return await self._engine.write(self._leases.acquire, container, name, seconds, lease_id)

    async def renew_lease(self, container: str, name: str | None, lease_id: str) -> None:
        await self._engine.write(self._leases.renew, container, name, lease_id)

    async def change_lease(self, container: str, name: str | None, lease_id: str, new_id: str) -> None:
        await self._engine.write(self._leases.change, container, name, lease_id, new_id)

    async def release_lease(self, container: str, name: str | None, lease_id: str) -> None:
        await self._engine.write(self._leases.release, container, name, lease_id)

    async def break_lease(self, container: str, name: str | None) -> None:
        await self._engine.write(self._leases.break_, container, name)

    async def leased(self, container: str, name: str | None) -> bool:
        return await self._engine.read(self._leases.active, container, name or "")

    def url(self, container: str, name: str) -> str:
        return f"{self._address}/{container}/{quote(name, safe='/')}"

    def parse_url(self, url: str) -> tuple[str, str] | None:
        parts = urlsplit(url)
        container, _, name = parts.path.lstrip("/").partition("/")
        if f"{parts.scheme}://{parts.netloc}" != self._address or not container or not name:
            return None
        return container, unquote(name)

    # -- within a transaction

    def _create(self, container: str) -> bool:
        check_container(container)
        added = self._db.execute("INSERT INTO containers VALUES (?) ON CONFLICT DO NOTHING", (container,)).rowcount == 1
        if added and self._engine.replicated:
            self._engine.log("blob", container, "created", "", {})
        return added

    def _drop(self, container: str) -> None:
        if self._leases.active(container, ""):
            raise PreconditionFailed(f"Container {container} is leased and cannot be deleted.")
        if self._engine.replicated and self._exists(container):
            for (name,) in self._db.execute("SELECT name FROM blobs WHERE container = ?", (container,)).fetchall():
                self._engine.log("blob", f"{container}/{name}", "deleted", name, {})
            self._engine.log("blob", container, "dropped", "", {})
        for statement in ("leases WHERE container", "blobs WHERE container", "containers WHERE name"):
            self._db.execute(f"DELETE FROM {statement} = ?", (container,))

    def _names(self, prefix: str) -> Sequence[str]:
        found = self._db.execute("SELECT name FROM containers ORDER BY name").fetchall()
        return [name for (name,) in found if name.startswith(prefix)]

    def _exists(self, container: str) -> bool:
        return self._db.execute("SELECT 1 FROM containers WHERE name = ?", (container,)).fetchone() is not None

    def _put(
        self, container: str, name: str, data: bytes, lease_id: str | None, if_match: str | None, only_new: bool
    ) -> str:
        if not self._exists(container):
            raise NotFound(f"There is no container {container} in {self._engine.description}.")
        if not 1 <= len(name) <= MAX_NAME:
            raise AccountError(f"A blob's name has 1 to {MAX_NAME} characters, not {len(name)}.")
        current = self._etag(container, name)
        if only_new and current is not None:
            raise Conflict(f"Blob {container}/{name} exists already.")
        if if_match is not None and if_match != current and not (if_match == "*" and current):
            raise PreconditionFailed(f"Blob {container}/{name} was written by somebody else meanwhile.")
        if current is not None:  # a blob that is not there yet may be written with any lease id
            self._leases.check_write(container, name, lease_id)
        etag = f'"0x{self._engine.new_etag().upper()}"'
        self._db.execute(PUT_BLOB, (container, name, etag, self._engine.now, len(data), data))
        if self._engine.replicated:
            state = {"etag": etag, "written": self._engine.now}
            self._engine.log("blob", f"{container}/{name}", "put", name, state, data)
        return etag

    def _etag(self, container: str, name: str) -> str | None:
        row = self._db.execute("SELECT etag FROM blobs WHERE container = ? AND name = ?", (container, name)).fetchone()
        return None if row is None else str(row[0])

    def _get(self, container: str, name: str) -> bytes:
        row = self._db.execute("SELECT data FROM blobs WHERE container = ? AND name = ?", (container, name)).fetchone()
        if row is None:
            raise NotFound(f"There is no blob {container}/{name} in {self._engine.description}.")
        return bytes(row[0])

    def _properties(self, container: str, name: str) -> Blob | None:
        row = self._db.execute(
            f"SELECT {_PROPERTIES} FROM blobs WHERE container = ? AND name = ?", (container, name)
        ).fetchone()
        return None if row is None else self._blob(row)

    def _delete(self, container: str, name: str, lease_id: str | None) -> bool:
        if self._etag(container, name) is None:
            return False
        self._leases.check_write(container, name, lease_id)
        self._db.execute("DELETE FROM leases WHERE container = ? AND blob = ?", (container, name))
        self._db.execute("DELETE FROM blobs WHERE container = ? AND name = ?", (container, name))
        if self._engine.replicated:
            self._engine.log("blob", f"{container}/{name}", "deleted", name, {})
        return True

    def _list(self, container: str, prefix: str) -> Sequence[Blob]:
        found = self._db.execute(
            f"SELECT {_PROPERTIES} FROM blobs WHERE container = ? AND substr(name, 1, ?) = ? ORDER BY name",
            (container, len(prefix), prefix),
        ).fetchall()
        return [self._blob(row) for row in found]

    def _blob(self, row: tuple[Any, ...]) -> Blob:
        container, name, size, etag, written = row
        return Blob(name, size, etag, from_micros(written), self._leases.active(container, name))


PUT_BLOB = (
    "INSERT INTO blobs (container, name, etag, written, size, data) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (container, name) DO UPDATE SET etag = excluded.etag, written = excluded.written, "
    "size = excluded.size, data = excluded.data"
)
