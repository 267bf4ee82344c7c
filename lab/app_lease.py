"""The app lease, which lets only one app at a time work on a hub's control queues."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from lab.leases import TAKEN, LeaseOptions, native_seconds, read_json, to_json
from taskhub.clock import Clock
from taskhub.errors import AccountError
from taskhub.hub import TaskHub
from taskhub.layout import app_lease_id

log = logging.getLogger(__name__)

_NOBODY = "00000000-0000-0000-0000-000000000000"
_MISSED = (
    "Another app has the app lease of hub %s, so app '%s' runs no orchestrations; next try in %g s. "
    "Activities still run here."
)
_NO_SWAP = (
    "The app lease could not be changed over: makeprimary works only while the other app's lease runs. If that app is "
    "gone, write {} into blob %s/%s and restart this host."
)


class AppLease:
    """The lease on the hub's app lease container, which all hosts of one app share by an id made of the app's name.

    Imitated with its traps: apps of the same name do not exclude each other. A lease that ran out may still be renewed
    by its old holder. After `make_primary` an app only tries to *change* the lease, which fails for ever once the other
    app's lease has run out, over restarts too, until somebody writes `{}` into the info blob. And only an answer that
    the lease is somebody else's counts as loss: through an outage the app believes to hold it.
    """

    def __init__(self, hub: TaskHub, clock: Clock, app_name: str, options: LeaseOptions) -> None:
        self._hub, self._clock, self._app_name, self._options = hub, clock, app_name, options
        self._blobs, self._container = hub.account.blobs, hub.names.app_lease
        self._id = app_lease_id(app_name)
        self._next = clock.now()
        self._missed = False
        self.held = False

    async def step(self) -> None:
        """Renews or tries to acquire the lease when that is due. AccountError: it could not be tried."""
        now = self._clock.now()
        if now < self._next:
            return
        if self.held:
            self._next = now + timedelta(seconds=self._options.app_renew_seconds)
            await self._renew()
        else:
            self.held = await self._acquire()
        wait = self._options.app_renew_seconds if self.held else self._options.app_acquire_seconds
        self._next = now + timedelta(seconds=wait)
        self._say(wait)

    async def make_primary(self) -> None:
        """Notes that this app wants the lease, and lets the next step change it over. AccountError: not noted."""
        if not self.held:
            await self._write({**await self._read(), "DesiredSwapId": self._id})
            self._next = self._clock.now()

    async def _renew(self) -> None:
        try:
            await self._blobs.renew_lease(self._container, None, self._id)
        except TAKEN:
            self.held = False
        except AccountError as error:
            log.warning("The app lease could not be renewed and is taken for renewed, as on the platform. %s", error)

    async def _acquire(self) -> bool:
        info = await self._read()
        wants_swap = info.get("DesiredSwapId") == self._id
        try:
            if wants_swap:
                await self._blobs.change_lease(self._container, None, info.get("OwnerId") or _NOBODY, self._id)
            else:
                seconds = native_seconds(self._options.app_lease_seconds)
                await self._blobs.acquire_lease(self._container, None, seconds, self._id)
        except TAKEN:
            if wants_swap:
                log.warning(_NO_SWAP, self._container, self._hub.names.app_lease_info)
            return False
        if wants_swap or info.get("OwnerId") != self._id:
            await self._write({"OwnerId": self._id, "DesiredSwapId": None})
        return True

    async def _read(self) -> dict[str, Any]:
        return await read_json(self._hub, self._container, self._hub.names.app_lease_info)

    async def _write(self, info: dict[str, Any]) -> None:
        await self._blobs.put(self._container, self._hub.names.app_lease_info, to_json(info))

    def _say(self, wait: float) -> None:
        """Logs that the lease is missed, and after that that it has come; nothing when it is simply there."""
        if self._missed and self.held:
            log.warning("App '%s' has the app lease of hub %s.", self._app_name, self._hub.names.hub)
        elif not self._missed and not self.held:
            log.warning(_MISSED, self._hub.names.hub, self._app_name, wait)
        self._missed = not self.held
