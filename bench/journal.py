"""What it costs to be able to come back: the journal's write before each answer, and activity inputs in histories.

    python scripts/bench --journal      with an Azurite of its own for the journal where Node.js is installed

And how long doctor and reconciler take for a hub and a journal of some sizes, on an embedded account. Hosts that
differ in one setting run side by side and are measured in turn, so that a busy machine slows them alike. Only the
ratios travel.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import hubs
from bench.accounts import azurite
from bench.parts import CLIENTS
from bench.running import APP, ROOT, Measured, host, new_prefix, together
from recovery.examination import Doctor
from recovery.journal import Entry, Journal, digest
from recovery.reconcile import Reconciler
from recovery.records import Records, open_place
from taskhub.accounts import Entity, Value, open_account
from taskhub.hub import HubSettings, TaskHub

STORE_INPUTS = "AzureFunctionsJobHost__extensions__durableTask__storeInputsInOrchestrationHistory"
ROUNDS, STARTS = 6, 30  # start requests in turn, each way
CHAINS = 60
SIZES = (100, 1_000, 10_000, 50_000)  # letters of an activity's input; above 30 Ki it is a blob


@dataclass
class Way:
    """One journal to measure with."""

    name: str
    place: str  # JOURNAL_STORAGE
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def slow(self) -> float:
        return sorted(self.seconds)[int(0.95 * len(self.seconds))]


async def journal_cost(rounds: int = ROUNDS, starts: int = STARTS) -> list[str]:
    """Start requests to this project's app without a journal, with one in a directory and one on Azurite."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        ways = [Way("off", ""), Way("directory", f"{folder}/journal")]
        if shutil.which("node"):
            ways.append(Way("Azurite blob", servers.enter_context(azurite())))
        await _measure_starts(ways, Path(folder), rounds, starts)
        asked = rounds * starts + WARM
        return [
            "Start requests, one after the other; the answer waits for the journal's write",
            f"{'journal':16}{'median ms':>11}{'95th ms':>10}{'of off':>9}{'added ms':>10}{'writes/request':>16}",
            *(_start_line(way, ways[0], asked) for way in ways),
        ]


WARM = 10


async def _measure_starts(ways: list[Way], folder: Path, rounds: int, starts: int) -> None:
    async with AsyncExitStack() as stack:
        hosts = []
        for number, way in enumerate(ways):
            given = {"JOURNAL_STORAGE": way.place, "BLOB_DIRECTORY": str(folder / "blobs")}
            storage = str(folder / f"journal{number}.db")
            hosts.append(await stack.enter_async_context(host(storage, 1, f"Journal{number}", ROOT, given)))
        for measured in hosts:
            for _ in range(WARM):
                await measured.start_by_app("hello_cities")
        for _ in range(rounds):
            for way, measured in zip(ways, hosts, strict=True):
                way.seconds += [await _start(measured) for _ in range(starts)]


async def _start(measured: Measured) -> float:
    begin = time.perf_counter()
    await measured.start_by_app("hello_cities")
    return time.perf_counter() - begin


def _start_line(way: Way, off: Way, asked: int) -> str:
    writes = f"{_writes(open_place(way.place)) / asked:.2f}" if way.place else "0"
    added = (way.median - off.median) * 1000
    return (
        f"{way.name:16}{way.median * 1000:>11.1f}{way.slow * 1000:>10.1f}{way.median / off.median:>9.2f}{added:>10.1f}"
        f"{writes:>16}"
    )


def _writes(records: Records) -> int:
    """Every record was written once: no entry of this run was closed or withdrawn."""
    return sum(1 for _ in records.names())


async def inputs_cost(rounds: int = 3, chains: int = CHAINS) -> list[str]:
    """Five activities with inputs of some sizes, with storeInputsInOrchestrationHistory and without."""
    lines = [
        "storeInputsInOrchestrationHistory, orchestrations of five activities, on beside off",
        f"{'input':>9}{'throughput':>12}{'history bytes':>15}{'with blobs':>12}{'bytes added/activity':>22}",
    ]
    for size in SIZES:
        lines.append(await _inputs_line(size, rounds, chains))
    return lines


async def _inputs_line(size: int, rounds: int, chains: int) -> str:
    rates: dict[str, list[float]] = {"false": [], "true": []}
    held: dict[str, tuple[int, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            hosts = {}
            for value in rates:
                place = f"{folder}/{value}.db"
                hosts[value] = await stack.enter_async_context(host(place, 1, "Inputs", APP, {STORE_INPUTS: value}))
            for _ in range(rounds):
                for value, measured in hosts.items():
                    rates[value].append(await _chains(measured, size, chains))
        for value in rates:
            held[value] = await _held(f"{folder}/{value}.db", "five-")
    ratio = statistics.median(on / off for on, off in zip(rates["true"], rates["false"], strict=True))
    (rows_off, all_off), (rows_on, all_on) = held["false"], held["true"]
    added = (all_on - all_off) / (rounds * chains * 5)
    return f"{size:>9,}{ratio:>12.2f}{rows_on / rows_off:>15.2f}{all_on / all_off:>12.2f}{added:>22,.0f}"


async def _chains(measured: Measured, size: int, chains: int) -> float:
    prefix, begin = new_prefix("five"), time.perf_counter()
    await together(CLIENTS, lambda n: measured.start("five_letters", f"{prefix}-{n:05}", size), chains)
    await measured.all_ended(prefix, f"{prefix}-{chains - 1:05}")
    return chains / (time.perf_counter() - begin)


async def _held(place: str, prefix: str) -> tuple[int, int]:
    """Bytes of the history rows of instances with this prefix, as the table service counts them; and with blobs."""
    account = await open_account(place)
    try:
        hub = TaskHub(account, HubSettings("Inputs"))
        rows = blobs = 0
        async for row in account.tables.rows(hub.names.history):
            rows += entity_bytes(row.entity) if str(row.entity["PartitionKey"]).startswith(prefix) else 0
        if hub.names.large_messages in await account.blobs.names():
            async for blob in account.blobs.list(hub.names.large_messages, prefix):
                blobs += len(await account.blobs.get(hub.names.large_messages, blob.name))
        return rows, rows + blobs
    finally:
        await account.close()


async def speed(sizes: tuple[int, int] = (1_000, 10_000)) -> list[str]:
    """Doctor and reconciler on hubs of two sizes: of 20 instances one is stuck and one waits for its work."""
    lines = ["Doctor and reconciler, looking only", f"{'instances':>10}{'doctor s':>10}{'reconcile s':>13}"]
    seconds = []
    for size in sizes:
        doctor, reconciler = await _looks(size)
        seconds.append((doctor / size, reconciler / size))
        lines.append(f"{size:>10,}{doctor:>10.2f}{reconciler:>13.2f}")
    (small, few), (large, many) = seconds
    return [*lines, f"{'each, ratio':>10}{large / small:>9.2f}{many / few:>13.2f}"]


async def _looks(size: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        account = await open_account(f"{folder}/hub.db")
        try:
            hub = TaskHub(account, HubSettings("Looked"))
            await hubs.fill(hub, size, waiting=10, stuck=20)
            journal = Journal(open_place(f"{folder}/journal"))
            for number in range(size):
                journal.write(_entry(number))
            begin = time.perf_counter()
            await Doctor(hub).examine()
            middle = time.perf_counter()
            await Reconciler(hub, journal).run(apply=False)
            return middle - begin, time.perf_counter() - middle
        finally:
            await account.close()


def _entry(number: int) -> Entry:
    name, began = hubs.name_of(number), hubs.BEGAN.isoformat()
    return Entry("start", name, "hello_cities", hubs.INPUT, began, number, f"{number:032x}", digest(hubs.INPUT))


def entity_bytes(entity: Entity) -> int:
    """What the table service charges for an entity: 4, its keys and names in UTF-16, 8 a property, and the values."""
    keys = sum(len(str(entity[name])) * 2 for name in ("PartitionKey", "RowKey"))
    others = {name: value for name, value in entity.items() if name not in ("PartitionKey", "RowKey")}
    return 4 + keys + sum(8 + len(name) * 2 + _value_bytes(value) for name, value in others.items())


def _value_bytes(value: Value) -> int:
    if isinstance(value, str):
        return len(value) * 2 + 4
    return 1 if isinstance(value, bool) else 4 if isinstance(value, int) else 8


@contextmanager
def without_journal() -> Iterator[None]:
    """The surroundings' own journal settings must not take part."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("JOURNAL_")}
    try:
        yield
    finally:
        os.environ.update(kept)


async def report(quick: bool = False) -> str:
    """Everything as text."""
    with without_journal():
        journal = await (journal_cost(2, 15) if quick else journal_cost())
        inputs = await (inputs_cost(1, 20) if quick else inputs_cost())
        looks = await (speed((200, 1_000)) if quick else speed())
    return "\n".join([*journal, "", *inputs, "", *looks])
