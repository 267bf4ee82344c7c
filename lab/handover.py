"""Hands a message to the very host that puts it: it goes into its queue hidden, as if it had been taken already.

Put Message answers with a pop receipt, so the sender may hold, renew and delete what it put. That saves the Get, and
the wait for it. A host that dies leaves such a message as it leaves a taken one: visible when its time is over.

A message is handed over only while its queue is known to hold nothing that this host could have taken before it, so
that messages of one sender keep their order.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from lab.deliveries import Deliveries, Delivery
from taskhub.accounts import NO_DELAY, QueueMessage
from taskhub.hub import Offer
from taskhub.messages import TaskMessage


class Taker(Protocol):
    """Who works on a queue's messages."""

    visibility: timedelta

    def reserve(self, queue: str) -> bool:
        """Keeps a place for one message of the queue; False when it has to wait in the queue like any other."""
        ...

    def unreserve(self, queue: str) -> None:
        """Gives a place back that `deliver` will not fill."""
        ...

    def deliver(self, delivery: Delivery) -> None:
        """Begins to work on a message, for which a place was reserved if it was handed over."""
        ...

    def put_visibly(self, queue: str) -> None:
        """A message was put that everybody may take: what follows must not overtake it."""
        ...

    def reads(self, queue: str) -> bool:
        """Whether messages of the queue are this taker's."""
        ...


class Handover:
    """Decides which messages of a hub's own process are handed over, and to whom."""

    def __init__(self, deliveries: Deliveries, takers: list[Taker], is_stopping: Callable[[], bool]) -> None:
        self.deliveries = deliveries
        self.takers = takers
        self.is_stopping = is_stopping

    def offer(self, queue: str, delay: timedelta) -> Offer | None:
        """Who takes a message that is about to be put into the queue; None: whoever gets it there."""
        if delay > NO_DELAY or self.is_stopping():
            return None
        for taker in self.takers:
            if taker.reserve(queue):
                return Offered(self, taker, queue)
        return None

    def put_visibly(self, queue: str) -> None:
        """A message was put that everybody may take."""
        for taker in self.takers:
            taker.put_visibly(queue)


class Offered:
    """A place for one message."""

    def __init__(self, handover: Handover, taker: Taker, queue: str) -> None:
        self._handover, self._taker, self._queue = handover, taker, queue
        self.visibility = taker.visibility

    def withdraw(self) -> None:
        """The message could not be put."""
        self._taker.unreserve(self._queue)

    def accept(self, message: QueueMessage, task: TaskMessage, is_new: bool) -> None:
        """The message is in its queue, hidden, and can be worked on."""
        deliveries = self._handover.deliveries
        delivery = deliveries.adopt(self._queue, message, task, self.visibility, is_new)
        if self._handover.is_stopping() or not self._taker.reads(self._queue):
            self._taker.unreserve(self._queue)
            deliveries.release_soon(delivery)
        else:
            self._taker.deliver(delivery)
