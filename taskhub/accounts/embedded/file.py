"""The SQLite file of an embedded account: its schema, and what can be wrong with a file."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path

from taskhub.errors import AccountNotUsable

MEMORY = ":memory:"
APPLICATION_ID = 0x54534B48  # "TSKH", in the header of every file of ours
SCHEMA_VERSION = 1
OPEN_SECONDS = 10.0  # how long to wait for another process that is creating the same file

SCHEMA = """
CREATE TABLE account (name TEXT NOT NULL, state TEXT NOT NULL, replicated INTEGER NOT NULL);
CREATE TABLE tables (key TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE entities (
    tab TEXT NOT NULL, pk TEXT NOT NULL, rk TEXT NOT NULL,
    etag TEXT NOT NULL, written INTEGER NOT NULL, columns TEXT NOT NULL, dates TEXT NOT NULL,
    PRIMARY KEY (tab, pk, rk)
);
CREATE TABLE queues (name TEXT PRIMARY KEY);
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, id TEXT NOT NULL, receipt TEXT NOT NULL,
    dequeued INTEGER NOT NULL, inserted INTEGER NOT NULL, visible INTEGER NOT NULL, text TEXT NOT NULL
);
CREATE INDEX due ON messages (queue, visible, seq);
CREATE TABLE containers (name TEXT PRIMARY KEY);
CREATE TABLE blobs (
    container TEXT NOT NULL, name TEXT NOT NULL, etag TEXT NOT NULL, written INTEGER NOT NULL,
    size INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (container, name)
);
CREATE TABLE leases (
    container TEXT NOT NULL, blob TEXT NOT NULL, id TEXT NOT NULL, seconds INTEGER NOT NULL, expires INTEGER,
    PRIMARY KEY (container, blob)
);
CREATE TABLE log (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, service TEXT NOT NULL, unit TEXT NOT NULL,
    change TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL, content BLOB
);
CREATE TABLE applied (
    service TEXT NOT NULL, unit TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (service, unit)
);
"""


def default_name(path: str) -> str:
    """The account's name when none is given: the file's stem, lower case, letters and digits only."""
    if path == MEMORY:
        return "memory"
    return re.sub(r"[^a-z0-9]", "", Path(path).stem.lower())[:24] or "account"


def open_file(path: str, name: str | None, replicated: bool, state: str) -> sqlite3.Connection:
    """Opens or creates the file. AccountNotUsable says why not, in one line."""
    if path != MEMORY:
        _make_parents(Path(path))
    try:
        # An account may be opened in one thread and served by another's event loop, but by one at a time.
        connection = sqlite3.connect(
            path, isolation_level=None, timeout=OPEN_SECONDS, cached_statements=512, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise AccountNotUsable(f"{path} cannot be opened or created: {error}.") from error
    try:
        _prepare(connection, path, name, replicated, state)
    except sqlite3.Error as error:
        connection.close()
        raise AccountNotUsable(_reason(path, error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _make_parents(path: Path) -> None:
    if path.is_dir():
        raise AccountNotUsable(f"{path} is a directory; name a file in it, for example {path / 'account.db'}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AccountNotUsable(f"The directory of {path} cannot be created: {error.strerror or error}.") from error


def _prepare(connection: sqlite3.Connection, path: str, name: str | None, replicated: bool, state: str) -> None:
    # Reading the header first: neither a foreign file nor one of another version may be touched. In one transaction,
    # since another process may be creating the file.
    connection.execute("BEGIN")
    _check_header(connection, path)
    connection.execute("COMMIT")
    _switch_to_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("BEGIN IMMEDIATE")
    try:
        _check_header(connection, path)
        if _pragma(connection, "user_version") == 0:
            _create(connection, name or default_name(path), replicated, state)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    connection.execute("PRAGMA busy_timeout = 0")


def _check_header(connection: sqlite3.Connection, path: str) -> None:
    application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if application == 0 and version == 0 and empty:
        return
    if application != APPLICATION_ID:
        raise AccountNotUsable(f"{path} is a database of another program, not a storage account. Name another file.")
    if version != SCHEMA_VERSION:
        raise AccountNotUsable(
            f"{path} was written in format {version} and this version reads format {SCHEMA_VERSION}: "
            "use the version that wrote it, or another file."
        )


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait for other processes here, whatever its busy timeout.
    deadline = time.monotonic() + OPEN_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _create(connection: sqlite3.Connection, name: str, replicated: bool, state: str) -> None:
    for statement in SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute("INSERT INTO account VALUES (?, ?, ?)", (name, state, int(replicated)))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _reason(path: str, error: sqlite3.Error) -> str:
    text = str(error)
    if "not a database" in text or "malformed" in text:
        return f"{path} is not a storage account's file ({text}). Name another file, or remove this one."
    if "readonly" in text or "read-only" in text:
        return f"{path} cannot be written: the file or its directory is read-only."
    if "locked" in text:
        return f"{path} is locked by another program for more than {OPEN_SECONDS:.0f} seconds."
    return f"{path} cannot be opened or created: {text}."
