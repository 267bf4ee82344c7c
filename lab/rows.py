"""Writes Instances rows: what a client could wait for at once, a mere LastUpdatedTime a little later.

Most checkpoints of a running instance change nothing in its row but LastUpdatedTime. Such a write waits for up to
`LATE_SECONDS` and is left out when a later one follows. Clients of this process see the time all the same.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

from taskhub.accounts import Entity
from taskhub.errors import AccountError
from taskhub.hub import TaskHub

log = logging.getLogger("lab.orchestrations")
LATE_SECONDS = 5.0
EVERY_CHECKPOINTS = {"CustomStatus", "ExecutionId", "LastUpdatedTime"}  # the columns that each checkpoint sets


class Rows:
    """The Instances rows of the instances that this host works on."""

    def __init__(self, hub: TaskHub) -> None:
        self._hub = hub
        self._late = hub.late_times
        self._some = asyncio.Event()
        self._writing: asyncio.Future[None] | None = None

    @staticmethod
    def is_late(columns: Entity, told: Entity | None) -> bool:
        """Whether a checkpoint's columns may wait: the row, written as `told`, says the same of everything but time."""
        if told is None or not columns.keys() <= EVERY_CHECKPOINTS:
            return False
        return all(columns.get(name) == told.get(name) for name in ("CustomStatus", "ExecutionId"))

    def write_later(self, instance_id: str, columns: Entity) -> None:
        """Sets LastUpdatedTime when the time has come."""
        moment = columns["LastUpdatedTime"]
        assert isinstance(moment, datetime)
        self._late[instance_id] = moment
        self._some.set()

    async def write(self, instance_id: str, columns: Entity) -> None:
        """Sets columns now. AccountUnreachable: the account does not answer."""
        self._late.pop(instance_id, None)
        if self._writing is not None:  # an older time must not come after this one
            await asyncio.shield(self._writing)
        await self._hub.merge_row(instance_id, columns)

    async def run(self) -> None:
        """Writes what is late until it is cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(LATE_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Writes what is late now; what cannot be written is left out, for it tells no more than a time."""
        late = dict(self._late)
        self._some.clear()
        self._writing = asyncio.get_running_loop().create_future()
        try:
            answers = (self._hub.touch_row(instance_id, moment) for instance_id, moment in late.items())
            for answer in await asyncio.gather(*answers, return_exceptions=True):
                if isinstance(answer, AccountError):
                    log.debug("A row's LastUpdatedTime was not written: %s", answer)
                elif isinstance(answer, BaseException):
                    raise answer
        finally:
            for instance_id, moment in late.items():
                if self._late.get(instance_id) == moment:
                    del self._late[instance_id]
            self._writing.set_result(None)
            self._writing = None
