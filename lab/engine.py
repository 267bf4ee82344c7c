"""The Durable extension's work on one hub: leases, control queues, work items, put together from their parts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from lab.activities import Activities
from lab.deliveries import Deliveries
from lab.entities import Entities
from lab.episodes import Episodes
from lab.function_index import FunctionIndex
from lab.handover import Handover
from lab.host_json import DurableSettings
from lab.leases import LeaseOptions
from lab.orchestrations import Orchestrations
from lab.partitions import Partitions
from lab.worker import FunctionInfo, Worker
from taskhub.accounts import Account
from taskhub.clock import Clock
from taskhub.errors import AccountError
from taskhub.hub import HubSettings, TaskHub

log = logging.getLogger("lab.engine")
STOP_SECONDS = 5.0  # how long a graceful stop waits for activities


@dataclass(frozen=True)
class Identity:
    """Who this host is in leases: every process has its own worker id, all of one app share the app's name."""

    worker_id: str
    app_name: str = ""


def hub_settings(durable: DurableSettings) -> HubSettings:
    """The part of host.json that everyone who shares the hub must agree on."""
    return HubSettings(durable.hub, durable.partition_count, store_inputs=durable.store_inputs_in_history)


class Engine:
    """Runs a hub's orchestrations, entities and activities while it is started."""

    def __init__(
        self,
        account: Account,
        durable: DurableSettings,
        worker: Worker,
        functions: FunctionIndex,
        clock: Clock,
        identity: Identity,
        lease_seconds: int,
        binding: Callable[[FunctionInfo], str | None],
        http_call: Callable[[str], Awaitable[str]],
        alone: bool = False,
    ) -> None:
        """`alone`: nobody else works on the hub, so that it needs neither leases nor renewals nor polling."""
        self.hub = TaskHub(account, hub_settings(durable), clock)
        self.durable = durable
        self.deliveries = Deliveries(self.hub, clock)
        episodes = Episodes(
            worker, functions, clock, durable.store_inputs_in_history, keep_all=durable.extended_sessions
        )
        self.orchestrations = Orchestrations(
            self.hub, self.deliveries, episodes, Entities(worker, functions, clock), clock,
            durable.control_queue_visibility, durable.max_concurrent_orchestrators,
            durable.control_queue_buffer_threshold,
        )  # fmt: skip
        self.activities = Activities(
            self.hub, self.deliveries, worker, functions, clock, durable.work_item_queue_visibility,
            durable.max_concurrent_activities, http_call, binding,
        )  # fmt: skip
        if not account.is_replicated:  # a copy gets every write that the extension makes
            self._take_short_ways()
        self.partitions = Partitions(
            self.hub, clock, identity.worker_id, identity.app_name, lease_options(durable, lease_seconds),
            self._owned_changed,
        )  # fmt: skip
        self._readers: dict[int, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.failed = asyncio.Event()  # set when a loop of the engine died: stop the host then
        self._alone = alone
        self._polling = 1e9 if alone else durable.max_queue_polling_interval.total_seconds()

    def _take_short_ways(self) -> None:
        """What this host puts for itself it need not get."""
        self.activities.hand_in = self.orchestrations.hand_in
        self.hub.receiver = Handover(self.deliveries, [self.orchestrations, self.activities], lambda: self._stopping)

    async def start(self) -> None:
        """Creates what is missing of the hub and begins to work. AccountError: the account refuses."""
        await self.hub.create()
        self._tasks = [
            self._begin(self.activities.read(self._polling), "work items"),
            self._begin(self.orchestrations.settling.rows.run(), "rows"),
        ]
        if self._alone:
            self._owned_changed(frozenset(range(self.durable.partition_count)))
            return
        self._tasks += [
            self._begin(self.partitions.run(), "partitions"),
            self._begin(self.deliveries.renew(), "renewals"),
            self._begin(self._watch_busy(), "draining"),
        ]

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """None of these may end by itself: a host that lives on without one of them would only look alive."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("The host's loop '%s' failed; the host stops working.", task.get_name(), exc_info=error)
            self.failed.set()

    async def stop(self) -> str:
        """Stops taking work, finishes or gives back what is in hand, frees the leases; says what was left."""
        self._stopping = True
        for task in (*self._readers.values(), *self._tasks):
            task.cancel()
        await asyncio.gather(*self._readers.values(), *self._tasks, return_exceptions=True)
        left = await self.activities.finish(STOP_SECONDS)
        try:
            await asyncio.wait_for(self.orchestrations.finish(), STOP_SECONDS)
        except asyncio.TimeoutError:
            log.warning("Some instances were still being worked on.")
        for index in range(self.durable.partition_count):
            self.partitions.set_busy(index, False)
        try:
            returned = await self.deliveries.release_all()
            await asyncio.wait_for(self.partitions.drain_and_release(), STOP_SECONDS)
        except (AccountError, asyncio.TimeoutError) as error:
            log.warning("Not everything could be given back: %s", error)
            returned = self.deliveries.count
        return f"{left} activities were left unfinished, {returned} messages were given back"

    def _owned_changed(self, owned: frozenset[int]) -> None:
        if self._stopping:
            return
        lost = set(self._readers) - owned
        for index in lost:
            self._readers.pop(index).cancel()
        self.orchestrations.forget({self.hub.names.control_queue_at(index) for index in lost})
        for index in owned - set(self._readers):
            queue = self.hub.names.control_queue_at(index)
            self._readers[index] = self._begin(self.orchestrations.read(queue, self._polling), queue)
            log.debug("Reading %s", queue)

    async def _watch_busy(self) -> None:
        """Tells the leases which partitions are still being worked on, so that none is let go too early."""
        while True:
            busy = self.orchestrations.busy_queues()
            for index in range(self.durable.partition_count):
                self.partitions.set_busy(index, self.hub.names.control_queue_at(index) in busy)
            await asyncio.sleep(0.25)


def lease_options(durable: DurableSettings, lease_seconds: int) -> LeaseOptions:
    """The leases' times: the app lease as host.json says, partitions in proportion to `lease_seconds`."""
    app = durable.app_lease
    return LeaseOptions(
        use_app_lease=durable.use_app_lease,
        app_acquire_seconds=app.acquire_interval.total_seconds(),
        app_renew_seconds=app.renew_interval.total_seconds(),
        app_lease_seconds=app.lease_interval.total_seconds(),
    ).scaled(lease_seconds)
