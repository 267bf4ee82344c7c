"""Two regions on one promoted account: West Europe comes back while North Europe works; without the fence, and with it.

    without the fence   West Europe is started again, and its account's name now resolves to the promoted account
    with the fence      the same, after North Europe has taken over
    taken over late     West Europe is back and works; North Europe takes over from it while it does

Everything is a real process: two hosts, the platform that starts a host again which has ended, clients of which some
still ask West Europe, a load balancer's probes. What the outside world is asked is counted by who asks.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from lab import gateways
from lab.drills import executions
from lab.drills.region import Region, free_port
from lab.drills.split_brain_plan import WORK_SECONDS, Delivery, Order, Plan, plan
from lab.errors import LabError
from lab.geo_pair import create_pair
from lab.lag import ConstantLag
from lab.progress import Screen
from lab.triggers.context import HOSTS_CONTAINER
from lab.triggers.queue import encode
from recovery import fence
from recovery.records import DirectoryRecords
from taskhub.accounts import Account, Query, Where
from taskhub.errors import NotFound

WEST, NORTH = "westeurope", "northeurope"
WITHOUT, WITH, LATE = "without the fence", "with the fence", "taken over late"
KINDS = (WITHOUT, WITH, LATE)
CACHE_SECONDS = fence.DEFAULT_CACHE_SECONDS
STANDSTILL_SECONDS = CACHE_SECONDS + 1.0  # what a region may take to notice; a second is for what it has begun
PROBE_SECONDS = 0.5
ANSWER_SECONDS = 60.0
END_SECONDS = 90.0
PRICE = 450  # cents
QUEUE = "deliveries"
SERVICE_SECONDS = 0.1  # what a service outside needs to answer
# An outage outlasts every visibility timeout; this one lasts seconds, so they are short. The lab's host keeps work for
# itself as long as it has room, where the platform's queues everything: with little room it does the same.
DURABLE = "AzureFunctionsJobHost__extensions__durableTask__"
DURABLE_SETTINGS = {
    f"{DURABLE}storageProvider__controlQueueVisibilityTimeout": "00:00:05",
    f"{DURABLE}storageProvider__workItemQueueVisibilityTimeout": "00:00:05",
    f"{DURABLE}maxConcurrentActivityFunctions": "2",
}
TIMEOUT = aiohttp.ClientTimeout(total=30)


class SplitBrainFailed(LabError):
    """The drill cannot go on: something else happened than what it is about."""


@dataclass
class Found:
    """What one run showed; the counts are West Europe's, from the moment that another region is to work."""

    kind: str
    activities: int = 0
    effects: int = 0  # requests to the services outside
    orchestrations: int = 0
    timers: int = 0
    messages: int = 0
    starts_accepted: int = 0
    starts_refused: int = 0  # 503 with the address where the client then went
    stood_still_after: float | None = None  # seconds; None: it never did
    failures: int = 0  # recorded in the hub that both work on, or set aside in the poison queue
    restarts: int = 0  # of West Europe's host by the platform
    orders: int = 0
    orders_right: int = 0
    wrong: list[str] = field(default_factory=list)  # orders, products and the night that did not end as they must

    @property
    def did_nothing(self) -> bool:
        """Whether West Europe left everything alone that it could have done."""
        counts = (self.activities, self.effects, self.orchestrations, self.timers, self.messages, self.starts_accepted)
        return not any(counts)


async def drill(orders: int, seed: int, screen: Screen, kinds: Sequence[str] = KINDS) -> list[Found]:
    """All runs, one after the other. SplitBrainFailed, RegionFailed: hosts' logs are kept then."""
    return [await _run(kind, plan(orders, seed), screen) for kind in kinds]


async def _run(kind: str, planned: Plan, screen: Screen) -> Found:
    folder = Path(tempfile.mkdtemp(prefix="durable-failover-split-brain-"))
    try:
        async with AsyncExitStack() as stack:
            found = await Run(kind, planned, folder, screen, stack).play()
    except LabError:
        screen.say(f"The hosts' logs and accounts are kept in {folder}.")
        raise
    if found.wrong or (kind == WITH and not found.did_nothing):
        screen.say(f"{kind}: the hosts' logs and accounts are kept in {folder}.")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return found


class Run:
    """One run, from West Europe's first start to the last result."""

    def __init__(self, kind: str, planned: Plan, folder: Path, screen: Screen, stack: AsyncExitStack) -> None:
        self.kind, self.plan, self.folder, self.screen, self.stack = kind, planned, folder, screen, stack
        self.found = Found(kind, orders=len(planned.orders))
        self.records = DirectoryRecords(folder / "journal")
        self.outside = gateways.World()
        self.outside.state["products"] = {"tea": {"on_hand": 100_000}}
        self.asked: list[tuple[datetime, str]] = []  # when, and by which region
        self.moved = datetime.max.replace(tzinfo=timezone.utc)  # when another region is to work
        self.kept: list[Region] = []  # regions whose host the platform starts again

    async def play(self) -> Found:
        """All of it, in order."""
        self.session = await self.stack.enter_async_context(aiohttp.ClientSession(timeout=TIMEOUT))
        self.west = await self._region("West Europe", WEST)
        self.north = await self._region("North Europe", NORTH)
        with self.screen.bar(f"{self.kind}: West Europe is lost"):
            promoted = await self._lose_west_europe()
        with self.screen.bar(f"{self.kind}: both regions are up"):
            await self._start_both(promoted)
        with self.screen.bar(f"{self.kind}: clients ask, messages come"):
            await self._work(promoted)
        with self.screen.bar(f"{self.kind}: instances end"):
            await self._judge()
        self._count()
        self.found.failures = await _failures(promoted)
        return self.found

    async def _region(self, name: str, location: str) -> Region:
        base = await self._services(location)
        settings = {
            **gateways.settings_for(base), **DURABLE_SETTINGS, "JOURNAL_STORAGE": str(self.folder / "journal"),
            "BLOB_DIRECTORY": str(self.folder / "blobs"), "NIGHTLY_PRODUCTS": "tea",
            "FENCE_REGION": "" if self.kind == WITHOUT else location,
        }  # fmt: skip
        storage = self.folder / "west-europe.db"
        made = Region(name, f"durable-failover-{location}", storage, self.folder, settings=settings)
        self.stack.callback(made.kill)
        return made

    async def _services(self, location: str) -> str:
        """The outside world behind an address of the region's own, which tells who asks."""

        @web.middleware
        async def noted(request: web.Request, handler: Any) -> web.StreamResponse:
            if request.method == "POST":
                self.asked.append((datetime.now(timezone.utc), location))
                with suppress(ConnectionResetError):  # who asks may be killed meanwhile
                    await request.read()
                await asyncio.sleep(SERVICE_SECONDS)
                if request.transport is None:
                    return web.Response(status=400)
            answer: web.StreamResponse = await handler(request)
            return answer

        app = gateways.create_app(self.outside)
        app.middlewares.append(noted)
        runner = web.AppRunner(app)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    # Before

    async def _lose_west_europe(self) -> Account:
        """Orders are placed in West Europe; it is lost in the middle of them, and its account fails over."""
        pair = create_pair(
            self.folder / "west-europe.db", self.folder / "north-europe.db", "durablefailover",
            ConstantLag(timedelta(0)),
        )  # fmt: skip
        if self.kind != WITHOUT:
            fence.take_over(self.records, WEST)
        self.west.start()
        await self._until(lambda: self._answers(self.west, 200), "West Europe to answer")
        await asyncio.gather(*(self._place(order) for order in self.plan.orders if order.at < 0))
        self.west.kill()
        pair.fail_over(False, datetime.now(timezone.utc))
        self.stack.push_async_callback(pair.primary.close)
        await _make_timers_overdue(pair.primary, (self.west.site, self.north.site))
        return pair.primary

    async def _start_both(self, promoted: Account) -> None:
        """North Europe is started, and West Europe comes back with the account's name at its new place."""
        self.north.port = self.north.port or free_port()
        if self.kind == WITH:
            self._take_over()
        if self.kind == WITHOUT:
            self.moved = datetime.now(timezone.utc)
        for region in (self.north, self.west):
            region.storage = self.folder / "north-europe.db"
            region.start()
            self.kept.append(region)
        self._begin(self._platform())
        await self._until(lambda: self._answers(self.north, 503 if self.kind == LATE else 200), "North Europe")
        await self._until(lambda: self._answers(self.west, 503 if self.kind == WITH else 200), "West Europe")
        self._begin(self._probes())

    def _take_over(self) -> None:
        self.moved = datetime.now(timezone.utc)
        fence.take_over(self.records, NORTH, self.north.origin, by="the drill")

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.stack.push_async_callback(end)

    async def _platform(self) -> None:
        """Starts a host again that has ended, as App Service does."""
        while True:
            for region in self.kept:
                if not region.is_running:
                    region.start()
                    self.found.restarts += region is self.west
            await asyncio.sleep(0.2)

    async def _probes(self) -> None:
        """What a load balancer asks all the time."""
        while True:
            for region in self.kept:
                await self._ask("GET", f"{region.origin}/api/health")
            await asyncio.sleep(PROBE_SECONDS)

    # The work

    async def _work(self, promoted: Account) -> None:
        await promoted.queues.create(QUEUE)
        began = time.monotonic()

        async def at(moment: float, work: Callable[[], Awaitable[Any]]) -> None:
            await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
            await work()

        async def put(one: Delivery) -> None:
            text = encode(json.dumps({"sku": one.sku, "quantity": one.quantity}).encode(), True)
            await promoted.queues.put(QUEUE, text)

        async def take_over() -> None:
            self._take_over()

        later = [order for order in self.plan.orders if order.at >= 0]
        work = [at(order.at, lambda order=order: self._place(order)) for order in later]  # type: ignore[misc]
        work += [at(one.at, lambda one=one: put(one)) for one in self.plan.deliveries]  # type: ignore[misc]
        if self.kind == LATE:
            work.append(at(WORK_SECONDS / 2, take_over))
        await asyncio.gather(*work)

    async def _place(self, order: Order) -> None:
        """A client goes on until its order is accepted: where it is told to, or to the other region."""
        body = {
            "customer": f"{order.instance_id}@example.com", "card": "tok_visa",
            "lines": [{"sku": "tea", "quantity": order.quantity, "unit_price": PRICE}],
        }  # fmt: skip
        origin = self.west.origin if order.asks_west else self.north.origin
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline:
            status, answer = await self._ask("POST", f"{origin}/api/orders?id={order.instance_id}", body)
            is_west, has_moved = origin == self.west.origin, datetime.now(timezone.utc) >= self.moved
            if status == 202:
                self.found.starts_accepted += is_west and has_moved and self._is_still_expected()
                return
            self.found.starts_refused += is_west and status == 503
            address = answer.get("address") if isinstance(answer, dict) else ""
            origin = address or (self.north.origin if is_west else self.west.origin)
            await asyncio.sleep(0.1)
        raise SplitBrainFailed(f"Nobody accepted {order.instance_id} within {ANSWER_SECONDS:.0f} seconds.")

    def _is_still_expected(self) -> bool:
        return datetime.now(timezone.utc) >= self._counts_from()

    def _counts_from(self) -> datetime:
        """A region that works when another one takes over is given the seconds in which it must notice."""
        return self.moved + timedelta(seconds=STANDSTILL_SECONDS if self.kind == LATE else 0)

    # The end

    async def _judge(self) -> None:
        """Waits until everything has ended; what has not, or not rightly, is named."""
        missing: dict[str, Callable[[], Awaitable[bool]]] = {
            order.instance_id: lambda order=order: self._is_done(order)  # type: ignore[misc]
            for order in self.plan.orders
        }
        missing |= {one.sku: lambda one=one: self._is_stocked(one) for one in self.plan.deliveries}  # type: ignore[misc]
        missing["nightly"] = self._night_is_done
        deadline = time.monotonic() + END_SECONDS
        while missing and time.monotonic() < deadline:
            for name, is_done in list(missing.items()):
                if await is_done():
                    del missing[name]
            await asyncio.sleep(0.2)
        self.found.wrong = sorted({*missing, *self._charged_or_shipped_wrongly()})
        self.found.orders_right = sum(order.instance_id not in self.found.wrong for order in self.plan.orders)

    async def _is_done(self, order: Order) -> bool:
        output = await self._output(order.instance_id)
        return output.get("status") == "completed" and output.get("total") == order.quantity * PRICE

    async def _night_is_done(self) -> bool:
        return "counts" in await self._output("nightly")

    async def _output(self, instance_id: str) -> dict[str, Any]:
        status, answer = await self._ask("GET", f"{self.north.origin}/api/instances/{instance_id}")
        output = answer.get("output") if status == 200 and isinstance(answer, dict) else None
        return output if isinstance(output, dict) else {}

    async def _is_stocked(self, one: Delivery) -> bool:
        status, answer = await self._ask("GET", f"{self.north.origin}/api/stock/{one.sku}")
        return bool(status == 200 and answer["on_hand"] == one.quantity)

    def _charged_or_shipped_wrongly(self) -> list[str]:
        state = self.outside.state
        charges = [charge["key"].split("/")[0] for charge in state["charges"]]
        shipments = [shipment["key"].split("/")[0] for shipment in state["shipments"]]
        return [
            order.instance_id
            for order in self.plan.orders
            if charges.count(order.instance_id) != 1 or shipments.count(order.instance_id) != 1
        ]

    def _count(self) -> None:
        found, since = self.found, self._counts_from()
        done = list(executions.read(self.west.log.read_text(errors="replace").splitlines()))
        counts = executions.by_trigger(done, since)
        found.activities, found.orchestrations = counts["activityTrigger"], counts["orchestrationTrigger"]
        found.timers, found.messages = counts["timerTrigger"], counts["queueTrigger"]
        found.effects = sum(at >= since for at, location in self.asked if location == WEST)
        worked = [one.at for one in done if one.trigger != executions.HTTP and one.at >= self.moved]
        last = max([*worked, *(at for at, location in self.asked if location == WEST and at >= self.moved), self.moved])
        if found.kind != WITHOUT:
            found.stood_still_after = round((last - self.moved).total_seconds(), 1)

    # Plumbing

    async def _answers(self, region: Region, wanted: int) -> bool:
        return (await self._ask("GET", f"{region.origin}/api/health"))[0] == wanted

    async def _until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        while not await condition():
            if time.monotonic() > deadline:
                raise SplitBrainFailed(f"{self.kind}: waited {ANSWER_SECONDS:.0f} seconds in vain for {what}.")
            await asyncio.sleep(0.1)

    async def _ask(self, method: str, url: str, data: Any = None) -> tuple[int, Any]:
        with suppress(aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError):
            async with self.session.request(method, url, json=data) as answer:
                return answer.status, await answer.json(content_type=None)
        return 0, None


async def _failures(account: Account) -> int:
    """Activities recorded as failed in any history, and messages in the poison queue."""
    count = 0
    for table in await account.tables.names():
        if table.endswith("History"):
            failed = Query(where=[Where("EventType", "eq", "TaskFailed")])
            count += len([row async for row in account.tables.rows(table, failed)])
    with suppress(NotFound):
        count += await account.queues.count(f"{QUEUE}-poison")
    return count


async def _make_timers_overdue(account: Account, sites: tuple[str, ...]) -> None:
    """While no host ran it became two o'clock: the nightly timer is overdue in both regions."""
    due = datetime.now(timezone.utc).replace(hour=2, minute=0, second=0, microsecond=0)
    due -= timedelta(days=1 if due > datetime.now(timezone.utc) else 0)
    last = (due - timedelta(days=1)).isoformat()
    status = json.dumps({"Last": last, "Next": due.isoformat(), "LastUpdated": last}).encode()
    await account.blobs.create(HOSTS_CONTAINER)
    for site in sites:
        host_id = site[:32].strip("-")
        await account.blobs.put(HOSTS_CONTAINER, f"timers/{host_id}/Host.Functions.nightly_timer/status", status)
