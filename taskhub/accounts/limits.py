"""What the storage service takes: names of tables, queues and containers, and texts of messages."""

from __future__ import annotations

import re

from taskhub.errors import AccountError

MAX_TEXT = 64 * 1024  # bytes of UTF-8

_TABLE = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")
_QUEUE_OR_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9](-?[a-z0-9])*")

# A message travels in XML, which has no way to write these.
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def check_table(name: str) -> None:
    """AccountError: a table cannot be called that."""
    if not _TABLE.fullmatch(name):
        raise AccountError(f"A table cannot be called {name!r}: 3 to 63 letters and digits, a letter first.")


def check_queue(name: str) -> None:
    """AccountError: a queue cannot be called that."""
    _check("queue", name)


def check_container(name: str) -> None:
    """AccountError: a container cannot be called that."""
    _check("container", name)


def check_text(text: str) -> None:
    """AccountError: a queue does not take that text; sent all the same, it would be lost at the next get."""
    # Nearly every text is printable, and that is known at a glance.
    if not text.isprintable() and (found := _NOT_IN_XML.search(text)):
        raise AccountError(f"A message cannot hold the character {found.group()!r}.")
    size = len(text) if text.isascii() else len(text.encode())
    if size > MAX_TEXT:
        raise AccountError(f"A message of {size} bytes is too large: a queue takes {MAX_TEXT}.")


def _check(kind: str, name: str) -> None:
    if not _QUEUE_OR_CONTAINER.fullmatch(name):
        raise AccountError(
            f"A {kind} cannot be called {name!r}: 3 to 63 lower-case letters and digits, single dashes between them."
        )
