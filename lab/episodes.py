"""One turn of an orchestration: the worker runs the code over the history, the shim says what follows from it."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.determinism import NonDeterministic
from lab.function_index import FunctionIndex
from lab.runtime_state import Execution, new_execution_id
from lab.shim import Outcome, Scheduled, Shim, orchestrator_failure
from lab.worker import EpisodeCall, EpisodeResult, InvocationFailed, SessionLost, Worker
from taskhub import messages
from taskhub.clock import Clock
from taskhub.messages import Event

log = logging.getLogger("lab.orchestrations")
KEEP_ALIVE_EVENTS = 60  # histories longer than this keep their orchestrator alive between episodes
MANY_GENERATIONS = 1000  # in one turn: an instance that never waits
CUSTOM_STATUS_LIMIT = 16 * 1024  # bytes of UTF-16
_NON_DETERMINISTIC = "Non-Deterministic workflow detected: "


@dataclass
class Kept:
    """An orchestrator kept alive: its shim, how many events it has seen, and how many the execution then had."""

    execution_id: str
    shim: Shim
    seen: int
    length: int


@dataclass
class Turn:
    """What one work item came to: the execution as it is to be stored, and what is to be sent."""

    execution: Execution
    custom_status: str | None
    scheduled: list[tuple[Execution, Scheduled]] = field(default_factory=list)
    outcome: Outcome | None = None
    generations: int = 0  # how often it began anew
    started_executions: list[str] = field(default_factory=list)


class Episodes:
    """Runs episodes. `keep_all` keeps every orchestrator alive (extendedSessionsEnabled), not only long ones."""

    def __init__(
        self, worker: Worker, functions: FunctionIndex, clock: Clock, store_inputs: bool = False, keep_all: bool = False
    ) -> None:
        self.worker = worker
        self.functions = functions
        self.clock = clock
        self.store_inputs = store_inputs
        self.keep_all = keep_all

    async def turn(self, execution: Execution, kept: Kept | None) -> tuple[Turn, Kept | None]:
        """Plays an execution's new events, through as many generations as follow at once."""
        turn = Turn(execution, None)
        carried_status: str | None = None
        while True:
            result, shim, kept = await self._episode(turn.execution, kept)
            turn.custom_status = result.custom_status if result.custom_status is not None else carried_status
            turn.outcome = shim.outcome
            self._append(turn, shim)
            if shim.outcome is None or shim.outcome.status != "ContinuedAsNew":
                if kept is None or shim.outcome is not None:
                    return turn, None
                kept.length = len(turn.execution.past) + len(turn.execution.new)
                return turn, kept
            self.worker.forget(execution.instance_id)
            carried_status, kept = turn.custom_status, None
            turn.execution = self._next_generation(turn.execution, shim)
            turn.generations += 1
            if turn.generations == MANY_GENERATIONS:
                _warn_of_spinning(execution.instance_id, shim)

    async def _episode(self, execution: Execution, kept: Kept | None) -> tuple[EpisodeResult, Shim, Kept | None]:
        keep = self.keep_all or len(execution.past) + len(execution.new) > KEEP_ALIVE_EVENTS
        if kept is not None and (kept.execution_id != execution.execution_id or kept.length != len(execution.past)):
            kept = None
        shim = kept.shim if kept else self._shim(execution)
        result, fault = await self._run(execution, keep, kept)
        if kept is not None and result.actions_before == 0 and shim.actions:
            kept, shim = None, self._shim(execution)  # the worker had lost it and replayed everything
        shim.answer(result.actions, result.is_done, result.output, fault, result.cancelled_timers)
        fresh = execution.new if kept else execution.events
        seen = len(execution.past) + len(execution.new)
        try:
            shim.feed(fresh)
            execution.known_episode = shim.episodes
            shim.conclude()
        except NonDeterministic as error:
            shim.fail(_NON_DETERMINISTIC + str(error), None)
        return result, shim, Kept(execution.execution_id, shim, seen, 0) if keep else None

    def _shim(self, execution: Execution) -> Shim:
        parent = execution.parent
        return Shim(
            execution.name,
            execution.instance_id,
            execution.execution_id,
            parent["OrchestrationInstance"]["InstanceId"] if parent else None,
            self.functions,
        )

    async def _run(
        self, execution: Execution, keep: bool, kept: Kept | None
    ) -> tuple[EpisodeResult, tuple[str, str] | None]:
        name = execution.name
        if self.functions.orchestrator(name) is None:
            return EpisodeResult(False, [], 0), (self.functions.no_orchestrator(name), "")
        try:
            result = await self._call(execution, keep, kept)
        except InvocationFailed as error:
            text = f"One or more errors occurred. (Result: Failure\nException: {error.text}\nStack: {error.stack})"
            return EpisodeResult(False, [], 0), orchestrator_failure(name, text)
        if result.custom_status is not None and (excess := _excess(result.custom_status)):
            return EpisodeResult(False, [], 0), orchestrator_failure(name, excess)
        return result, orchestrator_failure(name, result.error) if result.error is not None else None

    async def _call(self, execution: Execution, keep: bool, kept: Kept | None) -> EpisodeResult:
        function = self.functions.orchestrator(execution.name)
        assert function is not None
        start = kept.seen if kept else 0
        parent = execution.parent
        call = EpisodeCall(
            function=function.name,
            instance_id=execution.instance_id,
            execution_id=execution.execution_id,
            parent_instance_id=parent["OrchestrationInstance"]["InstanceId"] if parent else None,
            input=_value(execution.input),
            events=execution.events[start:] if start else execution.events,
            start_index=start,
            keep=keep,
        )
        try:
            return await self.worker.episode(call)
        except SessionLost:
            return await self.worker.episode(
                EpisodeCall(**{**call.__dict__, "events": execution.events, "start_index": 0})
            )

    def _append(self, turn: Turn, shim: Shim) -> None:
        execution, now = turn.execution, self.clock.now()
        for action in shim.take_scheduled():
            turn.scheduled.append((execution, action))
            execution.new.append(self._scheduled_event(action))
        shim.confirm()
        outcome = shim.outcome
        if outcome is not None and outcome.status != "ContinuedAsNew":
            execution.new.append(
                messages.event(
                    messages.EXECUTION_COMPLETED,
                    now,
                    shim.next_id,
                    OrchestrationStatus=outcome.status,
                    Result=outcome.result,
                )  # fmt: skip
            )
        execution.new.append(messages.event(messages.ORCHESTRATOR_COMPLETED, self.clock.now()))

    def _scheduled_event(self, action: Scheduled) -> Event:
        now = self.clock.now()
        stored = action.input if self.store_inputs else None
        if action.kind == "activity":
            return messages.event(messages.TASK_SCHEDULED, now, action.id, Name=action.name, Version="", Input=stored)
        if action.kind == "timer":
            return messages.event(messages.TIMER_CREATED, now, action.id, FireAt=action.fire_at)
        if action.kind == "child":
            return messages.event(
                messages.SUB_CREATED, now, action.id,
                Name=action.name, Version="", InstanceId=action.instance_id, Input=stored,
                ClientSpanId=secrets.token_hex(8),
            )  # fmt: skip
        return messages.event(
            messages.EVENT_SENT, now, action.id,
            InstanceId=action.instance_id, Name=action.name, Input=action.input,
        )  # fmt: skip

    def _next_generation(self, old: Execution, shim: Shim) -> Execution:
        now, execution_id = self.clock.now(), new_execution_id()
        previous = old.started
        assert shim.outcome is not None
        started = messages.execution_started(
            now, old.instance_id, execution_id, previous["Name"], shim.outcome.result, previous.get("Version"), None
        )
        started["ParentInstance"] = previous.get("ParentInstance")
        carried: Sequence[Event] = shim.carried
        opening = [messages.event(messages.ORCHESTRATOR_STARTED, self.clock.now()), started, *carried]
        closing = messages.event(messages.ORCHESTRATOR_COMPLETED, self.clock.now())
        return Execution(old.instance_id, execution_id, [], [*opening, closing])


def _warn_of_spinning(instance_id: str, shim: Shim) -> None:
    names = ", ".join(sorted({str(event.get("Name")) for event in shim.carried}))
    log.warning(
        "%s has begun anew %d times without waiting for anything%s. It would do so on Azure too, without end; see "
        "docs/conformance.md.",
        instance_id,
        MANY_GENERATIONS,
        f", each time with the event {names} again" if names else "",
    )


def _value(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _excess(status: str) -> str | None:
    size = len(status.encode("utf-16-le", "surrogatepass"))
    if size <= CUSTOM_STATUS_LIMIT:
        return None
    return (
        "The UTF-16 size of the JSON-serialized payload must not exceed 16 KB. "
        f"The current payload size is {size // 1024} KB."
    )
