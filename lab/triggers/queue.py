"""The queue trigger: takes messages, runs the function for each, sets aside those that keep failing.

After QueueListener and QueueProcessor of the Storage Queues extension 5: up to `batchSize` messages are taken whenever
no more than `newBatchThreshold` are running; a message that failed is visible again after `visibilityTimeout`, and
after `maxDequeueCount` tries goes to `{queue}-poison`. One that is not in the configured encoding goes there at once.
The trigger's queue is not created: until somebody does, there is nothing to take. Unlike on the platform, where a
message is hidden for 10 minutes, it is hidden for 30 seconds and renewed, so that what a killed host held comes back
soon.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lab.errors import SettingsError
from lab.host_json import number, section, value
from lab.triggers.context import Listener, TriggerContext, TriggerInvalid, span_of, trigger_of
from lab.worker import FunctionInfo, InvocationFailed, WorkerGone
from taskhub.accounts import MAX_GET, QueueMessage
from taskhub.errors import AccountError, NotFound

log = logging.getLogger("lab.triggers")
VISIBILITY = timedelta(seconds=30)
FIRST_WAIT = 0.1  # seconds until an empty queue is looked at again; doubled up to maxPollingInterval
FOREVER = "9999-12-31T23:59:59+00:00"  # the messages here never expire
Execute = Callable[[QueueMessage, bytes], Awaitable[None]]


@dataclass(frozen=True)
class QueueSettings:
    """host.json's extensions.queues."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: timedelta = timedelta(0)
    max_polling_interval: timedelta = timedelta(minutes=1)
    is_base64: bool = True


def read_settings(host_json: Mapping[str, Any], is_development: bool = False) -> QueueSettings:
    """The queues' settings with the platform's defaults, in development with its shorter polling. SettingsError."""
    found, where = section(host_json, "extensions", "queues"), "extensions.queues"
    batch = number(found, "batchSize", f"host.json: {where}", 16, 1, MAX_GET)
    polling = timedelta(seconds=2) if is_development else timedelta(minutes=1)
    encoding = str(value(found, "messageEncoding", "base64")).lower()
    if encoding not in ("base64", "none"):
        raise SettingsError(f"host.json: {where}.messageEncoding is {encoding!r}; base64 or none is expected.")
    return QueueSettings(
        batch_size=batch,
        new_batch_threshold=number(found, "newBatchThreshold", f"host.json: {where}", batch // 2, 0),
        max_dequeue_count=number(found, "maxDequeueCount", f"host.json: {where}", 5, 1),
        visibility_timeout=span_of(found, "visibilityTimeout", where, timedelta(0)),
        max_polling_interval=max(timedelta(seconds=0.1), span_of(found, "maxPollingInterval", where, polling)),
        is_base64=encoding == "base64",
    )


def settings_of(context: TriggerContext) -> QueueSettings:
    """The queues' settings of an app."""
    return read_settings(context.host_json, context.setting("AZURE_FUNCTIONS_ENVIRONMENT") == "Development")


def listeners(functions: Sequence[FunctionInfo], context: TriggerContext) -> list[Listener]:
    """A listener for each function. TriggerInvalid: it names no queue; SettingsError."""
    return [queue_listener(function, context) for function in functions]


def queue_listener(function: FunctionInfo, context: TriggerContext) -> Listener:
    """The listener of a queue-triggered function. TriggerInvalid: it names no queue."""
    queue = context.resolve(str(trigger_of(function).get("queueName") or "")).lower()
    if not queue:
        raise TriggerInvalid("its queue trigger names no queue")

    async def execute(message: QueueMessage, body: bytes) -> None:
        await context.worker.trigger(function.name, trigger_data(message, body), context.client_of(function))

    return QueueListener(context, queue, settings_of(context), execute)


class QueueListener:
    """Takes the messages of one queue, some at once, and answers for each until it is deleted or given back."""

    def __init__(
        self, context: TriggerContext, queue: str, settings: QueueSettings, execute: Execute, poison: str = ""
    ) -> None:
        """`execute` raises InvocationFailed or WorkerGone for a message that is to be tried again."""
        self._context, self._queues, self._queue = context, context.account.queues, queue
        self._settings, self._execute = settings, execute
        self._poison = poison or f"{queue}-poison"
        self._running: set[asyncio.Task[None]] = set()
        self._in_hand: dict[str, QueueMessage] = {}
        self._freed = asyncio.Event()
        self._is_missing = False
        self._is_readable = True

    @property
    def name(self) -> str:
        return f"queue {self._queue}"

    async def run(self) -> None:
        wait, longest = FIRST_WAIT, self._settings.max_polling_interval.total_seconds()
        while True:
            if len(self._running) > self._settings.new_batch_threshold:
                self._freed.clear()
                await self._freed.wait()
                continue
            messages = await self._take()
            for message in messages:
                task = asyncio.create_task(self._process(message))
                self._running.add(task)
                task.add_done_callback(self._done)
            wait = FIRST_WAIT if messages else min(wait * 2, longest)
            if not messages:
                await self._idle(wait)

    async def finish(self, seconds: float) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for message in list(self._in_hand.values()):
            with suppress(AccountError):
                await self._queues.update(self._queue, message, timedelta(0))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._freed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A message of the %s failed in the host.", self.name, exc_info=error)

    async def _take(self) -> list[QueueMessage]:
        try:
            found = await self._queues.get(self._queue, self._settings.batch_size, VISIBILITY)
        except NotFound:
            if not self._is_missing:
                log.info("The %s does not exist yet; its function runs when somebody has created it.", self.name)
            self._is_missing = True
            return []
        except AccountError as error:
            log.warning("The %s cannot be read: %s", self.name, error)
            self._is_readable = False
            return []
        self._is_missing, self._is_readable = False, True
        return [message for message in found if not self._has_come_back(message)]

    def _has_come_back(self, message: QueueMessage) -> bool:
        """Whether a message that is being worked on was visible again; its new receipt is the one to use."""
        if message.id not in self._in_hand:
            return False
        self._in_hand[message.id] = message
        return True

    async def _idle(self, seconds: float) -> None:
        if self._is_missing or not self._is_readable:  # a message that is there would wake us at once, in vain
            await asyncio.sleep(seconds)
            return
        try:
            await self._queues.arrived([self._queue], seconds)
        except AccountError:
            await asyncio.sleep(seconds)

    async def _process(self, message: QueueMessage) -> None:
        self._in_hand[message.id] = message
        renewing = asyncio.create_task(self._renew(message.id))
        try:
            is_done = await self._try(message)
        finally:
            renewing.cancel()
        message = self._in_hand.pop(message.id)  # a cancelled one stays in hand, and is given back
        try:
            if is_done:
                await self._queues.delete(self._queue, message)
            else:
                await self._queues.update(self._queue, message, self._settings.visibility_timeout)
        except NotFound:
            log.warning("Message %s of the %s came back while it was worked on.", message.id, self.name)
        except AccountError as error:
            log.warning("Message %s of the %s will come back: %s", message.id, self.name, error)

    async def _try(self, message: QueueMessage) -> bool:
        """Runs the message's function; whether the message has been dealt with, be it in the poison queue."""
        most = self._settings.max_dequeue_count
        body = decode(message.text, self._settings.is_base64)
        if body is None:
            why = "is not in base64, which host.json's extensions.queues.messageEncoding asks for"
            return await self._set_aside(message, why)
        if message.dequeue_count <= most:
            try:
                await self._execute(message, body)
                return True
            except InvocationFailed:
                pass  # it has been printed
            except WorkerGone:
                log.warning("The worker ended while it ran message %s of the %s.", message.id, self.name)
            except AccountError as error:
                log.warning("Message %s of the %s could not be run: %s", message.id, self.name, error)
                return False
            if message.dequeue_count < most:
                return False
        return await self._set_aside(message, f"has reached MaxDequeueCount of {most}")

    async def _set_aside(self, message: QueueMessage, why: str) -> bool:
        log.warning("Message %s of the %s %s; it is moved to the queue '%s'.", message.id, self.name, why, self._poison)
        try:
            await self._queues.create(self._poison)
            await self._queues.put(self._poison, message.text)
        except AccountError as error:
            log.warning("The queue '%s' cannot be written: %s", self._poison, error)
            return False
        return True

    async def _renew(self, message_id: str) -> None:
        """Keeps a message hidden while its function runs."""
        while True:
            await asyncio.sleep(VISIBILITY.total_seconds() / 3)
            try:
                updated = await self._queues.update(self._queue, self._in_hand[message_id], VISIBILITY)
            except NotFound:
                return
            except AccountError as error:
                log.warning("Message %s of the %s could not be renewed: %s", message_id, self.name, error)
            else:
                self._in_hand[message_id] = updated


def decode(text: str, is_base64: bool) -> bytes | None:
    """A message's body, None when it is not in the encoding that is asked for."""
    if not is_base64:
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def encode(body: bytes, is_base64: bool) -> str:
    """A body as it travels in a message; without base64 it has to be UTF-8 (UnicodeDecodeError)."""
    return base64.b64encode(body).decode("ascii") if is_base64 else body.decode("utf-8")


def trigger_data(message: QueueMessage, body: bytes) -> dict[str, Any]:
    """A message as the worker takes it: its text (bytes when it is none), and what func.QueueMessage tells of it."""
    try:
        content = {"type": "string", "value": body.decode("utf-8")}
    except UnicodeDecodeError:
        content = {"type": "bytes", "value": base64.b64encode(body).decode("ascii")}
    metadata = {
        "Id": {"type": "string", "value": message.id},
        "DequeueCount": {"type": "json", "value": str(message.dequeue_count)},
        "ExpirationTime": _moment(FOREVER),
        "InsertionTime": _moment(_text(message.inserted)),
        "NextVisibleTime": _moment(_text(message.next_visible)),
        "PopReceipt": {"type": "string", "value": message.pop_receipt},
        "QueueTrigger": {"type": "string", "value": content["value"]},
    }
    return {**content, "metadata": metadata}


def _moment(text: str) -> dict[str, str]:
    return {"type": "json", "value": f'"{text}"'}


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")
