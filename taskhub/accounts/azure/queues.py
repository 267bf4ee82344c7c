"""The queue service of a real account or Azurite."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from taskhub.accounts import MAX_GET, NO_DELAY, QueueMessage
from taskhub.accounts.azure.calls import Caller, error_code
from taskhub.accounts.azure.tables import anext_page
from taskhub.accounts.limits import check_queue, check_text
from taskhub.errors import AccountError

NEVER = -1  # time to live
FIRST_POLL_SECONDS = 0.05
SOON_SECONDS = 1


class AzureQueues:
    """Queues behind an endpoint. Texts are sent and returned as they are; delays are whole seconds, rounded down."""

    def __init__(self, client: QueueServiceClient, caller: Caller) -> None:
        self._client = client
        self._caller = caller
        self._queues: dict[str, QueueClient] = {}
        self._polling = Polling()

    async def create(self, queue: str) -> bool:
        check_queue(queue)
        return await self._caller.call(self._create, queue)

    async def drop(self, queue: str) -> None:
        await self._caller.call(self._drop, queue)

    async def names(self, prefix: str = "") -> list[str]:
        return sorted(await self._caller.call(self._names, prefix))

    async def put(self, queue: str, text: str, delay: timedelta = NO_DELAY) -> QueueMessage:
        check_text(text)
        seconds = _seconds(delay)
        answer = await self._caller.call(
            self._queue(queue).send_message, text, visibility_timeout=seconds, time_to_live=NEVER
        )
        self._polling.expect(queue, seconds)
        return _message(answer, text)

    async def get(self, queue: str, count: int, visibility: timedelta) -> list[QueueMessage]:
        _check_count(count)
        if visibility <= NO_DELAY:
            raise AccountError("A message that is taken needs a visibility timeout of at least one second.")
        taken = await self._caller.call(self._get, queue, count, max(1, _seconds(visibility)))
        if taken:
            self._polling.found(queue)
        return taken

    async def update(
        self, queue: str, message: QueueMessage, visibility: timedelta, text: str | None = None
    ) -> QueueMessage:
        if text is not None:
            check_text(text)
        seconds = _seconds(visibility)
        answer = await self._caller.call(
            self._queue(queue).update_message,
            message.id,
            pop_receipt=message.pop_receipt,
            content=text,
            visibility_timeout=seconds,
        )
        self._polling.expect(queue, seconds)
        return QueueMessage(
            id=message.id,
            text=message.text if text is None else text,
            pop_receipt=answer.pop_receipt or "",
            dequeue_count=message.dequeue_count,
            inserted=message.inserted,
            next_visible=answer.next_visible_on or message.next_visible,
        )

    async def delete(self, queue: str, message: QueueMessage) -> None:
        await self._caller.call(self._queue(queue).delete_message, message.id, pop_receipt=message.pop_receipt)

    async def peek(self, queue: str, count: int = MAX_GET) -> list[QueueMessage]:
        _check_count(count)
        found = await self._caller.call(self._queue(queue).peek_messages, max_messages=count)
        return [_message(message) for message in found]

    async def count(self, queue: str) -> int:
        properties = await self._caller.call(self._queue(queue).get_queue_properties)
        return int(properties.approximate_message_count or 0)

    async def clear(self, queue: str) -> None:
        await self._caller.call(self._queue(queue).clear_messages)

    async def arrived(self, queues: Sequence[str], timeout: float) -> None:
        await self._polling.wait(queues, timeout)

    def _queue(self, queue: str) -> QueueClient:
        if (client := self._queues.get(queue)) is None:
            client = self._queues[queue] = self._client.get_queue_client(queue)
        return client

    async def _create(self, queue: str) -> bool:
        try:
            await self._queue(queue).create_queue()
        except HttpResponseError as error:
            if error_code(error) != "QueueAlreadyExists":
                raise
            return False
        return True

    async def _drop(self, queue: str) -> None:
        try:
            await self._queue(queue).delete_queue()
        except HttpResponseError as error:
            if error_code(error) != "QueueNotFound":
                raise

    async def _names(self, prefix: str) -> list[str]:
        return [item.name async for item in self._client.list_queues(name_starts_with=prefix or None)]

    async def _get(self, queue: str, count: int, seconds: int) -> list[QueueMessage]:
        pages = self._queue(queue).receive_messages(messages_per_page=count, visibility_timeout=seconds).by_page()
        try:
            return [_message(message) async for message in await anext_page(pages)]
        except StopAsyncIteration:
            return []


class Polling:
    """When to look for messages again: at once after a put of this process, else less and less often.

    The platform's host polls an empty queue after 50 ms, and then after randomised, growing times up to a maximum.
    """

    def __init__(self) -> None:
        self._expected: dict[str, float] = {}  # queue -> loop time at which a message of ours is visible
        self._waiters: dict[asyncio.Future[None], frozenset[str]] = {}
        self._idle: dict[str, int] = {}  # queue -> waits in a row that brought nothing

    def expect(self, queue: str, seconds: float) -> None:
        """A message of this process will be visible then; one that is soon is looked for often."""
        moment = asyncio.get_running_loop().time() + seconds
        self._expected[queue] = min(moment, self._expected.get(queue, moment))
        if seconds <= SOON_SECONDS:
            self._idle.pop(queue, None)
        for waiter, queues in self._waiters.items():
            if queue in queues and not waiter.done():
                waiter.set_result(None)

    def found(self, queue: str) -> None:
        """The queue is busy."""
        self._idle.pop(queue, None)

    async def wait(self, queues: Sequence[str], timeout: float) -> None:
        """Returns when it is time to look into the queues again, at the latest after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._pause(queues, timeout)
        while (remaining := min(end, self._first(queues)) - loop.time()) > 0:
            await self._changed(loop, frozenset(queues), remaining)
        now = loop.time()
        for queue in queues:
            if self._expected.get(queue, now + 1) <= now:
                del self._expected[queue]
            else:
                self._idle[queue] = self._idle.get(queue, 0) + 1

    def _pause(self, queues: Sequence[str], timeout: float) -> float:
        doubled = min((self._idle.get(queue, 0) for queue in queues), default=0)
        longest = FIRST_POLL_SECONDS * 2 ** min(doubled, 30)
        return float(min(timeout, longest * random.uniform(0.5, 1.0)))

    def _first(self, queues: Sequence[str]) -> float:
        return min((self._expected.get(queue, float("inf")) for queue in queues), default=float("inf"))

    async def _changed(self, loop: asyncio.AbstractEventLoop, queues: frozenset[str], seconds: float) -> None:
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters[waiter] = queues
        timer = loop.call_later(seconds, _resolve, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            del self._waiters[waiter]


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _message(message: Any, text: str | None = None) -> QueueMessage:
    return QueueMessage(
        id=message.id,
        text=(message.content or "") if text is None else text,
        pop_receipt=message.pop_receipt or "",
        dequeue_count=message.dequeue_count or 0,
        inserted=message.inserted_on,
        next_visible=message.next_visible_on or message.inserted_on,
    )


def _seconds(duration: timedelta) -> int:
    if duration < NO_DELAY:
        raise AccountError(f"A message is invisible for 0 seconds to 7 days, not for {duration}.")
    return int(duration.total_seconds())


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_GET:
        raise AccountError(f"A queue gives 1 to {MAX_GET} messages at once, not {count}.")
