"""Leases on a hub's blobs: how long they last, and one lease blob as DurableTask.AzureStorage writes it."""

from __future__ import annotations

import json
import math
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NamedTuple

from taskhub.clock import Clock
from taskhub.errors import Conflict, NotFound, PreconditionFailed
from taskhub.hub import TaskHub

SHORTEST_LEASE, LONGEST_LEASE = 15, 60  # seconds, what the blob service gives
TAKEN = (Conflict, PreconditionFailed)
_LOST = (*TAKEN, NotFound)


@dataclass(frozen=True)
class LeaseOptions:
    """How long leases last and how often they are looked after, in seconds; the defaults are the platform's.

    The ownership lease and the passes that take it need half of `lease_seconds` and `acquire_seconds`. No lease is
    shorter than 15 seconds, whatever is asked for: the blob service does not give shorter ones.
    """

    use_app_lease: bool = True
    app_lease_seconds: float = 60
    app_renew_seconds: float = 25
    app_acquire_seconds: float = 300
    lease_seconds: float = 30
    renew_seconds: float = 10
    acquire_seconds: float = 10

    def scaled(self, lease_seconds: float) -> LeaseOptions:
        """The same with another lease time, and renewals and passes in proportion."""
        factor = lease_seconds / self.lease_seconds
        return replace(
            self,
            lease_seconds=lease_seconds,
            renew_seconds=self.renew_seconds * factor,
            acquire_seconds=self.acquire_seconds * factor,
        )


class LeaseText(NamedTuple):
    """Who holds a lease with which token, and how often it has been taken."""

    owner: str | None = None
    token: str | None = None
    epoch: int = 0


class Lease:
    """One lease blob: its native lease is the lock, its text tells the others who holds it with which token."""

    def __init__(self, hub: TaskHub, clock: Clock, worker_id: str, kind: str, index: int, seconds: int) -> None:
        self._hub, self._clock, self._worker_id, self._seconds = hub, clock, worker_id, seconds
        self._blobs, self._container = hub.account.blobs, hub.names.leases
        self._partition = hub.names.control_queue_at(index)
        self.name = f"{kind}/{self._partition}"
        self.token: str | None = None  # of the lease we have, as far as we were told
        self.unsure = False  # we asked for it and did not hear the answer
        self._wanted = str(uuid.uuid4())
        self._until = clock.now()

    @property
    def held(self) -> bool:
        """Whether the lease still runs by our own clock."""
        return self.token is not None and self._clock.now() < self._until

    async def adopt(self) -> None:
        """Takes up the lease that this worker held before it was restarted, if it still can be renewed."""
        text = await self.read()
        if text.owner == self._worker_id and self.token is None:
            self.token = text.token
            await self.renew()

    async def acquire(self) -> bool:
        """Takes the lease if nobody holds it."""
        begun = self._clock.now()
        self.unsure = True
        try:
            await self._acquire_native()
        except TAKEN:
            self.unsure = False
            return False
        epoch = (await self.read()).epoch + 1
        await self._write(self._wanted, LeaseText(self._worker_id, self._wanted, epoch))
        self.token, self._until = self._wanted, begun + timedelta(seconds=self._seconds)
        self.unsure, self._wanted = False, str(uuid.uuid4())
        return True

    async def _acquire_native(self) -> None:
        arguments = (self._container, self.name, self._seconds, self._wanted)
        try:
            await self._blobs.acquire_lease(*arguments)
        except NotFound:
            await self._create()
            await self._blobs.acquire_lease(*arguments)

    async def _create(self) -> None:
        await self._blobs.create(self._container)
        try:
            await self._blobs.put(self._container, self.name, self._text(LeaseText()), only_new=True)
        except TAKEN:
            pass  # somebody else created it

    async def steal(self, token: str) -> bool:
        """Changes the lease from its holder's token to ours."""
        self.unsure = True
        try:
            await self._blobs.change_lease(self._container, self.name, token, self._wanted)
        except _LOST:
            self.unsure = False
            return False
        return await self.acquire()  # again, with the same id: a change does not begin the lease's time anew

    async def renew(self) -> None:
        """Begins the lease's time anew, if we have it; `token` is None afterwards when we have it no longer."""
        if self.token is None:
            return
        begun = self._clock.now()
        try:
            await self._blobs.renew_lease(self._container, self.name, self.token)
        except _LOST:
            self.token = None
        else:
            self._until = begun + timedelta(seconds=self._seconds)

    async def release(self) -> None:
        """Frees the lease, if we have it; what cannot be freed runs out by itself."""
        token, self.token = self.token, None
        if token is None:
            return
        try:
            await self._write(token, LeaseText(epoch=(await self.read()).epoch))
            await self._blobs.release_lease(self._container, self.name, token)
        except _LOST:
            pass

    async def read(self) -> LeaseText:
        """What the blob says; what cannot be understood says nothing."""
        found = await read_json(self._hub, self._container, self.name)
        owner, token, epoch = found.get("Owner"), found.get("Token"), found.get("Epoch")
        return LeaseText(
            owner if isinstance(owner, str) else None,
            token if isinstance(token, str) else None,
            epoch if isinstance(epoch, int) else 0,
        )

    async def _write(self, token: str, text: LeaseText) -> None:
        await self._blobs.put(self._container, self.name, self._text(text), lease_id=token)

    def _text(self, text: LeaseText) -> bytes:
        return to_json({"PartitionId": self._partition, "Owner": text.owner, "Token": text.token, "Epoch": text.epoch})


async def read_json(hub: TaskHub, container: str, name: str) -> dict[str, Any]:
    """A blob's JSON object; empty when it is missing or holds something else."""
    try:
        found = json.loads(await hub.account.blobs.get(container, name))
    except (NotFound, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def to_json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def native_seconds(seconds: float) -> int:
    """The nearest duration in whole seconds that the blob service gives a lease."""
    return max(SHORTEST_LEASE, min(LONGEST_LEASE, math.ceil(seconds)))
