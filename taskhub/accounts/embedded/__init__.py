"""A storage account in a SQLite file, or in memory: no server, several processes at once, durable against a kill.

What was acknowledged survives the end of any process. A power cut may take the last moments, never the file.

file       the schema, and what can be wrong with a file
engine     operations of one turn of the event loop in one transaction
arrivals   waiting for messages
tables     queues     blobs     leases
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from taskhub.accounts import Account
from taskhub.accounts.embedded.blobs import EmbeddedBlobs
from taskhub.accounts.embedded.engine import PRIMARY, Engine
from taskhub.accounts.embedded.file import MEMORY, open_file
from taskhub.accounts.embedded.queues import EmbeddedQueues
from taskhub.accounts.embedded.tables import EmbeddedTables
from taskhub.clock import Clock, SystemClock

__all__ = ["MEMORY", "EmbeddedAccount", "open_embedded"]


@dataclass
class EmbeddedAccount(Account):
    """A storage account in a file of its own."""

    engine: Engine = field(kw_only=True)
    path: str = field(kw_only=True)

    @property
    def is_replicated(self) -> bool:
        (replicated,) = self.engine.db.execute("SELECT replicated FROM account").fetchone()
        return bool(replicated)

    async def close(self) -> None:
        self.engine.close()


def open_embedded(
    path: str | os.PathLike[str],
    clock: Clock | None = None,
    name: str | None = None,
    replicated: bool = False,
    state: str = PRIMARY,
) -> EmbeddedAccount:
    """Opens the account in a file, or in memory for `:memory:`; makes the file and its directories when missing.

    `name`, `replicated` (keep a log for a secondary) and `state` count when the file is made; later the file knows
    them. AccountNotUsable: it is not such a file, is of another version, or cannot be written.
    """
    place = os.fspath(path)
    connection = open_file(place, name, replicated, state)
    (account_name,) = connection.execute("SELECT name FROM account").fetchone()
    engine = Engine(connection, clock or SystemClock(), place)
    return EmbeddedAccount(
        name=account_name,
        tables=EmbeddedTables(engine),
        queues=EmbeddedQueues(engine),
        blobs=EmbeddedBlobs(engine, account_name),
        description=place,
        engine=engine,
        path=place,
    )
