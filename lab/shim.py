"""The rules of an orchestration: which tasks an episode schedules, what completes them, and when the instance ends.

The extension runs a Python orchestrator behind a shim. Python answers with all of its actions so far; the shim walks
through them one after the other and waits for each, while DurableTask.Core feeds it the history. The two do not always
agree (an event in other letters, one early event that Python uses twice), and what users see is the shim's view. So
this file follows the shim: OutOfProcOrchestrationShim, DurableOrchestrationContext and TaskOrchestrationContext of
extension 2.13.7.

Nothing here does I/O or reads a clock: history events go in, `Scheduled` actions and an `Outcome` come out.
"""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from lab import determinism
from taskhub import messages
from taskhub.messages import Event

HTTP_ACTIVITY = "BuiltIn::HttpActivity"
_REQUEST_TYPE = (
    "Microsoft.Azure.WebJobs.Extensions.DurableTask.RequestMessage, Microsoft.Azure.WebJobs.Extensions.DurableTask"
)
_NO_TIME = "0001-01-01T00:00:00"
_TICK = timedelta(microseconds=1)


class Functions(Protocol):
    """What the shim must know of the app (lab.function_index)."""

    def activity(self, name: str) -> object | None: ...

    def orchestrator(self, name: str) -> object | None: ...

    def entity(self, name: str) -> object | None: ...

    def no_entity(self, name: str) -> str:
        """The extension's text that says there is no such entity."""
        ...


class OrchestratorFault(Exception):
    """An action that the extension refuses, which fails the orchestrator."""


@dataclass
class Scheduled:
    """One new action of an episode, with the number that its completion will carry."""

    kind: str  # activity, timer, child, event
    id: int
    name: str = ""
    input: str | None = None
    instance_id: str = ""  # of a child, or of the receiver of an event
    fire_at: str = ""


@dataclass
class Outcome:
    """How an execution ended."""

    status: str  # Completed, Failed, Terminated, ContinuedAsNew
    result: str | None
    details: str | None = None


@dataclass
class _Node:
    """A task in the tree of what is being awaited."""

    done: bool = False
    failed: bool = False
    parent: _Node | None = None
    on_done: Callable[[], None] | None = None

    def finish(self, failed: bool = False) -> None:
        if self.done:
            return
        self.done, self.failed = True, failed
        if self.on_done is not None:
            self.on_done()
        if self.parent is not None:
            self.parent.child_done()

    def child_done(self) -> None:
        """A child has ended."""


@dataclass
class _Compound(_Node):
    children: list[_Node] = field(default_factory=list)
    wait_for_all: bool = True
    open_children: int = 0

    def start(self, children: list[_Node]) -> None:
        self.children = children
        self.open_children = sum(not child.done for child in children)
        for child in children:
            child.parent = self
        if not children:
            # Task.WhenAll of nothing is complete; Task.WhenAny of nothing throws, which the shim swallows.
            self.finish()
        elif self.open_children == 0 or (not self.wait_for_all and self.open_children < len(children)):
            self.finish()

    def child_done(self) -> None:
        self.open_children -= 1
        if self.open_children == 0 or not self.wait_for_all:
            self.finish()


@dataclass
class _Retry(_Node):
    """Attempts of an activity or a child with constant pauses between them (RetryInterceptor)."""

    attempts: int = 0
    limit: int = 1
    pause: timedelta = timedelta(0)


class Shim:
    """One execution of one orchestrator, from its history and the actions that Python reported."""

    def __init__(
        self, name: str, instance_id: str, execution_id: str, parent_id: str | None, functions: Functions
    ) -> None:
        self.name = name
        self.instance_id = instance_id
        self.execution_id = execution_id
        self.parent_id = parent_id
        self.functions = functions
        self.actions: list[dict[str, Any]] = []
        self._leaves: list[dict[str, Any]] = []  # of all actions, depth first
        self._timers: dict[int, tuple[_Node, int]] = {}  # by the identity of their action: they may be cancelled
        self.open_tasks: dict[int, _Node] = {}
        self.pending: dict[int, Scheduled] = {}
        self.outcome: Outcome | None = None
        self.carried: list[Event] = []  # events for the next generation
        self.continue_input: str | None = None
        self.continued = False
        self.is_suspended = False
        self.episodes = 0  # that have begun
        self._began = "2000-01-01T00:00:00Z"  # the present episode; read only where it is asked for
        self._next_id = 0
        self._index = 0
        self._current: _Node | None = None
        self._started = False
        self._finished = False  # all actions are through and Python says it is done
        self._fault: tuple[str, str] | None = None  # text, details
        self._output: str | None = None
        self._is_done = False
        self._waiting: dict[str, list[_Node]] = {}
        self._buffered: dict[str, deque[None]] = {}
        self._while_suspended: deque[Event] = deque()
        self._held_back: dict[int, Scheduled] = {}
        self._guids = 0
        self._requests: dict[int, str] = {}  # number of a call's EventSent -> its id
        self._sent_to: dict[str, tuple[datetime, str]] = {}

    # what Python answered

    def answer(
        self,
        actions: Sequence[dict[str, Any]],
        is_done: bool,
        output: str | None,
        fault: tuple[str, str] | None,
        cancelled_timers: Sequence[int] = (),
    ) -> None:
        """Takes an episode's answer: actions beyond the known ones, and how the function stands now.

        `cancelled_timers` are positions among the leaves of all actions so far, depth first.
        """
        self.actions.extend(actions)
        self._leaves.extend(leaf for action in actions for leaf in _leaves_of(action))
        self._is_done, self._output, self._fault = is_done, output, fault
        for position in cancelled_timers:
            action = self._leaves[position]
            action["isCanceled"] = True
            if found := self._timers.get(id(action)):
                node, number = found
                if self.open_tasks.pop(number, None) is not None:
                    node.finish(failed=True)

    # what the history says

    def feed(self, events: Sequence[Event]) -> None:
        """Plays history events in order and marks them as played. NonDeterministic: the code differs."""
        self._advance()
        for event in events:
            if event["EventType"] == messages.ORCHESTRATOR_STARTED:
                self._began = event["Timestamp"]
                self.episodes += 1
                continue
            self._play(event)
            event["IsPlayed"] = True

    def conclude(self) -> None:
        """Ends the execution when the code has ended and nothing scheduled is open (TaskOrchestrationExecutor)."""
        if self.open_tasks or not self._finished:
            return
        if self._fault is not None:
            self._complete("Failed", self._fault[0], self._fault[1])
        elif self.continued:
            self.outcome = Outcome("ContinuedAsNew", self.continue_input)
        else:
            self._complete("Completed", self._output)

    def fail(self, reason: str, details: str | None) -> None:
        """Ends the execution as failed."""
        self._complete("Failed", reason, details)

    def take_scheduled(self) -> list[Scheduled]:
        """The actions that no history event has confirmed: they are new, and are issued now."""
        return list(self.pending.values())

    def confirm(self) -> None:
        """Takes the new actions as issued (their events have been added to the history)."""
        self.pending.clear()

    @property
    def now(self) -> datetime:
        """When the present episode began. Undecodable: the event's time is none."""
        return messages.parse_timestamp(self._began)

    @property
    def next_id(self) -> int:
        """The number that the ExecutionCompleted event carries."""
        return self._next_id

    def _complete(self, status: str, result: str | None, details: str | None = None) -> None:
        if self.outcome is None or self.outcome.status == "ContinuedAsNew":
            self.outcome = Outcome(status, result, details)

    def _play(self, event: Event) -> None:
        kind = event["EventType"]
        if self.is_suspended and kind not in (messages.EXECUTION_RESUMED, messages.EXECUTION_TERMINATED):
            if kind != messages.EXECUTION_SUSPENDED:
                self._while_suspended.append(event)
            return
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, event)

    def _on_started(self, event: Event) -> None:
        self._started = True
        self._advance()

    def _on_terminated(self, event: Event) -> None:
        self._complete("Terminated", event.get("Input"))

    def _on_scheduled(self, event: Event) -> None:
        number = event["EventId"]
        if number < 0:  # an internal timer
            return
        determinism.check(event, self.pending.get(number))
        del self.pending[number]
        if number in self._requests:
            self._as_sent(self._requests.pop(number), event.get("Input"))

    def _as_sent(self, guid: str, text: str | None) -> None:
        """A request's id is the one it was sent with, though another host may have made it otherwise."""
        sent = str(json.loads(text or "{}").get("id") or guid).lower()
        if sent != guid and guid in self._waiting:
            self._waiting[sent] = self._waiting.pop(guid)

    def _on_completed(self, event: Event) -> None:
        self._settle(event["TaskScheduledId"], failed=False)

    def _on_failed(self, event: Event) -> None:
        self._settle(event["TaskScheduledId"], failed=True)

    def _on_timer_fired(self, event: Event) -> None:
        self._settle(event["TimerId"], failed=False)

    def _settle(self, number: int, failed: bool) -> None:
        node = self.open_tasks.pop(number, None)
        if node is not None:
            node.finish(failed)
            self._advance()

    def _on_event_raised(self, event: Event) -> None:
        if self.continued:
            self.carried.append(event)
            return
        name = (event.get("Name") or "").lower()
        if stack := self._waiting.get(name):
            node = stack.pop()
            if not stack:
                del self._waiting[name]
            node.finish()
            self._advance()
        else:
            self._buffered.setdefault(name, deque()).append(None)

    def _on_suspended(self, event: Event) -> None:
        self.is_suspended = True
        self._held_back.update(self.pending)
        self.pending.clear()

    def _on_resumed(self, event: Event) -> None:
        self.is_suspended = False
        self.pending.update(self._held_back)
        self._held_back.clear()
        while self._while_suspended:
            self._play(self._while_suspended.popleft())

    # walking through the actions

    def _advance(self) -> None:
        if not self._started or self._finished:
            return
        while self._current is None or self._current.done:
            if self._index >= len(self.actions):
                self._finished = self._is_done or self._fault is not None
                return
            action = self.actions[self._index]
            self._index += 1
            try:
                self._current = self._invoke(action)
            except OrchestratorFault as fault:
                self._fault = orchestrator_failure(self.name, str(fault))
                self._finished = True
                return

    def _invoke(self, action: dict[str, Any]) -> _Node:
        return _INVOKERS[action["actionType"]](self, action)

    def _open(self, scheduled: Scheduled, node: _Node) -> _Node:
        self.pending[scheduled.id] = scheduled
        self.open_tasks[scheduled.id] = node
        return node

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _swallowed(self) -> _Node:
        """An action whose API call threw: the shim goes on as if it were done, and Python waits for ever."""
        return _Node(done=True, failed=True)

    def _activity(self, action: dict[str, Any]) -> _Node:
        if self.functions.activity(action["functionName"]) is None:
            return self._swallowed()
        return self._schedule_activity(action["functionName"], action.get("input"), _Node())

    def _schedule_activity(self, name: str, argument: Any, node: _Node) -> _Node:
        text = json.dumps([argument], ensure_ascii=False, separators=(",", ":"))
        return self._open(Scheduled("activity", self._new_id(), name, text), node)

    def _http(self, action: dict[str, Any]) -> _Node:
        return self._schedule_activity(HTTP_ACTIVITY, action["httpRequest"], _Node())

    def _activity_with_retry(self, action: dict[str, Any]) -> _Node:
        if self.functions.activity(action["functionName"]) is None:
            return self._swallowed()
        return self._retry(
            action, lambda node: self._schedule_activity(action["functionName"], action.get("input"), node)
        )

    def _child(self, action: dict[str, Any]) -> _Node:
        return self._swallowed() if self._bad_child(action) else self._schedule_child(action, _Node())

    def _child_with_retry(self, action: dict[str, Any]) -> _Node:
        if self._bad_child(action):
            return self._swallowed()
        return self._retry(action, lambda node: self._schedule_child(action, node))

    def _bad_child(self, action: dict[str, Any]) -> bool:
        wanted = (action.get("instanceId") or "").lower()
        relatives = {self.instance_id.lower(), (self.parent_id or "").lower()} - {""}
        return (
            self.functions.orchestrator(action["functionName"]) is None or wanted in relatives or wanted.startswith("@")
        )

    def _schedule_child(self, action: dict[str, Any], node: _Node) -> _Node:
        number = self._new_id()
        wanted = action.get("instanceId")
        instance_id = wanted if wanted and wanted.strip() else f"{self.execution_id}:{number}"
        given = action.get("input")
        text = None if given is None else json.dumps(given, ensure_ascii=False)
        return self._open(Scheduled("child", number, action["functionName"], text, instance_id), node)

    def _retry(self, action: dict[str, Any], attempt: Callable[[_Node], _Node]) -> _Node:
        options = action["retryOptions"]
        if options["maxNumberOfAttempts"] < 1:
            return self._swallowed()
        whole = _Retry(
            limit=options["maxNumberOfAttempts"],
            pause=timedelta(milliseconds=options["firstRetryIntervalInMilliseconds"]),
        )

        def start() -> None:
            node = _Node()
            node.on_done = lambda: ended(node)
            attempt(node)

        def ended(node: _Node) -> None:
            whole.attempts += 1
            if not node.failed:
                whole.finish()
                return
            last = whole.attempts >= whole.limit
            # The pause after the last attempt is real too: the SDK counts on its timer.
            timer = self._schedule_timer(self.now + (timedelta(0) if last else whole.pause))
            timer.on_done = (lambda: whole.finish(failed=True)) if last else start

        start()
        return whole

    def _schedule_timer(self, fire_at: datetime) -> _Node:
        return self._open(Scheduled("timer", self._new_id(), fire_at=messages.timestamp(fire_at)), _Node())

    def _timer(self, action: dict[str, Any]) -> _Node:
        node = self._schedule_timer(messages.parse_timestamp(action["fireAt"]))
        number = self._next_id - 1
        self._timers[id(action)] = node, number
        if action.get("isCanceled"):
            del self.open_tasks[number]
            node.finish(failed=True)
        return node

    def _wait_for_event(self, action: dict[str, Any]) -> _Node:
        return self._wait(action["externalEventName"])

    def _wait(self, name: str) -> _Node:
        node, name = _Node(), name.lower()
        if queue := self._buffered.get(name):
            queue.popleft()
            if not queue:
                del self._buffered[name]
            node.finish()
        else:
            self._waiting.setdefault(name, []).append(node)
        return node

    def _call_entity(self, action: dict[str, Any]) -> _Node:
        if self.functions.entity(_entity_name(action["instanceId"])) is None:
            return self._swallowed()
        return self._wait(self._send_request(action, signal=False))

    def _signal_entity(self, action: dict[str, Any]) -> _Node:
        name = _entity_name(action["instanceId"])
        if self.functions.entity(name) is None:
            raise OrchestratorFault(self.functions.no_entity(name))
        self._send_request(action, signal=True)
        return _Node(done=True)

    def _send_request(self, action: dict[str, Any], signal: bool) -> str:
        guid = self._new_guid()
        request: dict[str, Any] = {"$type": _REQUEST_TYPE, "op": action["operation"]}
        if signal:
            request["signal"] = True
        if action.get("input") is not None:
            request["input"] = json.dumps(action["input"], ensure_ascii=False)
        moment, stamp = self.now, messages.timestamp(self.now)
        last, last_stamp = self._sent_to.get(action["instanceId"], (None, _NO_TIME))
        if last is not None and moment <= last:
            moment = last + _TICK
            stamp = messages.timestamp(moment).removesuffix("Z")  # as .NET writes a time that was added to
        self._sent_to[action["instanceId"]] = moment, stamp
        request |= {
            "id": guid, "parent": self.instance_id, "parentExecution": self.execution_id,
            "Timestamp": stamp, "Predecessor": last_stamp,
        }  # fmt: skip
        text = json.dumps(request, ensure_ascii=False, separators=(",", ":"))
        number = self._new_id()
        self.pending[number] = Scheduled("event", number, "op", text, action["instanceId"])
        if not signal:
            self._requests[number] = guid
        return guid

    def _new_guid(self) -> str:
        name = f"{self.instance_id}_{messages.timestamp(self.now)}_{self._guids}"
        self._guids += 1
        return str(uuid.uuid5(uuid.NAMESPACE_URL, name))

    def _continue_as_new(self, action: dict[str, Any]) -> _Node:
        given = action.get("input")
        self.continue_input = None if given is None else json.dumps(given, ensure_ascii=False)
        self.continued = True
        return _Node(done=True)

    def _when_all(self, action: dict[str, Any]) -> _Node:
        return self._compound(action, wait_for_all=True)

    def _when_any(self, action: dict[str, Any]) -> _Node:
        return self._compound(action, wait_for_all=False)

    def _compound(self, action: dict[str, Any], wait_for_all: bool) -> _Node:
        whole = _Compound(wait_for_all=wait_for_all)
        whole.start([self._invoke(part) for part in action["compoundActions"]])
        return whole


def orchestrator_failure(name: str, error: str) -> tuple[str, str]:
    """Output and details of an orchestrator that failed with an error text."""
    return f"Orchestrator function '{name}' failed: {error}", f"Message: {error}, StackTrace: "


def _leaves_of(action: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "compoundActions" not in action:
        yield action
        return
    for part in action["compoundActions"]:
        yield from _leaves_of(part)


def _entity_name(entity_id: str) -> str:
    return entity_id[1:].split("@", 1)[0]


_HANDLERS: dict[int, Callable[[Shim, Event], None]] = {
    messages.EXECUTION_STARTED: Shim._on_started,
    messages.EXECUTION_TERMINATED: Shim._on_terminated,
    messages.TASK_SCHEDULED: Shim._on_scheduled,
    messages.TASK_COMPLETED: Shim._on_completed,
    messages.TASK_FAILED: Shim._on_failed,
    messages.SUB_CREATED: Shim._on_scheduled,
    messages.SUB_COMPLETED: Shim._on_completed,
    messages.SUB_FAILED: Shim._on_failed,
    messages.TIMER_CREATED: Shim._on_scheduled,
    messages.TIMER_FIRED: Shim._on_timer_fired,
    messages.EVENT_SENT: Shim._on_scheduled,
    messages.EVENT_RAISED: Shim._on_event_raised,
    messages.EXECUTION_SUSPENDED: Shim._on_suspended,
    messages.EXECUTION_RESUMED: Shim._on_resumed,
}

_INVOKERS: dict[int, Callable[[Shim, dict[str, Any]], _Node]] = {
    0: Shim._activity,
    1: Shim._activity_with_retry,
    2: Shim._child,
    3: Shim._child_with_retry,
    4: Shim._continue_as_new,
    5: Shim._timer,
    6: Shim._wait_for_event,
    7: Shim._call_entity,
    8: Shim._http,
    9: Shim._signal_entity,
    11: Shim._when_any,
    12: Shim._when_all,
}
