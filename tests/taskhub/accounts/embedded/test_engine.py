"""An embedded account under many hands: tasks, processes, kills, and values it cannot keep."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from taskhub.accounts import Write
from taskhub.accounts.embedded import EmbeddedAccount, open_embedded
from taskhub.clock import ManualClock
from taskhub.errors import AccountError, AccountUnreachable, Conflict

ROOT = Path(__file__).resolve().parents[4]
MINUTE = timedelta(minutes=1)

COUNTING = """
import asyncio, sys
from taskhub.accounts import Write, open_account
from taskhub.errors import PreconditionFailed

async def main(path, who, times):
    account = await open_account(path)
    for n in range(times):
        await account.queues.put("q-1", f"{who}-{n}")
        while True:
            row = await account.tables.get("Counts", "p", "r")
            try:
                changed = {**row.entity, "n": row.entity["n"] + 1}
                await account.tables.write("Counts", Write("update", changed, etag=row.etag))
                break
            except PreconditionFailed:
                pass
    await account.close()
    print("done")

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""

BURST = """
import asyncio, sys
from taskhub.accounts import Write, open_account

async def main(path):
    account = await open_account(path)
    async def one(n):
        rows = [Write("insert", {"PartitionKey": f"{n:05}", "RowKey": str(i)}) for i in range(10)]
        await account.tables.transact("Rows", rows)
        await account.queues.put("q-1", f"{n:05}")
        print(f"{n:05}", flush=True)
    for n in range(0, 100000, 4):
        await asyncio.gather(*(one(n + i) for i in range(4)))

asyncio.run(main(sys.argv[1]))
"""


def run(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.asyncio
async def test_two_processes_share_a_file(tmp_path: Path) -> None:
    account = open_embedded(tmp_path / "account.db")
    await account.queues.create("q-1")
    await account.tables.create("Counts")
    await account.tables.write("Counts", Write("insert", {"PartitionKey": "p", "RowKey": "r", "n": 0}))
    processes = [run(COUNTING, account.path, who, "100") for who in "ab"]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["done\n", "done\n"]
    row = await account.tables.get("Counts", "p", "r")
    assert row is not None and row.entity["n"] == 200
    taken = []
    while batch := await account.queues.get("q-1", 32, MINUTE):
        taken += [message.text for message in batch]
    assert sorted(taken) == sorted(f"{who}-{n}" for who in "ab" for n in range(100))
    # each process's own messages come in the order in which it put them
    assert [text for text in taken if text.startswith("a")] == [f"a-{n}" for n in range(100)]
    await account.close()


@pytest.mark.parametrize("acknowledged", [1, 30, 150])
@pytest.mark.asyncio
async def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path, acknowledged: int) -> None:
    account = open_embedded(tmp_path / "account.db")
    await account.queues.create("q-1")
    await account.tables.create("Rows")
    process = run(BURST, account.path)
    assert process.stdout is not None
    known = {process.stdout.readline().strip() for _ in range(acknowledged)}
    process.kill()
    known |= set(process.communicate()[0].split())

    sizes: dict[str, int] = {}
    async for row in account.tables.rows("Rows"):
        partition = str(row.entity["PartitionKey"])
        sizes[partition] = sizes.get(partition, 0) + 1
    found = account.engine.db.execute("SELECT text FROM messages").fetchall()
    assert known <= set(sizes) and known <= {text for (text,) in found}
    assert set(sizes.values()) == {10}  # every transaction whole
    assert account.engine.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    await account.close()


@pytest.mark.asyncio
async def test_many_open_a_new_file_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "account.db")
    script = "import sys; from taskhub.accounts.embedded import open_embedded; print(open_embedded(sys.argv[1]).name)"
    processes = [run(script, path) for _ in range(4)]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["account\n"] * 4


@pytest.mark.asyncio
async def test_an_account_keeps_what_it_was_given_when_it_is_closed(tmp_path: Path) -> None:
    account = open_embedded(tmp_path / "account.db")
    await account.queues.create("q-1")
    put = asyncio.ensure_future(account.queues.put("q-1", "x"))
    await asyncio.sleep(0)
    await account.close()
    assert (await put).text == "x"
    again = open_embedded(tmp_path / "account.db")
    assert await again.queues.count("q-1") == 1
    await again.close()


@pytest.mark.asyncio
async def test_thousands_of_operations_of_one_turn_are_all_carried_out_in_their_order() -> None:
    account = open_embedded(":memory:")
    await account.queues.create("q-1")
    sent = await asyncio.gather(*(account.queues.put("q-1", str(n)) for n in range(1203)))
    assert [message.text for message in sent] == [str(n) for n in range(1203)]
    found = account.engine.db.execute("SELECT text FROM messages ORDER BY visible, seq").fetchall()
    assert [text for (text,) in found] == [message.text for message in sent]


@pytest.mark.asyncio
async def test_a_closed_account_says_so() -> None:
    account = open_embedded(":memory:")
    await account.close()
    await account.close()
    with pytest.raises(AccountError, match="closed"):
        await account.queues.names()


@pytest.mark.asyncio
async def test_a_refused_operation_does_not_disturb_the_others_of_its_turn() -> None:
    account = open_embedded(":memory:")
    await account.tables.create("Rows")
    write = Write("insert", {"PartitionKey": "p", "RowKey": "r"})
    answers = await asyncio.gather(
        account.tables.write("Rows", write),
        account.tables.write("Rows", write),
        account.queues.create("q-1"),
        return_exceptions=True,
    )
    assert isinstance(answers[0], str) and isinstance(answers[1], Conflict) and answers[2] is True


@pytest.mark.parametrize("value", [object(), b"bytes", 2**63, float("nan"), datetime(2026, 1, 2), [1]])
@pytest.mark.asyncio
async def test_a_value_that_a_table_cannot_keep_is_refused_alone(value: Any) -> None:
    account = open_embedded(":memory:")
    await account.tables.create("Rows")
    bad = Write("insert", {"PartitionKey": "p", "RowKey": "bad", "n": value})
    good = Write("insert", {"PartitionKey": "p", "RowKey": "good", "n": 1})
    answers = await asyncio.gather(
        account.tables.write("Rows", good), account.tables.write("Rows", bad), return_exceptions=True
    )
    assert isinstance(answers[0], str) and isinstance(answers[1], AccountError)
    assert [row.entity["RowKey"] async for row in account.tables.rows("Rows")] == ["good"]


@pytest.mark.asyncio
async def test_an_accident_in_one_operation_leaves_the_others_whole() -> None:
    account = open_embedded(":memory:")
    await account.tables.create("Rows")
    broken = Write("insert", {"PartitionKey": "p", "RowKey": "x", 3: "no text"})  # type: ignore[dict-item]
    surrogate = Write("insert", {"PartitionKey": "\ud800", "RowKey": "x"})
    good = Write("insert", {"PartitionKey": "p", "RowKey": "good"})
    answers = await asyncio.gather(
        *(account.tables.write("Rows", write) for write in (good, surrogate, broken)), return_exceptions=True
    )
    assert isinstance(answers[0], str) and isinstance(answers[1], AccountError)
    assert "good" in [row.entity["RowKey"] async for row in account.tables.rows("Rows")]


@pytest.mark.asyncio
async def test_lone_surrogates_survive_in_columns_and_are_refused_in_messages() -> None:
    account = open_embedded(":memory:")
    await account.tables.create("Rows")
    await account.queues.create("q-1")
    entity = {"PartitionKey": "p", "RowKey": "r", "text": "a\ud800b\x00c"}
    await account.tables.write("Rows", Write("insert", dict(entity)))
    found = await account.tables.get("Rows", "p", "r")
    assert found is not None and found.entity == entity
    with pytest.raises(AccountError):
        await account.queues.put("q-1", "a\ud800b")


@pytest.mark.asyncio
async def test_a_cancelled_operation_is_not_carried_out() -> None:
    account = open_embedded(":memory:")
    await account.queues.create("q-1")
    put = asyncio.ensure_future(account.queues.put("q-1", "x"))
    await asyncio.sleep(0)
    put.cancel()
    assert await account.queues.count("q-1") == 0


@pytest.mark.asyncio
async def test_time_is_the_clocks() -> None:
    clock = ManualClock(datetime(2030, 1, 1, tzinfo=timezone.utc))
    account = open_embedded(":memory:", clock)
    await account.queues.create("q-1")
    message = await account.queues.put("q-1", "x", timedelta(days=7))
    assert (message.inserted, message.next_visible) == (clock.now(), clock.now() + timedelta(days=7))
    clock.advance(timedelta(days=7) - timedelta(microseconds=1))
    assert await account.queues.peek("q-1") == []
    clock.advance(timedelta(microseconds=1))
    assert [peeked.text for peeked in await account.queues.peek("q-1")] == ["x"]


@pytest.mark.asyncio
async def test_a_blob_of_20_mb_fits(tmp_path: Path) -> None:
    account = open_embedded(tmp_path / "account.db")
    await account.blobs.create("ccc")
    data = bytes(20_000_000)
    await account.blobs.put("ccc", "large", data)
    assert await account.blobs.get("ccc", "large") == data
    await account.close()


@pytest.mark.asyncio
async def test_another_process_in_the_middle_of_a_write_is_waited_for(tmp_path: Path) -> None:
    account = open_embedded(tmp_path / "account.db")
    await account.queues.create("q-1")
    other = hold(account)
    put = asyncio.ensure_future(account.queues.put("q-1", "x"))
    await asyncio.sleep(0.01)
    assert not put.done()
    other.execute("COMMIT")
    assert (await asyncio.wait_for(put, 10)).text == "x"
    await account.close()


@pytest.mark.asyncio
async def test_a_file_that_stays_locked_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskhub.accounts.embedded.engine.BUSY_SECONDS", 0.02)
    account = open_embedded(tmp_path / "account.db")
    other = hold(account)
    with pytest.raises(AccountUnreachable, match="locked"):
        await account.queues.create("q-1")
    other.execute("COMMIT")
    assert await account.queues.create("q-1") is True
    await account.close()


def hold(account: EmbeddedAccount) -> sqlite3.Connection:
    """Somebody else's write transaction."""
    other = sqlite3.connect(account.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


@pytest.mark.asyncio
async def test_an_account_may_be_served_by_another_thread_than_the_one_that_opened_it() -> None:
    account = open_embedded(":memory:")
    assert await asyncio.to_thread(lambda: asyncio.run(account.queues.create("q-1"))) is True


def test_an_account_serves_one_event_loop_after_the_other() -> None:
    account = open_embedded(":memory:")
    assert asyncio.run(account.queues.create("q-1")) is True
    assert asyncio.run(account.queues.names()) == ["q-1"]
