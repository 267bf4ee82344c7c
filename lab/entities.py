"""Entities: their requests in order, their state, and the answers to those who called.

An entity's scheduler state is the input of its ever-renewed execution, as the extension keeps it (SchedulerState,
TaskEntityShim, MessageSorter of extension 2.13.7).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from lab.function_index import FunctionIndex
from lab.runtime_state import Execution, new_execution_id
from lab.worker import InvocationFailed, Worker
from taskhub import messages
from taskhub.clock import Clock
from taskhub.history import History
from taskhub.messages import TaskMessage

log = logging.getLogger("lab.entities")
_RESPONSE_TYPE = (
    "Microsoft.Azure.WebJobs.Extensions.DurableTask.ResponseMessage, Microsoft.Azure.WebJobs.Extensions.DurableTask"
)
REORDER_WINDOW = timedelta(minutes=30)
_COLLECTION_INTERVAL = timedelta(minutes=1)
_NO_TIME = datetime(1, 1, 1, tzinfo=timezone.utc)
_NO_TIME_TEXT = "0001-01-01T00:00:00"
_SORTER = ("ReceivedFromInstance", "ReceiveHorizon")  # in the extension's order

Request = dict[str, Any]


def _time(text: str | None) -> datetime:
    return _NO_TIME if not text or text.startswith("0001-") else messages.parse_timestamp(text)


def _text(moment: datetime) -> str:
    return _NO_TIME_TEXT if moment == _NO_TIME else messages.timestamp(moment)


class MessageSorter:
    """Delivers the requests of each sender once and in the order they were sent, within a window of time."""

    def __init__(self, stored: dict[str, Any] | None) -> None:
        self.state: dict[str, Any] = stored or {}

    def receive(self, request: Request) -> list[Request]:
        """The requests that may be executed now that this one has come."""
        sender = request.get("parent")
        if sender is None or request.get("pos", 0) > 0:
            return [request]  # clients' messages take no part
        moment, released = _time(request.get("Timestamp")), []
        horizon = _time(self.state.get("ReceiveHorizon"))
        if horizon + REORDER_WINDOW + _COLLECTION_INTERVAL < moment:
            horizon = moment - REORDER_WINDOW
            self.state["ReceiveHorizon"] = _text(horizon)
            released = self._collect(horizon)
        if moment < horizon:
            return [*released, request]
        return [*released, *self._from_sender(sender, request, moment, horizon)]

    def _collect(self, horizon: datetime) -> list[Request]:
        released: list[Request] = []
        buffers = self.state.get("ReceivedFromInstance", {})
        for sender in list(buffers):
            buffer = buffers[sender]
            if _time(buffer["Last"]) < horizon:
                buffer["Last"] = _NO_TIME_TEXT
            released.extend(self._ready(buffer, horizon))
            if buffer["Last"] == _NO_TIME_TEXT and not buffer.get("Buffered"):
                del buffers[sender]
        if not buffers:
            self.state.pop("ReceivedFromInstance", None)
        return released

    def _from_sender(self, sender: str, request: Request, moment: datetime, horizon: datetime) -> list[Request]:
        buffers = self.state.setdefault("ReceivedFromInstance", {})
        execution = request.get("parentExecution")
        released: list[Request] = []
        buffer = buffers.get(sender)
        if buffer is None:
            buffer = buffers[sender] = {"Last": _NO_TIME_TEXT}
            if execution is not None:
                buffer["ExecutionId"] = execution
        elif buffer.get("ExecutionId") != execution:
            released = list(buffer.pop("Buffered", {}).values())
            buffer["Last"], buffer["ExecutionId"] = _NO_TIME_TEXT, execution
        if moment <= _time(buffer["Last"]):
            return released  # delivered before
        before = _time(request.get("Predecessor"))
        if before > _time(buffer["Last"]) and before >= horizon:
            buffer.setdefault("Buffered", {})[request["Timestamp"]] = request
            return released
        buffer["Last"] = _text(moment if moment >= horizon else _NO_TIME)
        return [*released, request, *self._ready(buffer, horizon)]

    @staticmethod
    def _ready(buffer: dict[str, Any], horizon: datetime) -> list[Request]:
        released: list[Request] = []
        waiting: dict[str, Request] = buffer.get("Buffered", {})
        for stamp in sorted(waiting):
            before = _time(waiting[stamp].get("Predecessor"))
            if before > _time(buffer["Last"]) and before >= horizon:
                break
            moment = _time(stamp)
            released.append(waiting.pop(stamp))
            buffer["Last"] = _text(moment if moment >= horizon else _NO_TIME)
        if not waiting:
            buffer.pop("Buffered", None)
        return released


@dataclass
class EntityTurn:
    """What a batch of messages did to an entity."""

    execution: Execution
    status: str  # JSON text of the custom status
    outgoing: list[TaskMessage] = field(default_factory=list)


class Entities:
    """Runs the requests that arrive for entities."""

    def __init__(self, worker: Worker, functions: FunctionIndex, clock: Clock) -> None:
        self.worker = worker
        self.functions = functions
        self.clock = clock

    async def turn(self, entity_id: str, history: History, arrived: Sequence[TaskMessage]) -> EntityTurn | None:
        """Executes what has arrived for an entity; None when there was nothing to do."""
        state = self._state(history)
        sorter = MessageSorter(state.get("sorter"))
        requests = [request for message in arrived for request in self._requests(message, sorter)]
        if not requests and not any(m.kind == messages.EVENT_RAISED for m in arrived):
            return None
        execution_id = new_execution_id()
        outgoing: list[TaskMessage] = []
        for request in requests:
            answer = await self._execute(entity_id, state, request)
            if not request.get("signal"):
                outgoing.append(self._answer(entity_id, execution_id, request, answer))
        state["sorter"] = {name: sorter.state[name] for name in _SORTER if name in sorter.state}
        return self._turn(entity_id, execution_id, state, outgoing)

    @staticmethod
    def _state(history: History) -> dict[str, Any]:
        for event in history.events:
            if event["EventType"] == messages.EXECUTION_STARTED and event.get("Input"):
                state: dict[str, Any] = json.loads(event["Input"])
                return state
        return {}

    @staticmethod
    def _requests(message: TaskMessage, sorter: MessageSorter) -> list[Request]:
        event = message.event
        if event["EventType"] != messages.EVENT_RAISED or not str(event.get("Name", "")).startswith("op"):
            return []
        try:
            request = json.loads(event["Input"])
        except (TypeError, ValueError) as error:
            log.error("%s got a request that cannot be read: %s", message.instance_id, error)
            return []
        return sorter.receive(request) if isinstance(request, dict) else []

    async def _execute(self, entity_id: str, state: dict[str, Any], request: Request) -> dict[str, Any]:
        """Runs one operation; what it answers is {"result": …} with "isError" when it failed."""
        name, key = entity_id[1:].split("@", 1)
        function = self.functions.entity(name)
        if function is None:
            return {"isError": True, "result": json.dumps(self.functions.no_entity(name))}
        operation = {
            "name": request.get("op", ""), "input": request.get("input"), "isSignal": bool(request.get("signal")),
        }  # fmt: skip
        batch = json.dumps(
            {
                "self": {"name": name, "key": key},
                "exists": bool(state.get("exists")),
                "state": state.get("state"),
                "batch": [operation],
            }
        )
        try:
            answer = json.loads(await self.worker.entity(function.name, batch))
            result: dict[str, Any] = answer["results"][0]
        except (InvocationFailed, ValueError, KeyError, IndexError) as error:
            # The platform tries such a batch again for ever; here the operation fails and the entity lives on.
            log.error("%s: operation %r failed: %s", entity_id, operation["name"], error)
            return {"isError": True, "result": json.dumps(str(error))}
        if answer.get("entityExists"):
            state["exists"], state["state"] = True, answer.get("entityState")
        else:
            state.pop("exists", None)
            state["state"] = answer.get("entityState")
        if result.get("isError"):
            log.error("%s: operation %r failed: %s", entity_id, operation["name"], result.get("result"))
        return result

    def _answer(self, entity_id: str, execution_id: str, request: Request, result: dict[str, Any]) -> TaskMessage:
        response: dict[str, Any] = {"$type": _RESPONSE_TYPE, "result": result.get("result")}
        if result.get("isError"):
            response["exceptionType"] = "Error"
        event = messages.event(
            messages.EVENT_RAISED, self.clock.now(), Name=request["id"],
            Input=json.dumps(response, ensure_ascii=False, separators=(",", ":")), ParentTraceContext=None,
        )  # fmt: skip
        return TaskMessage(event, request["parent"], request.get("parentExecution"), entity_id, execution_id, 1)

    def _turn(
        self, entity_id: str, execution_id: str, state: dict[str, Any], outgoing: list[TaskMessage]
    ) -> EntityTurn:
        now = self.clock.now()
        ordered = {name: state[name] for name in ("exists", "state", "queue", "lockedBy", "suspended", "sorter")
                   if state.get(name) is not None}  # fmt: skip
        text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))
        started = messages.execution_started(now, entity_id, execution_id, entity_id, text, generation=None)
        events = [
            messages.event(messages.ORCHESTRATOR_STARTED, now),
            started,
            messages.event(messages.ORCHESTRATOR_COMPLETED, self.clock.now()),
        ]
        started["IsPlayed"] = events[2]["IsPlayed"] = True
        status = json.dumps({"entityExists": bool(state.get("exists"))}, separators=(",", ":"))
        return EntityTurn(Execution(entity_id, execution_id, [], events), status, outgoing)
