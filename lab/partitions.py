"""Keeps this host's share of a hub's partitions by blob leases, and the app lease that lets only one app work.

The rules are those of DurableTask.AzureStorage's "safe" blob manager and of its app lease manager. A partition has two
leases. The *intent* lease says who shall have it: it is balanced between the workers by stealing. The *ownership*
lease says who has it: it is taken only while holding the intent lease, never stolen, and kept until the work in hand is
finished. So a partition that is stolen is drained first.

Two things differ from the platform. A host stops reading a partition when its own clock says that a lease has ended,
even if no storage answers; and a free partition is taken at once, without looking at the balance.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

from lab.app_lease import AppLease
from lab.leases import Lease, native_seconds
from lab.leases import LeaseOptions as LeaseOptions
from taskhub.clock import Clock
from taskhub.errors import AccountError, AccountUnreachable, InvalidOperation
from taskhub.hub import TaskHub

log = logging.getLogger(__name__)


class Partitions:
    """The partitions that this host may work on, as leases in the hub's account say.

    `on_change` is told `owned` whenever it has changed. Every process needs a `worker_id` of its own: two with the same
    one take each other's leases for theirs, as on the platform.
    """

    def __init__(
        self,
        hub: TaskHub,
        clock: Clock,
        worker_id: str,
        app_name: str,
        options: LeaseOptions,
        on_change: Callable[[frozenset[int]], None] | None = None,
    ) -> None:
        self._hub, self._clock, self._worker_id, self._options = hub, clock, worker_id, options
        self._on_change = on_change
        self._app = AppLease(hub, clock, app_name, options)
        indexes = range(hub.settings.partition_count)
        whole, half = native_seconds(options.lease_seconds), native_seconds(options.lease_seconds / 2)
        self._intents = [Lease(hub, clock, worker_id, "intent", index, whole) for index in indexes]
        self._ownerships = [Lease(hub, clock, worker_id, "ownership", index, half) for index in indexes]
        self._busy: set[int] = set()
        self._told: frozenset[int] = frozenset()
        self._trouble = False
        self._adopted = False
        self._stopping = False
        self._renew_at = self._balance_at = self._own_at = clock.now()
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()

    # what the host asks

    @property
    def owned(self) -> frozenset[int]:
        """The partitions whose control queues this host may read now; true without asking the storage."""
        return frozenset(index for index in self.held if self._intents[index].held)

    @property
    def held(self) -> frozenset[int]:
        """`owned`, and the partitions that are being drained: what is in hand of them may be finished."""
        return frozenset(index for index, lease in enumerate(self._ownerships) if lease.held)

    @property
    def has_app_lease(self) -> bool:
        """Whether this app may work on the control queues: it holds the app lease, or the lease is not used."""
        return self._app.held or not self._options.use_app_lease

    def set_busy(self, index: int, busy: bool) -> None:
        """Says whether work of a partition is still in hand; until it is not, a stolen partition is not let go."""
        if busy:
            self._busy.add(index)
        else:
            self._busy.discard(index)
            self._wake.set()

    async def make_primary(self) -> None:
        """Asks for the app lease though another app holds it, as the webhook `makeprimary` does.

        It works only while the other app's lease runs; see `AppLease`. InvalidOperation: the app lease is not used.
        """
        if not self._options.use_app_lease:
            raise InvalidOperation("The app lease cannot be moved: useAppLease is false in host.json.")
        async with self._lock:
            await self._app.make_primary()
        self._wake.set()

    # the loop

    async def run(self) -> None:
        """Keeps the leases until it is cancelled; without storage it goes on trying."""
        while True:
            await self._step_in_time()
            await self._pause()

    async def drain_and_release(self) -> None:
        """Gives up all partitions for good and returns when the last one is drained and free for others.

        The app lease is left to run out, as on the platform: the app's other hosts hold the same one.
        """
        self._stopping = True
        while True:
            await self._step_in_time()
            if not any(lease.token for lease in self._ownerships):
                return
            await self._pause()

    async def _step_in_time(self) -> None:
        """A step that a storage which never answers cannot hold up for longer than a renewal may wait."""
        limit = self._options.renew_seconds
        try:
            await asyncio.wait_for(self.step(), limit)
        except asyncio.TimeoutError:
            self._report(AccountUnreachable(f"{self._hub.account.name} did not answer within {limit:g} s."))
        self._tell()

    async def _pause(self) -> None:
        tick = min(1.0, self._options.renew_seconds / 10, self._options.acquire_seconds / 10)
        waking = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait([waking], timeout=tick)  # wait_for would lose a cancellation that comes with its timeout
        finally:
            waking.cancel()
        self._wake.clear()

    async def step(self) -> None:
        """Does what is due by the clock, once; trouble with the account is logged, not raised."""
        async with self._lock:
            try:
                await self._pass()
                self._recovered()
            except AccountError as error:
                self._report(error)
            finally:
                self._tell()

    async def _pass(self) -> None:
        if self._options.use_app_lease and not self._stopping:
            await self._app.step()
        if self.has_app_lease and not self._stopping:
            await self._adopt()
            await self._renew()
            await self._balance()
            await self._own()
            await self._let_go()
        else:
            await _all(lease.release() for lease in self._intents)
            await self._let_go()  # before renewing, which may never be answered
            await self._renew()

    async def _adopt(self) -> None:
        """Takes up the leases that this worker held before it was restarted."""
        if not self._adopted:
            await _all(lease.adopt() for lease in (*self._intents, *self._ownerships))
            self._adopted = True

    async def _renew(self) -> None:
        now = self._clock.now()
        if now >= self._renew_at:
            await _all(lease.renew() for lease in (*self._intents, *self._ownerships))
            self._renew_at = now + timedelta(seconds=self._options.renew_seconds)  # only now: a failure is tried again

    async def _own(self) -> None:
        """Takes the ownership of the partitions whose last owner has let go."""
        now = self._clock.now()
        if now >= self._own_at:
            pairs = zip(self._intents, self._ownerships, strict=True)
            await _all(owner.acquire() for intent, owner in pairs if intent.held and not owner.token)
            self._own_at = now + timedelta(seconds=self._options.acquire_seconds / 2)

    async def _let_go(self) -> None:
        """Releases the partitions that are stolen and drained."""
        drained = [index for index in range(len(self._intents)) if index not in self._busy]
        await _all(self._ownerships[index].release() for index in drained if self._intents[index].token is None)

    # the balance between the workers

    async def _balance(self) -> None:
        """Takes what is free, and one partition from a worker that has more than its share."""
        now = self._clock.now()
        if now < self._balance_at:
            return
        before = self._share
        others = await self._take_free()
        await self._steal(others)
        self._balance_at = now + timedelta(seconds=self._options.acquire_seconds)
        if self._share != before:
            self._own_at = now

    @property
    def _share(self) -> int:
        return sum(lease.token is not None for lease in self._intents)

    async def _take_free(self) -> dict[str, list[tuple[Lease, str]]]:
        """Acquires the free intent leases; returns the others by worker, each with its token."""
        blobs = self._hub.account.blobs
        leased = {blob.name for blob in [item async for item in blobs.list(self._hub.names.leases)] if blob.leased}
        others: dict[str, list[tuple[Lease, str]]] = {}
        for lease in self._intents:
            if lease.token or ((lease.unsure or lease.name not in leased) and await lease.acquire()):
                continue
            text = await lease.read()
            if text.owner and text.token:
                others.setdefault(text.owner, []).append((lease, text.token))
        return others

    async def _steal(self, others: dict[str, list[tuple[Lease, str]]]) -> None:
        mine = self._share + len(others.pop(self._worker_id, []))
        if not others:
            return
        target = math.ceil(len(self._intents) / (len(others) + 1))
        richest = max(others.values(), key=len)
        if mine < target and len(richest) > target - (1 if target - mine > 1 else 0):
            lease, token = richest[-1]
            await lease.steal(token)

    # what is told

    def _tell(self) -> None:
        owned = self.owned
        if owned != self._told:
            self._told = owned
            if self._on_change:
                self._on_change(owned)

    def _report(self, error: AccountError) -> None:
        if not self._trouble:
            log.warning("The leases cannot be kept now and lapse if that lasts; still trying. %s", error)
        self._trouble = True

    def _recovered(self) -> None:
        if self._trouble:
            log.warning("The leases can be kept again; this host owns partitions %s.", sorted(self.owned))
        self._trouble = False


async def _all(calls: Iterable[Awaitable[object]]) -> None:
    """Makes all calls at once and lets each end; then raises the first error there was."""
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
