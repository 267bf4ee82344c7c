"""The accounts that the contract is checked on: a file, memory, and Azurite where it is installed."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from taskhub.accounts import Account, open_account
from taskhub.clock import ManualClock

ROOT = Path(__file__).resolve().parents[3]

PassTime = Callable[[float], Awaitable[None]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """A running Azurite of its own; its connection string."""
    if shutil.which("node") is None:
        pytest.skip("Azurite needs Node.js; install it and run this again to check the contract on it too")
    if not (ROOT / "node_modules" / "azurite").exists():
        pytest.skip("Azurite is not installed; `npm ci` installs it, and then the contract is checked on it too")
    port = free_ports()
    command = [sys.executable, str(ROOT / "scripts" / "azurite"), "--in-memory", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(process, port)
        yield connection_string(port)
    finally:
        process.terminate()
        process.wait(10)


def connection_string(port: int) -> str:
    from taskhub.accounts.azure.connect import AZURITE_KEY

    parts = ["DefaultEndpointsProtocol=http", "AccountName=devstoreaccount1", f"AccountKey={AZURITE_KEY}"]
    for number, service in enumerate(("Blob", "Queue", "Table")):
        parts.append(f"{service}Endpoint=http://127.0.0.1:{port + number}/devstoreaccount1")
    return ";".join(parts)


def free_ports() -> int:
    """The first of three neighbouring free ports."""
    while True:
        with contextlib.ExitStack() as stack:
            try:
                first = stack.enter_context(socket.socket())
                first.bind(("127.0.0.1", 0))
                port = int(first.getsockname()[1])
                for offset in (1, 2):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
                return port
            except (OSError, OverflowError):
                continue


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    for service in range(3):
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port + service}/devstoreaccount1", timeout=5)
            except urllib.error.HTTPError:
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, "Azurite did not start"
                time.sleep(0.05)


@pytest.fixture(params=["file", "memory", "azurite"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def account(
    kind: str, clock: ManualClock, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Account]:
    specification = {"file": str(tmp_path / "account.db"), "memory": ":memory:"}.get(kind)
    account = await open_account(specification or request.getfixturevalue("azurite"), clock)
    yield account
    await account.close()


@pytest.fixture
def pass_time(kind: str, clock: ManualClock) -> PassTime:
    """Lets time pass: the injected clock's, or Azurite's own, which only real waiting moves."""

    async def wait(seconds: float) -> None:
        if kind == "azurite":
            await asyncio.sleep(seconds)
        clock.advance(timedelta(seconds=seconds))

    return wait


@pytest.fixture
def name() -> str:
    """A name that no other test uses, good for tables, queues and containers."""
    return f"t{secrets.token_hex(6)}"


@pytest_asyncio.fixture
async def table(account: Account, name: str) -> str:
    await account.tables.create(name)
    return name


@pytest_asyncio.fixture
async def queue(account: Account, name: str) -> str:
    await account.queues.create(name)
    return name


@pytest_asyncio.fixture
async def container(account: Account, name: str) -> str:
    await account.blobs.create(name)
    return name
