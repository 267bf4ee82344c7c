"""What the commands that read a task hub share: their arguments, the opening of accounts, progress and exit codes."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from recovery import app_settings
from recovery.errors import RecoveryError
from recovery.hub_version import ensure_known_version
from recovery.hubs import find_hub, live_leases
from recovery.journal import DEFAULT_HUB, JournalOfAnotherHub
from recovery.records import RecordsUnreachable
from taskhub.accounts import Account, open_account
from taskhub.accounts.embedded import EmbeddedAccount
from taskhub.clock import Clock
from taskhub.errors import AccountNotUsable, TaskHubError
from taskhub.hub import TaskHub

PROGRESS_STEP = 500


def carry_out(command: str, run: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Runs a command: its own code, 2 with one line when something cannot be read, 130 when interrupted."""
    try:
        with _quiet():
            return asyncio.run(run())
    except (RecoveryError, TaskHubError, RecordsUnreachable, JournalOfAnotherHub, OSError) as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{command}: interrupted. What was done stays; run it again to go on.", file=sys.stderr)
        return 130


@contextmanager
def _quiet() -> Iterator[None]:
    """What the libraries log on the way to an error is in the error's own words."""
    loggers = [logging.getLogger(name) for name in ("azure", "recovery.journal")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def add_account(result: argparse.ArgumentParser) -> None:
    """--storage and --hub, as every command that reads a hub has them."""
    result.add_argument(
        "--storage",
        default=os.environ.get("AzureWebJobsStorage", ""),
        help="file of an embedded account, connection string, UseDevelopmentStorage=true or identity:NAME; "
        "the setting AzureWebJobsStorage if omitted",
    )
    result.add_argument("--hub", help="name of the task hub; not needed when the account holds one")


def add_journal(result: argparse.ArgumentParser, what_for: str = "") -> None:
    """--journal, --journal-hub and --other-account."""
    place = "directory, connection string or identity:NAME"
    result.add_argument(
        "--journal", default="", help=f"{place}, {what_for or 'the setting JOURNAL_STORAGE if omitted'}"
    )
    result.add_argument("--journal-hub", default=DEFAULT_HUB, help=f"the app's setting JOURNAL_HUB ({DEFAULT_HUB})")
    result.add_argument("--other-account", action="store_true", help="although its requests went to another account")


def add_output(result: argparse.ArgumentParser) -> None:
    """--json and --html."""
    result.add_argument("--json", action="store_true", help="print the report as JSON")
    result.add_argument("--html", type=Path, metavar="FILE", help="also write the report as a page")


def account_of(options: argparse.Namespace, hub: TaskHub) -> str:
    """The account that the journal's requests must have gone to; a file's name, or the emulator's, says nothing."""
    says_nothing = isinstance(hub.account, EmbeddedAccount) or hub.account.name == app_settings.EMULATOR
    return "" if options.other_account or says_nothing else hub.account.name


@asynccontextmanager
async def opened(options: argparse.Namespace, clock: Clock | None) -> AsyncIterator[tuple[TaskHub, list[str]]]:
    """The hub that the arguments name, of a version that is known, and in words who holds leases on it."""
    account = await _open_existing(options.storage, clock)
    try:
        hub = await find_hub(account, options.hub, clock)
        await ensure_known_version(hub)
        yield hub, await live_leases(hub)
    finally:
        await account.close()


async def _open_existing(specification: str, clock: Clock | None = None) -> Account:
    """Opens an account that must exist: an embedded account's file is not created by looking for it."""
    looks_like_file = not any(mark in specification for mark in ("=", "://")) and not specification.startswith(
        "identity:"
    )
    if specification.strip() and looks_like_file and not Path(specification).exists():
        raise AccountNotUsable(f"There is no storage account's file {specification}.")
    if specification.strip() and looks_like_file and Path(specification).stat().st_size == 0:
        raise AccountNotUsable(f"{specification} is empty; it is not a storage account's file.")
    return await open_account(specification, clock)


def check_page(page: Path | None) -> None:
    """RecoveryError: the page that the report goes to cannot be written; known before anything else is done."""
    if page is None:
        return
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.open("a").close()
    except OSError as error:
        why = f"The page {page} cannot be written: {error.strerror}. Name another with --html."
        raise RecoveryError(why) from error


class Progress:
    """How much was done, on a terminal: a bar where it is known how much there is."""

    def __init__(self, what: str = "instances", total: int = 0) -> None:
        self.what = what
        self.total = total
        self.is_shown = sys.stderr.isatty()
        self._last = 0

    def __call__(self, count: int) -> None:
        if self.is_shown and abs(count - self._last) >= max(1, min(PROGRESS_STEP, self.total // 100 or PROGRESS_STEP)):
            print(f"\r{self._text(count)}", end="", file=sys.stderr, flush=True)
            self._last = count

    def _text(self, count: int) -> str:
        if not self.total:
            return f"{count:,} {self.what}"
        done = min(1.0, count / self.total)
        return f"[{'#' * int(30 * done):30}] {count:,} of {self.total:,} {self.what}"

    def clear(self) -> None:
        """Takes the bar away."""
        if self._last:
            print("\r" + " " * 79 + "\r", end="", file=sys.stderr, flush=True)
            self._last = 0
