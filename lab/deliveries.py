"""Queue messages in this host's hands: taken, kept invisible while worked on, then deleted or put back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Container
from dataclasses import dataclass, field, replace
from datetime import timedelta

from taskhub.accounts import QueueMessage
from taskhub.clock import Clock
from taskhub.errors import AccountError, AccountUnreachable, NotFound
from taskhub.hub import TaskHub
from taskhub.messages import TaskMessage

log = logging.getLogger("lab.hub")
MAX_PUT_BACK_SECONDS = 600
POISON_DEQUEUES = 10
TROUBLE_SECONDS = 5.0  # until a queue that could not be read is tried again


@dataclass(eq=False)
class Delivery:
    """One message in hand."""

    queue: str
    message: QueueMessage  # with the current pop receipt
    task: TaskMessage
    is_new: bool = False  # a start that was handed over: the hub had no row of its instance before
    work: Delivery | None = None  # of a result that is in no queue: the work item that answers for it
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while its pop receipt is about to change

    @property
    def dequeue_count(self) -> int:
        return self.message.dequeue_count


class Deliveries:
    """Takes messages of a hub and answers for them until they are deleted or put back."""

    def __init__(self, hub: TaskHub, clock: Clock) -> None:
        self.hub = hub
        self.clock = clock
        self._in_hand: dict[str, tuple[Delivery, timedelta]] = {}
        self._uncounted: set[str] = set()  # messages whose first try the queue has not counted: they were put in hand
        self._unwritten: dict[Delivery, None] = {}
        self._releasing: set[asyncio.Task[None]] = set()
        self.poison: dict[str, str] = {}  # message id -> description, of those that came back too often

    @property
    def count(self) -> int:
        """How many messages are in hand."""
        return len(self._in_hand)

    def count_in(self, queues: Container[str]) -> int:
        """How many messages of some queues are in hand."""
        in_hand = (delivery for delivery, _ in self._in_hand.values())
        return sum(delivery.queue in queues for delivery in (*in_hand, *self._unwritten))

    async def take(self, queue: str, count: int, visibility: timedelta) -> list[Delivery]:
        """Up to `count` visible messages of a queue; unreadable ones are put back with growing delay."""
        found = []
        for message in await self.hub.account.queues.get(queue, count, visibility):
            if message.id in self._uncounted:
                message = replace(message, dequeue_count=message.dequeue_count + 1)
            if message.id in self._in_hand:  # visible again before its time was renewed: it is being worked on
                delivery, _ = self._in_hand[message.id]
                delivery.message = message
            elif (task := await self._readable(queue, message)) is not None:
                delivery = Delivery(queue, message, task)
                self._in_hand[message.id] = (delivery, visibility)
                found.append(delivery)
        return found

    def adopt(
        self, queue: str, message: QueueMessage, task: TaskMessage, visibility: timedelta, is_new: bool = False
    ) -> Delivery:
        """Takes a message in hand that was put hidden for `visibility` by this process."""
        self._uncounted.add(message.id)
        delivery = Delivery(queue, replace(message, dequeue_count=1), task, is_new)
        self._in_hand[message.id] = (delivery, visibility)
        return delivery

    def unwritten(self, queue: str, result: TaskMessage, work: Delivery) -> Delivery:
        """A result that goes to its instance without a message: until it is in the history, its work item stays.

        A host that dies meanwhile leaves the work item, and the activity runs again.
        """
        now = self.clock.now()
        delivery = Delivery(queue, QueueMessage("", "", "", 1, now, now), result, work=work)
        self._unwritten[delivery] = None
        return delivery

    async def _write_out(self, delivery: Delivery, work: Delivery, delay: timedelta) -> None:
        """Puts a result into its queue after all, and only then lets go of the work item."""
        self._unwritten.pop(delivery, None)
        try:
            await self.hub.send(delivery.task, delay)
        except BaseException:
            self._in_hand.pop(work.message.id, None)  # it is visible again when its time is over
            raise
        await self.done(work)

    async def _readable(self, queue: str, message: QueueMessage) -> TaskMessage | None:
        """What a message says; None when it cannot be told now, and the message comes back later.

        Nothing is raised, whatever the message is: those that came along with it must reach their instances.
        """
        try:
            return await self.hub.read(message)
        except AccountUnreachable as error:
            log.warning("The blob of a message in %s cannot be read now: %s", queue, error)
            return None  # it is visible again when its time is over
        except Exception as error:
            await self._put_back_unreadable(queue, message, error)
            return None

    async def _put_back_unreadable(self, queue: str, message: QueueMessage, error: Exception) -> None:
        delay = self._delay(message.dequeue_count)
        if message.dequeue_count >= POISON_DEQUEUES:
            self.poison[message.id] = f"{queue}: {error}"
        log.error(
            "A message in %s cannot be read (%s: %s); it was dequeued %d times and is put back for %d s.",
            queue, type(error).__name__, error, message.dequeue_count, delay.total_seconds(),
        )  # fmt: skip
        try:
            await self.hub.account.queues.update(queue, message, delay)
        except AccountError:  # it is visible again when its time is over
            pass

    @staticmethod
    def _delay(dequeue_count: int) -> timedelta:
        return timedelta(seconds=min(2 ** min(dequeue_count, 10), MAX_PUT_BACK_SECONDS))

    async def done(self, delivery: Delivery) -> None:
        """Deletes a message that has been dealt with."""
        if delivery.work is not None:
            self._unwritten.pop(delivery, None)
            delivery = delivery.work
        self._uncounted.discard(delivery.message.id)
        self._in_hand.pop(delivery.message.id, None)
        self.poison.pop(delivery.message.id, None)
        try:
            async with delivery.changing:
                await self.hub.account.queues.delete(delivery.queue, delivery.message)
        except NotFound:
            log.warning("%s came back while it was worked on.", delivery.task.describe())

    async def put_back(self, delivery: Delivery, why: str) -> None:
        """Gives a message back for a while that doubles with every try (abandons it, as the platform says)."""
        delay = self._delay(delivery.dequeue_count)
        task = delivery.task
        level = logging.DEBUG
        if delivery.dequeue_count >= POISON_DEQUEUES:
            self.poison[delivery.message.id] = f"{task.instance_id}: {task.describe()}: {why}"
            level = logging.WARNING
        log.log(
            level, "%s: %s is put back for %d s after %d tries: %s.",
            task.instance_id, task.describe(), delay.total_seconds(), delivery.dequeue_count, why,
        )  # fmt: skip
        await self._show_after(delivery, delay)

    async def release(self, delivery: Delivery) -> None:
        """Gives a message back at once, for another host."""
        await self._show_after(delivery, timedelta(0))

    def release_soon(self, delivery: Delivery) -> None:
        """As `release`, for those who cannot wait."""
        task = asyncio.create_task(self.release(delivery))
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    async def release_all(self) -> int:
        """Gives back everything in hand; returns how many messages that were."""
        works = {delivery.work for delivery in self._unwritten}
        waiting = [delivery for delivery, _ in self._in_hand.values() if delivery not in works]
        waiting += self._unwritten
        await asyncio.gather(*self._releasing, return_exceptions=True)
        await asyncio.gather(*(self.release(delivery) for delivery in waiting), return_exceptions=True)
        return len(waiting)

    async def _show_after(self, delivery: Delivery, delay: timedelta) -> None:
        if delivery.work is not None:
            await self._write_out(delivery, delivery.work, delay)
            return
        self._in_hand.pop(delivery.message.id, None)
        try:
            async with delivery.changing:
                await self.hub.account.queues.update(delivery.queue, delivery.message, delay)
        except NotFound:
            pass

    async def renew(self) -> None:
        """Keeps what is in hand invisible, for ever; a message is renewed when half of its time is over."""
        while True:
            shortest = min((visibility for _, visibility in self._in_hand.values()), default=timedelta(seconds=3))
            await asyncio.sleep(max(0.2, min(3.0, shortest.total_seconds() / 6)))
            try:
                await self._renew_due()
            except AccountUnreachable as error:
                log.warning("Messages in hand could not be renewed: %s", error)

    async def _renew_due(self) -> None:
        now = self.clock.now()
        due = [(delivery, visibility) for delivery, visibility in self._in_hand.values()
               if delivery.message.next_visible - now <= visibility / 2]  # fmt: skip
        await asyncio.gather(*(self._renew(delivery, visibility) for delivery, visibility in due))

    async def _renew(self, delivery: Delivery, visibility: timedelta) -> None:
        async with delivery.changing:
            if delivery.message.id not in self._in_hand:
                return
            try:
                delivery.message = await self.hub.account.queues.update(delivery.queue, delivery.message, visibility)
            except AccountUnreachable:
                raise
            except AccountError:  # somebody else has it now; what we do with it will be refused where it matters
                self._in_hand.pop(delivery.message.id, None)
