"""Plain operations per second of each storage account, and what grouping commits brings.

    python bench/accounts.py                    memory, a file, and a file with one transaction per operation
    python bench/accounts.py --azurite          and an Azurite of its own, in memory
    python bench/accounts.py --json             for programs

`1 task` asks for one thing after the other, `64 tasks` for 64 things in every turn of the event loop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from taskhub.accounts import Account, Entity, Query, Where, Write, open_account  # noqa: E402
from taskhub.accounts.embedded import EmbeddedAccount, open_embedded  # noqa: E402

TEXT = json.dumps({"$type": "DurableTask.AzureStorage.MessageData", "Event": {"Input": "x" * 700}})
MINUTE = timedelta(minutes=1)
CROWD = 64
AZURITE_PORT = 10400

Operation = Callable[[Account, int], Awaitable[Any]]


def history_row(partition: str, row: int) -> Entity:
    return {
        "PartitionKey": partition,
        "RowKey": f"{row:016X}",
        "EventType": "TaskCompleted",
        "EventId": -1,
        "IsPlayed": False,
        "_Timestamp": datetime.now(timezone.utc),
        "TaskScheduledId": row,
        "Result": '"Hello Tokyo!"',
        "ExecutionId": "4f6e0c7b9a7d4d3f8f5e1a2b3c4d5e6f",
    }


async def put(account: Account, n: int) -> None:
    await account.queues.put("bench-queue", TEXT)


async def get_and_delete(account: Account, n: int) -> None:
    for message in await account.queues.get("bench-queue", 1, MINUTE):
        await account.queues.delete("bench-queue", message)


async def get_none(account: Account, n: int) -> None:
    await account.queues.get("bench-queue", 32, timedelta(seconds=1))


async def upsert(account: Account, n: int) -> None:
    await account.tables.write("BenchHistory", Write("upsert", history_row(f"order-{n % 500}", n)))


async def merge(account: Account, n: int) -> None:
    status: Entity = {
        "PartitionKey": f"order-{n % 500}",
        "RowKey": "",
        "RuntimeStatus": "Running",
        "CustomStatus": "null",
    }
    await account.tables.write("BenchInstances", Write("upsert", status, "merge"))


async def transact_10(account: Account, n: int) -> None:
    rows = [Write("upsert", history_row(f"checkpoint-{n}", row)) for row in range(10)]
    await account.tables.transact("BenchHistory", rows)


async def point_read(account: Account, n: int) -> None:
    await account.tables.get("BenchInstances", f"order-{n % 500}", "")


async def read_10_rows(account: Account, n: int) -> None:
    await account.tables.page("BenchHistory", Query([Where("PartitionKey", "eq", f"checkpoint-{n}")]))


async def put_blob(account: Account, n: int) -> None:
    await account.blobs.put("bench", f"message-{n % 100}", b"x" * 60_000)


OPERATIONS: list[tuple[str, Operation]] = [
    ("put", put),
    ("get + delete", get_and_delete),
    ("get, nothing there", get_none),
    ("upsert a row", upsert),
    ("merge a row", merge),
    ("transaction of 10", transact_10),
    ("read a row", point_read),
    ("read 10 rows", read_10_rows),
    ("put 60 KB blob", put_blob),
]


async def measure(account: Account, operation: Operation, times: int, tasks: int) -> float:
    numbers = iter(range(times))

    async def work() -> None:
        for n in numbers:
            await operation(account, n)

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(tasks)))
    return times / (time.perf_counter() - began)


async def bench(account: Account, times: int) -> dict[str, dict[str, float]]:
    await account.queues.create("bench-queue")
    await account.tables.create("BenchHistory")
    await account.tables.create("BenchInstances")
    await account.blobs.create("bench")
    results: dict[str, dict[str, float]] = {}
    for name, operation in OPERATIONS:
        few = max(20, times // 10) if "10" in name or "blob" in name else times
        results[name] = {
            "1 task": await measure(account, operation, few, 1),
            f"{CROWD} tasks": await measure(account, operation, few, CROWD),
        }
    await account.close()
    return results


def one_by_one(account: EmbeddedAccount) -> EmbeddedAccount:
    """The simple design: every operation in a transaction of its own, at once."""
    engine = account.engine

    async def write(work: Callable[..., Any], *arguments: Any) -> Any:
        return engine.run_now(work, *arguments)

    async def read(work: Callable[..., Any], *arguments: Any) -> Any:
        return work(*arguments)

    engine.write = write  # type: ignore[method-assign]
    engine.read = read  # type: ignore[method-assign]
    return account


@contextmanager
def azurite() -> Iterator[str]:
    from taskhub.accounts.azure.connect import AZURITE_KEY

    command = [sys.executable, str(ROOT / "scripts" / "azurite"), "--in-memory", "--port", str(AZURITE_PORT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout or ():
            if "Table service is successfully listening" in line:
                break
        ports = zip(("Blob", "Queue", "Table"), range(AZURITE_PORT, AZURITE_PORT + 3), strict=True)
        endpoints = [f"{name}Endpoint=http://127.0.0.1:{port}/devstoreaccount1" for name, port in ports]
        yield ";".join(["AccountName=devstoreaccount1", f"AccountKey={AZURITE_KEY}", *endpoints])
    finally:
        process.terminate()
        process.wait(10)


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--times", type=int, default=4000, help="how often each operation runs")
    parser.add_argument("--azurite", action="store_true", help="measure an Azurite too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    results: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        results["memory"] = await bench(await open_account(":memory:"), options.times)
        results["file"] = await bench(await open_account(f"{directory}/grouped.db"), options.times)
        results["file, ungrouped"] = await bench(one_by_one(open_embedded(f"{directory}/simple.db")), options.times)
    if options.azurite:
        with azurite() as connection_string:
            results["azurite"] = await bench(await open_account(connection_string), max(200, options.times // 10))
    print(json.dumps(results, indent=1) if options.json else drawn(results))


def drawn(results: dict[str, dict[str, dict[str, float]]]) -> str:
    columns = [(kind, crowd) for kind in results for crowd in ("1 task", f"{CROWD} tasks")]
    lines = ["operations per second".ljust(22) + "".join(f"{kind:>17}" for kind, _ in columns)]
    lines.append(" " * 22 + "".join(f"{crowd:>17}" for _, crowd in columns))
    for name, _ in OPERATIONS:
        figures = "".join(f"{results[kind][name][crowd]:>17,.0f}" for kind, crowd in columns)
        lines.append(name.ljust(22) + figures)
    return "\n".join(lines)


if __name__ == "__main__":
    asyncio.run(main())
