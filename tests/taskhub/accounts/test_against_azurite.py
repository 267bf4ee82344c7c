"""The embedded account answers as Azurite does, whatever is asked of both in whatever order."""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
import sys
from collections.abc import Awaitable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskhub.accounts import Account, Entity, QueueMessage, Write, open_account
from taskhub.errors import AccountError
from tests.taskhub.accounts.conftest import ROOT, connection_string, free_ports, wait_for

MINUTE = timedelta(minutes=1)
OLD = "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""
HOLDERS = {name: f"{number:08x}-0000-0000-0000-000000000000" for number, name in enumerate("AB", start=1)}

rows = st.tuples(
    st.sampled_from(["insert", "upsert", "update", "delete"]),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from([{}, {"n": 1}, {"m": True}, {"n": "text"}]),
    st.sampled_from(["merge", "replace"]),
    st.sampled_from(["any", "current", "old"]),
)
holders = st.sampled_from(["A", "B"])
targets = st.sampled_from([None, "blob"])
steps = st.one_of(
    st.tuples(st.just("write"), st.lists(rows, min_size=1, max_size=3, unique_by=lambda row: row[1])),
    st.tuples(st.just("put"), st.booleans()),
    st.tuples(st.just("take")),
    st.tuples(st.just("update"), st.integers(0, 5), st.booleans(), st.booleans()),
    st.tuples(st.just("delete"), st.integers(0, 5)),
    st.tuples(st.just("lease"), st.sampled_from(["acquire", "renew", "release"]), targets, holders),
    st.tuples(st.just("change"), targets, holders, holders),
    st.tuples(st.just("break"), targets),
    st.tuples(st.just("write blob"), st.sampled_from([None, "A", "B"])),
    st.tuples(st.just("delete blob"), st.sampled_from([None, "A", "B"])),
)


class Player:
    """Plays steps on one account and notes what came of each."""

    def __init__(self, account: Account, name: str) -> None:
        self.account = account
        self.name = name
        self.held: list[QueueMessage] = []
        self.sent = 0

    async def begin(self) -> None:
        await self.account.tables.create(self.name)
        await self.account.queues.create(self.name)
        await self.account.blobs.create(self.name)

    async def play(self, step: tuple[Any, ...]) -> Any:
        act = getattr(self, step[0].replace(" ", "_") if step[0] != "break" else "break_lease")
        try:
            return await act(*step[1:])
        except AccountError as error:
            return type(error).__name__

    async def write(self, planned: list[tuple[Any, ...]]) -> list[Entity]:
        writes = [await self._write(*row) for row in planned]
        if len(writes) == 1:
            await self.account.tables.write(self.name, writes[0])
        else:
            await self.account.tables.transact(self.name, writes)
        return [row.entity async for row in self.account.tables.rows(self.name)]

    async def _write(self, kind: Any, key: str, columns: Entity, mode: Any, condition: str) -> Write:
        etag = OLD if condition == "old" else None
        if condition == "current" and (row := await self.account.tables.get(self.name, "p", key)):
            etag = row.etag
        return Write(kind, {"PartitionKey": "p", "RowKey": key, **columns}, mode, etag)

    async def put(self, visible: bool) -> int:
        self.sent += 1
        delay = timedelta(0) if visible else MINUTE
        self.held.append(await self.account.queues.put(self.name, f"{self.sent:02}", delay))
        return await self.account.queues.count(self.name)

    async def take(self) -> list[tuple[str, int]]:
        taken = await self.account.queues.get(self.name, 32, MINUTE)
        taken.sort(key=lambda message: message.text)
        self.held += taken
        return [(message.text, message.dequeue_count) for message in taken]

    async def update(self, which: int, visible: bool, changed: bool) -> str:
        if not self.held:
            return "nothing held"
        message = self.held[which % len(self.held)]
        text = message.text + "'" if changed else None
        delay = timedelta(0) if visible else MINUTE
        updated = await self.account.queues.update(self.name, message, delay, text)
        self.held.append(updated)
        return updated.text

    async def delete(self, which: int) -> int:
        if self.held:
            await self.account.queues.delete(self.name, self.held[which % len(self.held)])
        return await self.account.queues.count(self.name)

    async def lease(self, act: Literal["acquire", "renew", "release"], target: str | None, holder: str) -> bool:
        blobs, lease = self.account.blobs, HOLDERS[holder]
        calls: dict[str, Awaitable[Any]] = {}
        if act == "acquire":
            calls[act] = blobs.acquire_lease(self.name, target, 60, lease)
        else:
            calls[act] = (blobs.renew_lease if act == "renew" else blobs.release_lease)(self.name, target, lease)
        await calls[act]
        return await blobs.leased(self.name, target)

    async def change(self, target: str | None, holder: str, other: str) -> bool:
        await self.account.blobs.change_lease(self.name, target, HOLDERS[holder], HOLDERS[other])
        return await self.account.blobs.leased(self.name, target)

    async def break_lease(self, target: str | None) -> bool:
        await self.account.blobs.break_lease(self.name, target)
        return await self.account.blobs.leased(self.name, target)

    async def write_blob(self, holder: str | None) -> bytes:
        await self.account.blobs.put(self.name, "blob", b"x", HOLDERS.get(holder or ""))
        return await self.account.blobs.get(self.name, "blob")

    async def delete_blob(self, holder: str | None) -> bool:
        return await self.account.blobs.delete(self.name, "blob", HOLDERS.get(holder or ""))


async def played(specification: str, planned: list[tuple[Any, ...]]) -> list[Any]:
    account = await open_account(specification)
    player = Player(account, f"t{secrets.token_hex(6)}")
    await player.begin()
    outcomes = [(step, await player.play(step)) for step in planned]
    await account.close()
    return outcomes


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(planned=st.lists(steps, min_size=5, max_size=25))
def test_the_embedded_account_answers_as_azurite_does(azurite: str, planned: list[tuple[Any, ...]]) -> None:
    async def both() -> tuple[list[Any], list[Any]]:
        return await played(":memory:", planned), await played(azurite, planned)

    embedded, real = asyncio.run(both())
    assert embedded == real


def started(data: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "scripts" / "azurite"), "--data", str(data), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(process, port)
    return process


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a stop is a signal here")
def test_an_account_carries_on_when_azurite_was_stopped_and_started_again(azurite: str, tmp_path: Path) -> None:
    port = free_ports()

    async def scenario() -> None:
        process = started(tmp_path, port)
        account = await open_account(connection_string(port))
        await account.queues.create("q-1")
        await account.queues.put("q-1", "before")
        process.terminate()
        process.wait(20)
        put = asyncio.ensure_future(account.queues.put("q-1", "meanwhile"))
        await asyncio.sleep(0)
        process = await asyncio.to_thread(started, tmp_path, port)
        await asyncio.wait_for(put, 30)
        assert [message.text for message in await account.queues.peek("q-1")] == ["before", "meanwhile"]
        await account.close()
        process.terminate()
        process.wait(20)

    asyncio.run(scenario())
