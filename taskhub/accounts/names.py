"""What tables, queues and containers may be called, by the storage service's rules."""

from __future__ import annotations

import re

from taskhub.errors import AccountError

_TABLE = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")
_QUEUE_OR_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9](-?[a-z0-9])*")


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


def _check(kind: str, name: str) -> None:
    if not _QUEUE_OR_CONTAINER.fullmatch(name):
        raise AccountError(
            f"A {kind} cannot be called {name!r}: 3 to 63 lower-case letters and digits, single dashes between them."
        )
