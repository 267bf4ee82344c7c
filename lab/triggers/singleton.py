"""A blob lease that one host at a time holds, so that a timer never runs on two.

The blob and its place are those of the Functions host's listener locks: `locks/{host id}/{function}.Listener` in the
container azure-webjobs-hosts. The platform's leases last 60 seconds; the lab's are as long as its partition leases.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

from lab.leases import TAKEN, native_seconds
from lab.triggers.context import HOSTS_CONTAINER, TriggerContext
from taskhub.errors import AccountError, NotFound

log = logging.getLogger("lab.triggers")


class Singleton:
    """The right of one host to listen for one function."""

    def __init__(self, context: TriggerContext, name: str) -> None:
        self._blobs, self._clock = context.account.blobs, context.clock
        self._seconds = native_seconds(context.lease_seconds)
        self._blob = f"locks/{context.host_id}/{name}.Listener"
        self._lease_id = str(uuid.uuid4())
        self._until = context.clock.now()

    @property
    def held(self) -> bool:
        """Whether this host has the right now, by its own clock."""
        return self._clock.now() < self._until

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Takes the lease, works as long as it is held, and frees it; returns when it is lost."""
        try:
            await self._acquire()
        except BaseException:
            work.close()
            raise
        task = asyncio.create_task(work)
        try:
            await self._keep(task)
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self._release()
        if not task.cancelled():
            task.result()

    async def _acquire(self) -> None:
        while True:
            begun = self._clock.now()
            try:
                await self._try()
            except TAKEN:
                await asyncio.sleep(self._seconds / 3)
            except AccountError as error:
                log.warning("The lock %s could not be tried: %s", self._blob, error)
                await asyncio.sleep(self._seconds / 3)
            else:
                self._until = begun + timedelta(seconds=self._seconds)
                return

    async def _try(self) -> None:
        try:
            await self._blobs.acquire_lease(HOSTS_CONTAINER, self._blob, self._seconds, self._lease_id)
        except NotFound:
            await self._blobs.create(HOSTS_CONTAINER)
            with suppress(*TAKEN):
                await self._blobs.put(HOSTS_CONTAINER, self._blob, b"", only_new=True)
            await self._blobs.acquire_lease(HOSTS_CONTAINER, self._blob, self._seconds, self._lease_id)

    async def _keep(self, task: asyncio.Task[None]) -> None:
        """Renews until the work is done or the lease is lost; an outage is borne as long as the lease runs."""
        while not task.done():
            await asyncio.wait([task], timeout=self._seconds / 3)
            begun = self._clock.now()
            try:
                await self._blobs.renew_lease(HOSTS_CONTAINER, self._blob, self._lease_id)
            except (*TAKEN, NotFound):
                self._until = begun
            except AccountError as error:
                log.warning("The lock %s could not be renewed: %s", self._blob, error)
            else:
                self._until = begun + timedelta(seconds=self._seconds)
            if not self.held:
                return

    async def _release(self) -> None:
        self._until = self._clock.now()
        with suppress(AccountError):
            await self._blobs.release_lease(HOSTS_CONTAINER, self._blob, self._lease_id)
