"""One storage account: the interface of tables, queues and blobs that a task hub needs, and how to open one.

The interface says what Azure Storage does, as far as DurableTask.AzureStorage relies on it; each alternative in
this folder keeps it, and `tests/taskhub/accounts/test_contract.py` proves it for all of them:

    embedded   a SQLite file (or ":memory:"), several processes at once, no server
    azure      Azurite or a real account, through the official SDK clients

Errors are those of `taskhub.errors`: NotFound, Conflict, PreconditionFailed, AccountUnreachable.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from taskhub.clock import Clock
from taskhub.errors import AccountNotUsable

Value = str | int | bool | float | datetime  # Edm.String, Int32, Boolean, Double, DateTime (aware, UTC, microseconds)
Entity = dict[str, Value]  # with PartitionKey and RowKey; a column that is null is absent
Mode = Literal["merge", "replace"]

MAX_TRANSACTION = 100  # operations in one entity-group transaction
MAX_GET = 32  # messages in one get
NO_DELAY = timedelta(0)
FORMS = (
    "Name an embedded account's file (such as .lab/account.db) or :memory:, a connection string, "
    "UseDevelopmentStorage=true for Azurite, or identity:NAME for an account opened by identity."
)
_SERVICE_ADDRESS = re.compile(r"https://([a-z0-9]+)\.(?:blob|queue|table)\.core\.windows\.net/?$")


@dataclass(frozen=True)
class Row:
    """An entity as the table service returns it."""

    entity: Entity
    etag: str
    timestamp: datetime  # the service's own time of the last write


@dataclass(frozen=True)
class Write:
    """One operation of an entity-group transaction (all of one partition key).

    `insert` fails with Conflict when the row exists; `upsert` needs nothing; `update` fails with NotFound when the
    row is missing and with PreconditionFailed when `etag` is not the current one (None: any); `delete` likewise.
    """

    kind: Literal["insert", "upsert", "update", "delete"]
    entity: Entity  # for delete only the keys are read
    mode: Mode = "replace"
    etag: str | None = None


@dataclass(frozen=True)
class Where:
    """One condition on a column: `op` is eq, ne, ge, gt, le or lt."""

    column: str
    op: Literal["eq", "ne", "ge", "gt", "le", "lt"]
    value: Value


@dataclass(frozen=True)
class Query:
    """Which rows to read, in key order: all `where` conditions hold, and one of `any_of` if there are any.

    Keys are columns like any other (`Where("PartitionKey", "ge", …)`); a row without the column matches no condition.
    """

    where: Sequence[Where] = ()
    any_of: Sequence[Where] = ()
    select: Sequence[str] = ()  # empty: all columns; the keys always come along


@dataclass(frozen=True)
class Page:
    """Some rows, and where to go on (None: that was the last page)."""

    rows: list[Row]
    token: str | None


class Tables(Protocol):
    """The table service of an account. Table names are case-insensitive (but not on Azurite 3.35)."""

    async def create(self, table: str) -> bool:
        """Creates the table; False when it was there."""
        ...

    async def drop(self, table: str) -> None:
        """Deletes the table and its rows; nothing happens when it is missing."""
        ...

    async def names(self) -> list[str]:
        """The names of all tables, sorted."""
        ...

    async def get(self, table: str, partition: str, row: str) -> Row | None:
        """One row, None when it is missing. NotFound: no such table."""
        ...

    async def write(self, table: str, write: Write) -> str:
        """One operation; returns the new etag (of a delete: the empty string)."""
        ...

    async def transact(self, table: str, writes: Sequence[Write]) -> list[str]:
        """All of the operations or none, at most 100 on one partition key; returns the new etags.

        The error is that of the first operation that fails.
        """
        ...

    async def page(self, table: str, query: Query, token: str | None = None, size: int = 1000) -> Page:
        """Up to `size` rows of a query, in the order of (PartitionKey, RowKey), from where `token` points."""
        ...

    def rows(self, table: str, query: Query = Query()) -> AsyncIterator[Row]:  # noqa: B008
        """All rows of a query, page by page."""
        ...


@dataclass(frozen=True)
class QueueMessage:
    """A message as a put, get, update or peek returns it."""

    id: str
    text: str
    pop_receipt: str  # empty after a peek
    dequeue_count: int
    inserted: datetime
    next_visible: datetime


class Queues(Protocol):
    """The queue service of an account. Messages never expire."""

    async def create(self, queue: str) -> bool:
        """Creates the queue; False when it was there."""
        ...

    async def drop(self, queue: str) -> None:
        """Deletes the queue and its messages; nothing happens when it is missing."""
        ...

    async def names(self, prefix: str = "") -> list[str]:
        """The names of all queues, sorted."""
        ...

    async def put(self, queue: str, text: str, delay: timedelta = NO_DELAY) -> QueueMessage:
        """Adds a message that is invisible for `delay` (whole seconds on Azure, at most 7 days).

        The answer carries a pop receipt with which the sender itself may update or delete the message.
        """
        ...

    async def get(self, queue: str, count: int, visibility: timedelta) -> list[QueueMessage]:
        """Takes up to `count` (at most 32) visible messages, which become invisible for `visibility`; oldest first."""
        ...

    async def update(
        self, queue: str, message: QueueMessage, visibility: timedelta, text: str | None = None
    ) -> QueueMessage:
        """Changes when a message is visible again, and its text if one is given; returns it with its new pop receipt.

        NotFound: the message is gone, or its pop receipt is no longer the current one.
        """
        ...

    async def delete(self, queue: str, message: QueueMessage) -> None:
        """Deletes a message. NotFound: it is gone, or its pop receipt is no longer the current one."""
        ...

    async def peek(self, queue: str, count: int = MAX_GET) -> list[QueueMessage]:
        """Up to `count` visible messages, left as they are."""
        ...

    async def count(self, queue: str) -> int:
        """How many messages the queue holds, visible or not (approximate on Azure)."""
        ...

    async def clear(self, queue: str) -> None:
        """Deletes all messages."""
        ...

    async def arrived(self, queues: Sequence[str], timeout: float) -> None:
        """Returns when one of the queues may have a visible message, at the latest after `timeout` seconds.

        A hint that saves polling, never a promise: it is woken by puts of this process, and where that is cheap by
        those of other processes and by delays that end.
        """
        ...


@dataclass(frozen=True)
class Blob:
    """A blob's properties."""

    name: str
    size: int
    etag: str
    last_modified: datetime
    leased: bool


class Blobs(Protocol):
    """The blob service of an account: block blobs, and leases on blobs and containers.

    `name=None` in a lease call means the container itself.
    """

    async def create(self, container: str) -> bool:
        """Creates the container; False when it was there."""
        ...

    async def drop(self, container: str) -> None:
        """Deletes the container and its blobs; nothing happens when it is missing."""
        ...

    async def names(self, prefix: str = "") -> list[str]:
        """The names of all containers, sorted."""
        ...

    async def put(
        self,
        container: str,
        name: str,
        data: bytes,
        lease_id: str | None = None,
        if_match: str | None = None,
        only_new: bool = False,
    ) -> str:
        """Writes a blob and returns its etag.

        NotFound: no such container. Conflict: `only_new` and it exists. PreconditionFailed: `if_match` is not its
        etag, or it is leased and `lease_id` is not the lease's.
        """
        ...

    async def get(self, container: str, name: str) -> bytes:
        """A blob's content. NotFound: no such blob or container."""
        ...

    async def properties(self, container: str, name: str) -> Blob | None:
        """A blob's properties, None when it or its container is missing."""
        ...

    async def delete(self, container: str, name: str, lease_id: str | None = None) -> bool:
        """Deletes a blob; False when it was missing. PreconditionFailed: it is leased by somebody else."""
        ...

    def list(self, container: str, prefix: str = "") -> AsyncIterator[Blob]:
        """The blobs whose name begins with the prefix, by name; none when the container is missing."""
        ...

    async def acquire_lease(self, container: str, name: str | None, seconds: int, lease_id: str | None = None) -> str:
        """Takes the lease for 15 to 60 seconds (-1: for ever) and returns its id.

        Succeeds again for the id that holds it. Conflict: another id holds it. NotFound: nothing to lease.
        """
        ...

    async def renew_lease(self, container: str, name: str | None, lease_id: str) -> None:
        """Begins the lease's time anew, also of an expired one that nobody took. Conflict: another id holds it."""
        ...

    async def change_lease(self, container: str, name: str | None, lease_id: str, new_id: str) -> None:
        """Hands the lease to another id. Conflict: it is not held, or by another id."""
        ...

    async def release_lease(self, container: str, name: str | None, lease_id: str) -> None:
        """Frees the lease. Conflict: that id does not hold it."""
        ...

    async def break_lease(self, container: str, name: str | None) -> None:
        """Frees the lease whoever holds it; nothing happens when there is none."""
        ...

    async def leased(self, container: str, name: str | None) -> bool:
        """Whether somebody holds the lease now; False when there is nothing to lease."""
        ...

    def url(self, container: str, name: str) -> str:
        """The blob's absolute address, as it is written into Instances rows."""
        ...

    def parse_url(self, url: str) -> tuple[str, str] | None:
        """(container, name) of an address in this account, None when it is of another account."""
        ...


@dataclass
class Account:
    """A storage account: three services under one name."""

    name: str
    tables: Tables
    queues: Queues
    blobs: Blobs
    description: str = ""  # for messages to people: a path or an endpoint, never a key

    @property
    def is_replicated(self) -> bool:
        """Whether a copy in this lab follows the account write by write; what real ones do is their own affair."""
        return False

    async def close(self) -> None:
        """Lets go of files and connections; the account cannot be used afterwards."""
        raise NotImplementedError


async def open_account(specification: str, clock: Clock | None = None) -> Account:
    """Opens the account that `--storage` names.

    `:memory:`, the path of an embedded account's file, a connection string, `UseDevelopmentStorage=true`, or
    `identity:NAME` / `https://NAME.queue.core.windows.net` for a real account by identity.
    AccountNotUsable: the text says what was asked for and which forms exist.
    """
    kind = _kind(specification)
    # Imported only when needed: the embedded account works without the Azure SDK, and the other way round.
    if kind == "embedded":
        from taskhub.accounts.embedded import open_embedded

        return open_embedded(specification, clock)
    from taskhub.accounts.azure import open_by_identity, open_connection_string

    if kind == "identity":
        return open_by_identity(_account_name(specification))
    return open_connection_string(specification)


def _kind(specification: str) -> Literal["embedded", "connection string", "identity"]:
    if not specification.strip():
        raise AccountNotUsable(f"No storage account is named. {FORMS}")
    if re.search(r"(^|;)\s*(UseDevelopmentStorage|AccountName|\w+Endpoint|SharedAccessSignature)\s*=", specification):
        return "connection string"
    if specification.startswith("identity:") or _SERVICE_ADDRESS.match(specification):
        return "identity"
    if "://" in specification or "AccountKey=" in specification:
        shown = specification.split("=")[0][:60]  # never a key
        raise AccountNotUsable(f"{shown!r}… is no storage account that can be opened. {FORMS}")
    return "embedded"


def _account_name(specification: str) -> str:
    address = _SERVICE_ADDRESS.match(specification)
    name = address.group(1) if address else specification.removeprefix("identity:")
    if not re.fullmatch(r"[a-z0-9]{3,24}", name):
        raise AccountNotUsable(f"{name!r} cannot be a storage account's name: 3 to 24 lower-case letters and digits.")
    return name
