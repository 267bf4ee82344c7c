"""Ends turns whose history is written: the Instances row, then the deletion of the messages that were dealt with.

That happens in the background, turn after turn of an instance; turns that end while one is being written are written
together. Where a copy follows the account, every turn's row is written by itself and before the next turn, as the
extension does it: a failover then cuts what it would cut there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from lab.deliveries import Deliveries, Delivery
from lab.rows import Rows
from taskhub.accounts import Entity
from taskhub.errors import AccountError
from taskhub.hub import TaskHub

log = logging.getLogger("lab.orchestrations")
MOMENT_SECONDS = 0.0  # a longer one would leave more rows behind when the host is killed


@dataclass
class Settlement:
    """What is left to do for one or several turns of an instance."""

    instance_id: str
    columns: Entity = field(default_factory=dict)
    is_late: bool = True  # only the time is new
    items: list[Delivery] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)


class Settling:
    """The ends of turns that are not yet written."""

    def __init__(
        self,
        hub: TaskHub,
        deliveries: Deliveries,
        tasks: set[asyncio.Task[None]],
        put_back: Callable[[Sequence[Delivery], str], Awaitable[None]],
        settled: Callable[[], None],
    ) -> None:
        """`tasks` gets every task; `settled` is told of the end of each."""
        self.rows = Rows(hub)
        self._hub, self._deliveries, self._tasks = hub, deliveries, tasks
        self._one_by_one = hub.account.is_replicated
        self._put_back, self._settled = put_back, settled
        self._waiting: dict[str, Settlement] = {}
        self._last: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, Entity] = {}  # the columns of the rows as they were written last

    @property
    def instances(self) -> Collection[str]:
        """The instances of which something is left to do."""
        return self._last.keys()

    def forget(self, instance_id: str) -> None:
        """The next row of the instance is written whatever it says."""
        self._told.pop(instance_id, None)

    def settle(
        self, instance_id: str, columns: Entity, items: Iterable[Delivery], blobs: Iterable[str], at_once: bool
    ) -> None:
        """Has the row written, then blobs and messages deleted; `at_once`: somebody may wait for the row."""
        one = self._waiting.get(instance_id) or self._begin(instance_id)
        one.is_late = one.is_late and not self._one_by_one and self.rows.is_late(columns, self._told.get(instance_id))
        one.columns |= columns
        one.items += items
        one.blobs += blobs
        self._told[instance_id] = columns
        if at_once:
            one.hurry.set()

    async def caught_up(self, instance_id: str) -> None:
        """Returns when the next turn of the instance may begin."""
        if self._one_by_one and (last := self._last.get(instance_id)):
            await asyncio.wait([last])

    def _begin(self, instance_id: str) -> Settlement:
        one = self._waiting[instance_id] = Settlement(instance_id)
        task = asyncio.create_task(self._run(one, self._last.get(instance_id)))
        self._last[instance_id] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return one

    async def _run(self, one: Settlement, before: asyncio.Task[None] | None) -> None:
        timer = asyncio.get_running_loop().call_later(MOMENT_SECONDS, one.hurry.set)
        try:
            await one.hurry.wait()
            if before is not None:  # and turns that end meanwhile join this one
                await asyncio.wait([before])
            del self._waiting[one.instance_id]
            await self._write(one)
        except AccountError as error:
            log.warning("%s: the account does not answer (%s); its row is written later.", one.instance_id, error)
            self.forget(one.instance_id)
            await self._put_back([item.work or item for item in one.items], "the account does not answer")
        finally:
            timer.cancel()
            if self._last.get(one.instance_id) is asyncio.current_task():
                del self._last[one.instance_id]
            self._settled()

    async def _write(self, one: Settlement) -> None:
        if one.is_late:
            self.rows.write_later(one.instance_id, one.columns)
        else:
            await self.rows.write(one.instance_id, one.columns)
        for blob in one.blobs:
            await self._hub.account.blobs.delete(self._hub.large.container, blob)
        await asyncio.gather(*(self._deliveries.done(item) for item in one.items))
