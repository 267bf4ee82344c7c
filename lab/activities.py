"""Takes work items, runs the activities, and sends what came of them to the instances that wait."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from lab.deliveries import TROUBLE_SECONDS, Deliveries, Delivery
from lab.function_index import FunctionIndex
from lab.http_calls import HttpCallFailed
from lab.newtonsoft import without_metadata
from lab.shim import HTTP_ACTIVITY
from lab.worker import FunctionInfo, FunctionTimedOut, InvocationFailed, Worker, WorkerGone
from taskhub import messages
from taskhub.accounts import MAX_GET
from taskhub.clock import Clock
from taskhub.errors import AccountError, AccountUnreachable
from taskhub.hub import TaskHub
from taskhub.messages import Event, TaskMessage

log = logging.getLogger("lab.activities")
_EXCEPTION = "System.Exception, System.Private.CoreLib"
_HTTP_EXCEPTION = "System.Net.Http.HttpRequestException, System.Private.CoreLib"
_TIMEOUT_EXCEPTION = "Microsoft.Azure.WebJobs.Host.FunctionTimeoutException, Microsoft.Azure.WebJobs.Host"
_CUT = "\n\n$OutOfProcData$:"


class Activities:
    """The work items of a hub, as many at once as the settings allow."""

    def __init__(
        self,
        hub: TaskHub,
        deliveries: Deliveries,
        worker: Worker,
        functions: FunctionIndex,
        clock: Clock,
        visibility: timedelta,
        max_concurrent: int,
        http_call: Callable[[str], Awaitable[str]],
        binding: Callable[[FunctionInfo], str | None],
    ) -> None:
        self.hub = hub
        self.deliveries = deliveries
        self.worker = worker
        self.functions = functions
        self.clock = clock
        self.visibility = visibility
        self.http_call = http_call
        self.binding = binding
        # Is offered each result with its work item; False: it has to go through the instance's queue.
        self.hand_in: Callable[[TaskMessage, Delivery], bool] = lambda result, work: False
        self.max_concurrent = max_concurrent
        self._reserved = 0
        self._drained = False  # whether nothing is known to wait in the queue
        self._visible_puts = 0
        self._reading = False
        self._running: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()

    async def read(self, polling: float) -> None:
        """Takes work items until it is cancelled; `polling` seconds at most between looks."""
        self._reading = True
        try:
            while True:
                if self._free <= 0:
                    self._freed.clear()
                    await self._freed.wait()
                    continue
                await self._read_some(polling)
        finally:
            self._reading = self._drained = False

    async def _read_some(self, polling: float) -> None:
        queue = self.hub.names.workitems
        # While the answer is awaited, work items that this host itself puts may take the other free places.
        wanted = min((self._free + 1) // 2, MAX_GET)
        self._reserved += wanted
        puts = self._visible_puts
        try:
            found = await self.deliveries.take(queue, wanted, self.visibility)
        except AccountError as error:
            log.warning("%s cannot be read: %s", queue, error)
            await asyncio.sleep(min(polling, TROUBLE_SECONDS))
            return
        finally:
            self._reserved -= wanted
        for delivery in found:
            self._begin(delivery)
        self._drained = len(found) < wanted and puts == self._visible_puts
        if not found:
            await self.hub.account.queues.arrived([queue], polling)

    @property
    def _free(self) -> int:
        return self.max_concurrent - len(self._running) - self._reserved

    def _begin(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._run(delivery))
        self._running.add(task)
        task.add_done_callback(self._done)

    # taking what this host itself puts

    def reads(self, queue: str) -> bool:
        """Whether the queue is that of the work items, and this host works on them."""
        return self._reading and queue == self.hub.names.workitems

    def reserve(self, queue: str) -> bool:
        """Keeps one of the free places; False when there is none, or others wait in the queue."""
        if not self._drained or self._free <= 0 or not self.reads(queue):
            return False
        self._reserved += 1
        return True

    def unreserve(self, queue: str) -> None:
        """Gives a place back."""
        self._reserved -= 1
        self._freed.set()

    def deliver(self, delivery: Delivery) -> None:
        """Runs a work item for which a place was reserved."""
        self._reserved -= 1
        self._begin(delivery)

    def put_visibly(self, queue: str) -> None:
        """A work item waits in the queue."""
        if queue == self.hub.names.workitems:
            self._visible_puts += 1
            self._drained = False

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._freed.set()

    async def finish(self, seconds: float) -> int:
        """Waits for what is running; returns how many activities had to be left."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        left = len(self._running)
        for task in list(self._running):
            task.cancel()
        return left

    async def _run(self, delivery: Delivery) -> None:
        task = delivery.task
        try:
            response = await self._response(task)
            result = TaskMessage(
                response, task.instance_id, task.execution_id, task.instance_id, task.execution_id or "", task.episode
            )
            if not self.hand_in(result, delivery):
                await self.hub.send(result)
                await self.deliveries.done(delivery)
        except WorkerGone:
            await self.deliveries.release(delivery)
        except AccountUnreachable as error:
            log.warning("%s: %s could not be reported (%s); it will run again.",
                        task.instance_id, task.describe(), error)  # fmt: skip
        except Exception as error:
            log.exception("%s: %s failed in the host", task.instance_id, task.describe())
            await self.deliveries.put_back(delivery, f"{type(error).__name__}: {error}")

    async def _response(self, task: TaskMessage) -> Event:
        name, number = task.event["Name"], task.event["EventId"]
        try:
            result = await self._invoke(name, _argument(task.event.get("Input")), task.instance_id)
        except FunctionTimedOut as error:
            return self._failed(number, name, error.text, "", _TIMEOUT_EXCEPTION)
        except InvocationFailed as error:
            friendly = error.text.split(_CUT, 1)[0]
            return self._failed(number, name, f" {friendly}", error.stack)
        except HttpCallFailed as error:
            return self._failed(number, name, str(error), "", _HTTP_EXCEPTION)
        return messages.event(messages.TASK_COMPLETED, self.clock.now(), TaskScheduledId=number, Result=result)

    async def _invoke(self, name: str, argument: Any, instance_id: str) -> str | None:
        if name == HTTP_ACTIVITY:
            return await self.http_call(json.dumps(argument))
        function = self.functions.activity(name)
        if function is None:
            raise InvocationFailed(self.functions.no_activity(name))
        text = argument if isinstance(argument, str) or argument is None else json.dumps(argument)
        return _without_metadata(await self.worker.activity(function.name, text, instance_id, self.binding(function)))

    def _failed(self, number: int, name: str, message: str, stack: str, class_name: str = _EXCEPTION) -> Event:
        return messages.event(
            messages.TASK_FAILED, self.clock.now(),
            TaskScheduledId=number,
            Reason=f"Activity function '{name}' failed: {message}" if name != HTTP_ACTIVITY else message,
            Details=details(message, stack, class_name),
            FailureDetails=None,
        )  # fmt: skip


def details(message: str, stack: str, class_name: str = _EXCEPTION) -> str:
    """A failure as the JSON of the .NET exception that the extension would store; `class_name` with its assembly."""
    return json.dumps(
        {
            "$type": class_name, "ClassName": class_name.partition(",")[0], "Message": message,
            "Data": None, "InnerException": None, "HelpURL": None, "StackTraceString": stack or None,
            "RemoteStackTraceString": None, "RemoteStackIndex": 0, "ExceptionMethod": None,
            "HResult": -2146233088, "Source": None, "WatsonBuckets": None,
        },
        ensure_ascii=False, separators=(",", ":"),
    )  # fmt: skip


def _argument(stored: str | None) -> Any:
    """The one argument of an activity, from the array that the extension stores."""
    if stored is None:
        return None
    arguments = json.loads(stored)
    return arguments[0] if isinstance(arguments, list) and arguments else None


def _without_metadata(result: str) -> str:
    """A result as the extension stores it: what Newtonsoft.Json takes for its own is gone."""
    if not result.startswith("{") or '"$' not in result:
        return result
    value = json.loads(result)
    kept = without_metadata(value)
    return result if kept == value else json.dumps(kept)
