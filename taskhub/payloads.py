"""Texts that are too large for a queue message or a table column, kept as compressed blobs."""

from __future__ import annotations

import gzip
import zlib

from taskhub.accounts import Account
from taskhub.errors import NotFound, Undecodable
from taskhub.layout import escape_key

MESSAGE_LIMIT = 45 * 1024  # bytes of UTF-8 JSON in one queue message
COLUMN_LIMIT = 30 * 1024  # UTF-16 units in one table column


def is_large_column(text: str) -> bool:
    """Whether a text goes to a blob instead of a column (counted in UTF-16 units, as .NET does)."""
    if len(text) * 2 <= COLUMN_LIMIT:
        return False
    return len(text) > COLUMN_LIMIT or len(text.encode("utf-16-le", "surrogatepass")) // 2 > COLUMN_LIMIT


class LargePayloads:
    """The container of large payloads; it is created when it is first needed."""

    def __init__(self, account: Account, container: str) -> None:
        self.account = account
        self.container = container
        self._created = False

    async def write(self, name: str, text: bytes) -> str:
        """Stores a text under a blob name and returns the name."""
        if not self._created:
            await self.account.blobs.create(self.container)
            self._created = True
        data = gzip.compress(text, compresslevel=1, mtime=0)
        try:
            await self.account.blobs.put(self.container, name, data)
        except NotFound:  # somebody deleted the container meanwhile
            await self.account.blobs.create(self.container)
            await self.account.blobs.put(self.container, name, data)
        return name

    async def read(self, name: str) -> bytes:
        """The text of a blob. NotFound: it is missing; Undecodable: it is not what was written."""
        data = await self.account.blobs.get(self.container, name)
        try:
            return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        except (OSError, EOFError, zlib.error) as error:
            raise Undecodable(f"blob {self.container}/{name} is damaged: {error}") from error

    def url(self, name: str) -> str:
        """The address that an Instances row holds in place of a large text."""
        return self.account.blobs.url(self.container, name)

    def name_of(self, url: str) -> str | None:
        """The blob name behind such an address, None when the text is no address of this container."""
        if not url.startswith(("http://", "https://")):
            return None
        try:
            parsed = self.account.blobs.parse_url(url)
        except ValueError:  # somebody's text that only begins like an address
            return None
        return parsed[1] if parsed and parsed[0] == self.container else None

    async def delete_of(self, instance_id: str) -> None:
        """Deletes the blobs of one instance (and, unlike the platform, of no other whose id begins alike)."""
        names = [blob.name async for blob in self.account.blobs.list(self.container, f"{escape_key(instance_id)}/")]
        for name in names:
            await self.account.blobs.delete(self.container, name)
